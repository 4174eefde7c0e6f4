"""A call as a lane of the timeline says it: what it is, and as much more as there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec.structs import replace
from rich.cells import cell_len
from rich.segment import Segment

from evloop.events.schema import (
    Accept,
    Bind,
    Connect,
    Interest,
    Poll,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    TcpInfo,
    Unknown,
)
from evloop_trace.correlate.entries import INFERRED, UNMATCHED
from evloop_trace.escape import escape_text
from evloop_trace.numbers import count, duration, plural
from evloop_trace.views.cells import Line, cut
from evloop_trace.views.palette import KINDS, PLAIN
from evloop_trace.views.rungs import Arrow, rung, woken

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.schema import AnyEvent
    from evloop_trace.correlate.ends import Joined
    from evloop_trace.correlate.entries import CallEntry

_Event = TypeVar("_Event", bound="AnyEvent | Unknown")

__all__ = ["Detail", "Words", "bare", "begun", "call", "fitting", "result"]

SLEPT = 1_000_000
"""Nanoseconds from which a sleep is worth a word."""

_QUOTE = 6  # cells of a payload that tell something


_LEFT = {"in": "out", "out": "in"}
"""What a client receives goes to the client: call, packet and call have the colour of their direction."""


class Detail(NamedTuple):
    """What there may be room for behind a call."""

    text: str
    rank: int
    """What is said first if there is little room: 0 is the first."""
    least: int = 0
    """Cells below which it says nothing; 0 is all or nothing."""
    kind: str = ""
    short: str = ""
    """The same in fewer cells."""


class Words(NamedTuple):
    """What a lane says."""

    kind: str
    call: str
    details: tuple[Detail, ...] = ()
    arrow: Arrow | None = None
    """What it sends or gets, if no packet tells."""

    def translated(self, say: Callable[[str], str]) -> Words:
        """The same as the reader is told it; a payload and a name are what they are in every language."""
        details = [it._replace(text=say(it.text), short=say(it.short)) for it in self.details]
        return self._replace(call=say(self.call), details=tuple(details))


def call(
    entry: CallEntry, event: AnyEvent | Unknown, *, finished: bool = False, deaf: bool = False
) -> Words | None:
    """An event, or None where there is nothing to say.

    Args:
        entry: Its entry.
        event: Itself, with names as in its own log.
        finished: Its connection was shut down before.
        deaf: It had said that it reads no more.
    """
    if isinstance(event, Unknown) or (isinstance(event, TcpInfo) and event.why == "close"):
        return None
    if own := _OWN.get(type(event)):
        return own(event, entry)
    said = rung(event, finished=finished, outgoing=entry.client, deaf=deaf)
    if said is None:
        return None
    if isinstance(event, TcpInfo):
        return Words(said.kind, "tcp_info", (Detail(said.note, 0, 8),))
    details = [_link(entry)]
    off = getattr(event, "off", None)
    if off and off[0] < off[1]:
        details.append(Detail(f"[{off[0]},{off[1]})", 3))
    note = _note(entry, said.note)
    details.append(Detail(said.payload, 1 if note.startswith("after") else 2, _QUOTE))
    details += [Detail(note, 1, 12, short=_port(event)), Detail(said.where, 4, 0, "quiet")]
    kind = _LEFT.get(said.kind, said.kind) if entry.client else said.kind
    return Words(kind, said.call, tuple([it for it in details if it.text]), said.arrow)


def begun(ev: str, *, client: bool) -> Words:
    """A call that is told of when it returns, where it began."""
    if ev == "connect":
        return Words("life", "connect()")
    return Words("in" if client else "out", f"{escape_text('send' if ev == 'block' else ev)}() …")


def result(event: Connect) -> Words:
    """What a connect returned."""
    if event.errno:
        return Words("trouble", f"= {escape_text(event.errno)}")
    return Words("life", "= 0")


def bare(event: _Event, label: str) -> _Event:
    """The event as it is in its own log: with names that have no label."""
    if not label or isinstance(event, Unknown):
        return event
    prefix = f"{label}:"
    names = {
        key: name.removeprefix(prefix)
        for key in ("conn", "sock", "name", "pair")
        if isinstance(name := getattr(event, key, None), str) and name.startswith(prefix)
    }
    for key in ("ready", "watched"):
        if pairs := getattr(event, key, None):
            names[key] = [(name.removeprefix(prefix), bits) for name, bits in pairs]  # type: ignore[assignment]
    return replace(event, **names) if names else event


def fitting(words: Words, width: int) -> Line:
    """The call, and of its details what there is room for, in at most `width` cells."""
    line = [Segment(cut(words.call, width), KINDS[words.kind])]
    room = width - line[0].cell_length
    chosen: dict[int, str] = {}
    for at, it in sorted(enumerate(words.details), key=lambda it: it[1].rank):
        if cell_len(it.text) + 2 <= room:
            chosen[at] = it.text
        elif it.short and cell_len(it.short) + 2 <= room:
            chosen[at] = it.short
        elif it.least and room >= it.least + 2:
            chosen[at] = cut(it.text, room - 2)
        else:
            continue
        room -= cell_len(chosen[at]) + 2
    for at in sorted(chosen):
        kind = words.details[at].kind
        line.append(Segment(f"  {chosen[at]}", KINDS[kind] if kind else PLAIN))
    return line


def _poll(event: Poll, _entry: CallEntry) -> Words:
    said = f"woke: {woken(event.ready) or escape_text(event.errno or 'time-out')}"
    if event.dur < SLEPT:
        return Words("quiet", said)
    slept = duration(event.dur)
    patience = "∞" if event.timeout is None else duration(event.timeout)
    return Words("quiet", said, (Detail(f"(slept {slept} of {patience})", 0, short=f"({slept})"),))


def _interest(event: Interest, _entry: CallEntry) -> Words:
    old = "" if event.old in ("", "nothing") else f"was {escape_text(event.old)}"
    details = (Detail(escape_text(event.reason), 0, 8), Detail(old, 1))
    said = f"watch {escape_text(event.new) or 'nothing'}"
    return Words("quiet", said, tuple([it for it in details if it.text]))


def _accept(event: Accept, entry: CallEntry) -> Words | None:
    if event.conn is None:
        said = rung(event)
        return said and Words(said.kind, said.call, (Detail(said.note, 0, 12),))
    details = [Detail(f"fd {event.fd}", 2)] if event.fd is not None else []
    # Packets say more exactly how long that was.
    if event.waited and event.waited >= 10 * SLEPT and not entry.packets:
        details.append(Detail(f"waited {duration(event.waited)} in the queue", 0, 12))
    if event.queued is not None:
        details.append(Detail(f"{count(event.queued)} still wait" if event.queued else "queue empty", 1))
    if event.peer == "" and event.pid is not None:
        details.append(Detail(f"from pid {event.pid}", 1))
    return Words(
        "life", f"accept() → {escape_text(event.conn or '')}", tuple(details), Arrow(True, "═", "connection")
    )


def _port(event: AnyEvent) -> str:
    """Of an address that is bound, what one still wants to see where there is little room."""
    port = event.address.rpartition(":")[2] if isinstance(event, Bind) else ""
    return f":{port}" if port.isdigit() else ""


def _link(entry: CallEntry) -> Detail:
    """What has to be said of what the call has to do with packets: nothing where it is seen."""
    if entry.trust == UNMATCHED:
        return Detail("? unmatched", 0, 0, "trouble")
    if entry.joined is not None and (entry.strand is None or entry.strand.wire is None):
        return _joined(entry.joined)
    mark = "≈" if entry.trust == INFERRED else ""
    numbers = {it.number for it in entry.packets}
    if len(numbers) > 1 and isinstance(entry.event, Send | Recv):
        way = "▸" if isinstance(entry.event, Send) else "◂"
        return Detail(f"{mark}{way} {plural(len(numbers), 'packet')}", 0)
    return Detail(mark, 0)


def _joined(joined: Joined) -> Detail:
    """What another log tells of it, where there are no packets."""
    if not joined.origins:
        return Detail("◂ not in the logs", 0, 0, "trouble")
    many = len(joined.origins)
    mark = "◂" if joined.exact else "◂ ≈"
    sends = f" {plural(many, 'send')}" if many > 1 else ""
    way = duration(joined.way) if joined.way >= 0 else "clocks differ"
    return Detail(f"{mark}{sends} {way}", 1 if many == 1 else 0)


def _note(entry: CallEntry, note: str) -> str:
    """The note, without the address that the heading has, and without what a reason says better."""
    event = entry.event
    if isinstance(event, Recv) and event.n == 0 and entry.reasons:
        return ""
    if entry.strand is None or not isinstance(event, Connect | Sendto | Recvfrom):
        return note
    peer = escape_text(event.peer or "?")
    for word in ("to", "from"):
        note = note.removeprefix(f"{word} {peer}")
    return note.removeprefix(": ").removeprefix(", ")


_OWN: dict[type, Callable[[Any, CallEntry], Words | None]] = {
    Poll: _poll,
    Accept: _accept,
    Interest: _interest,
}
