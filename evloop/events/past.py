"""What was open before some events of a loop's server, though it was not written down then.

Folded backwards, from what is open after the last of them: so nobody has to count while they happen.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evloop.events.schema import Accept, Bind, Close, Inherit, Interest, Listen, Recv, Recvfrom, Send, Sendto

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from evloop.events.schema import Event

__all__ = ["Past"]


class Past:
    """What was open before some events of a loop's server, from what was open after them."""

    def __init__(self) -> None:
        self._opened: set[str] = set()
        self._closed: dict[str, Close] = {}
        self._received: dict[str, int] = {}  # where the first recv of a connection began
        self._sent: dict[str, int] = {}
        self._interest: dict[str, str] = {}
        self._taken: Counter[str] = Counter()  # connections that a listener accepted, datagrams that came
        self._given: Counter[str] = Counter()  # datagrams that went

    def see_before(self, ticks: Iterable[Sequence[Event]]) -> None:
        """What happened before all that was seen until now; the last tick first."""
        received, sent, others = self._received, self._sent, _OTHERS
        for tick in ticks:
            for event in reversed(tick):
                kind = type(event)
                if kind is Recv:
                    if event.off is not None:  # type: ignore[attr-defined]
                        received[event.conn] = event.off[0]  # type: ignore[attr-defined]
                elif kind is Send:
                    if event.off is not None:  # type: ignore[attr-defined]
                        sent[event.conn] = event.off[0]  # type: ignore[attr-defined]
                elif kind in others:
                    self._see(event)

    def _see(self, event: Event) -> None:
        match event:
            case Interest():
                self._interest[event.conn or event.sock or ""] = event.old
            case Accept(conn=str(name)):
                self._opened.add(name)
                self._taken[event.sock] += 1
            case Listen(sock=name) | Bind(sock=name):
                self._opened.add(name)
            case Recvfrom(n=int()):
                self._taken[event.sock] += 1
            case Sendto(n=int()):
                self._given[event.sock] += 1
            case Close():
                self._closed[event.conn or event.sock or ""] = event

    def standing(self, first: Event, after: Iterable[Inherit], gone: Mapping[str, Event]) -> list[Inherit]:
        """What was open before `first`, the first of the events.

        Args:
            first: That event.
            after: What was open after the last.
            gone: By name, with what each socket began that was open before: the only memory of one that was
                closed in between.
        """
        closed = [it for name, close in self._closed.items() if (it := _closed(name, close, gone))]
        known = [it for it in [*after, *closed] if it.name not in self._opened]
        return [self._as_it_was(it, first) for it in known]

    def _as_it_was(self, it: Inherit, first: Event) -> Inherit:
        name = it.name
        interest = self._interest.get(name, it.interest)
        received, sent = self._received.get(name, it.received), self._sent.get(name, it.sent)
        return replace(
            it,
            t=first.t,
            tick=first.tick,
            received=received,
            sent=sent - self._given[name],
            interest=interest,
            buffered=max(received - sent, 0) if "WRITE" in (interest or "") else 0,
            accepted=max(it.accepted - self._taken[name], 0),
        )


_OTHERS = frozenset({Interest, Accept, Listen, Bind, Recvfrom, Sendto, Close})


def _closed(name: str, close: Close, gone: Mapping[str, Event]) -> Inherit | None:
    """A socket that was closed, as it was just before; None if nothing is known of it."""
    at = (-1, close.t, close.tick, name, close.fd)
    match gone.get(name):
        case Accept() as began:
            proto = name.partition("-")[0]
            return Inherit(
                *at, proto, began.local or "", began.peer or "", received=close.received, sent=close.sent,
                sock=began.sock, opened=began.t,
            )  # fmt: skip
        case Listen() as began:
            return Inherit(*at, began.proto, began.address, listens=True, backlog=began.backlog)
        case Bind() as began:
            return Inherit(*at, began.proto, began.address)
    return None
