"""The same clients served by two programs: who is who, what each waited for, and that in numbers."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from evloop_trace.model.clients import NOTABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evloop.events.schema import Header
    from evloop_trace.model.clients import Client, Clients

__all__ = ["Comparison", "Pair", "Side", "Spread", "Summary", "not_comparable", "spread"]


class Spread(msgspec.Struct):
    """Many times as three: nanoseconds."""

    median_ns: int
    p90_ns: int
    max_ns: int


class Summary(msgspec.Struct):
    """A side in numbers; a spread is absent where nothing is known, or nobody got so far."""

    label: str
    log: str
    model: str
    clients: int
    most: int
    """Connections open at one time."""
    threads: int
    """Threads that read from clients."""
    processes: int
    """And processes of the program that did."""
    waited: int
    """Clients that were in the accept queue for a time that can be told of, 25 ms or more."""
    never_accepted: int
    """Handshakes that were still in the accept queue when the log last told."""
    still_open: int
    queue: Spread | None
    """In the accept queue."""
    first_answer: Spread | None
    """From the arrival to the first answer."""
    answers: Spread | None
    """The longest wait for an answer that each client had."""
    stay: Spread | None
    """From the arrival to the close."""
    duration_ns: int
    """From the first arrival to the last close, or to the log's end if somebody is still there."""


class Side(NamedTuple):
    """One log, read to its end."""

    label: str
    log: str
    header: Header
    clients: Clients

    @property
    def origin(self) -> int:
        """When the first client came: 0 on the common axis."""
        return self.clients.all[0].came

    @property
    def end(self) -> int:
        """When the last was gone, on the common axis."""
        left = [self.clients.end if it.closed is None else it.closed for it in self.clients.all]
        return max(left) - self.origin

    @property
    def waiters(self) -> list[Client]:
        """Who was in the accept queue for a time that can be told of."""
        return [it for it in self.clients.all if it.in_queue is not None and it.in_queue >= NOTABLE]

    @property
    def threads(self) -> int:
        """How many threads read what clients said."""
        return len({it.thread for it in self.clients.all if it.greeting_size})

    def summary(self) -> Summary:
        """It in numbers."""
        everybody = self.clients.all
        return Summary(
            label=self.label,
            log=self.log,
            model=self.header.model,
            clients=len(everybody),
            most=self.clients.most,
            threads=self.threads,
            processes=len({it.thread[0] for it in everybody if it.greeting_size}),
            waited=len(self.waiters),
            never_accepted=self.clients.never_accepted,
            still_open=sum([it.closed is None for it in everybody]),
            queue=spread(it.in_queue for it in everybody),
            first_answer=spread(None if it.first is None else it.first - it.came for it in everybody),
            answers=spread(it.longest if it.answers else None for it in everybody),
            stay=spread(None if it.closed is None else it.closed - it.came for it in everybody),
            duration_ns=self.end,
        )


class Pair(NamedTuple):
    """A client of both logs, or of the one that has more."""

    number: int
    """By order of arrival, from 1."""
    a: Client | None
    b: Client | None

    @property
    def waits(self) -> int:
        """The longer of its two waits for the server."""
        return max([it.waits for it in (self.a, self.b) if it is not None])


class Comparison:
    """Two sides, client by client."""

    def __init__(self, a: Side, b: Side) -> None:
        self.sides = (a, b)
        self.by_greeting = _greeted_alike(a.clients.all, b.clients.all)
        """Clients are matched by what they said first; else by the order in which they came."""
        self.pairs = self._by_greeting() if self.by_greeting else self._by_order()
        self.end = max(a.end, b.end)
        self._numbers = [
            {it.name: pair.number for pair in self.pairs if (it := pair.b if at else pair.a) is not None}
            for at in range(2)
        ]

    def number(self, side: int, name: str) -> int | None:
        """Which client has this name in the log of a side, 0 or 1."""
        return self._numbers[side].get(name)

    def select(self, room: int) -> list[Pair]:
        """As many as there is room for, in order: the first half of them, and of the rest the worst."""
        if len(self.pairs) <= room:
            return self.pairs
        first = self.pairs[: (room + 1) // 2]
        worst = heapq.nlargest(room - len(first), self.pairs[len(first) :], key=_waits)
        return first + sorted(worst, key=_number)

    def _by_greeting(self) -> list[Pair]:
        a, b = (side.clients.all for side in self.sides)
        of_b = {_greeting(client): client for client in b}
        return [Pair(number, client, of_b[_greeting(client)]) for number, client in enumerate(a, 1)]

    def _by_order(self) -> list[Pair]:
        a, b = (side.clients.all for side in self.sides)
        return [
            Pair(at + 1, a[at] if at < len(a) else None, b[at] if at < len(b) else None)
            for at in range(max(len(a), len(b)))
        ]


def _greeting(client: Client) -> tuple[bytes, int]:
    return client.greeting, client.greeting_size


def _waits(pair: Pair) -> int:
    return pair.waits


def _number(pair: Pair) -> int:
    return pair.number


def _greeted_alike(a: Sequence[Client], b: Sequence[Client]) -> bool:
    """Whether what was said first tells who is who: nobody said nothing, no two the same, both logs alike."""
    if len(a) != len(b):
        return False
    of_a, of_b = ({_greeting(client) for client in side if client.greeting} for side in (a, b))
    return len(of_a) == len(a) and of_a == of_b


def spread(times: Iterable[int | None]) -> Spread | None:
    """The median, the nine-tenths and the largest of those that are known."""
    known = sorted([time for time in times if time is not None])
    if not known:
        return None
    return Spread(known[(len(known) - 1) // 2], known[-(-9 * len(known) // 10) - 1], known[-1])


def not_comparable(log: str, header: Header, clients: Clients) -> str:
    """Why a log has no clients to compare, in a sentence; nothing if it has some."""
    if header.model == "client" or (clients.connects and not clients.all):
        return f"{log} is a client's log: compare needs those of the servers"
    if not clients.all:
        return f"nobody connects in {log}: there is nothing to compare"
    return ""
