"""How wide the columns of a timeline are, and what its connections and its two sides are called."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len

from evloop.events.schema import Accept, Header, Listen
from evloop_trace.correlate.entries import CallEntry
from evloop_trace.escape import escape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.correlate.entries import Entry, Strand

__all__ = ["Columns", "Known", "columns", "heading", "is_left", "known", "milliseconds", "name_of"]

_NARROW = 15  # cells of a lane with states only


class Columns(NamedTuple):
    """Widths in cells."""

    clock: int
    names: int  # 0 is none
    left: int
    wire: int
    tick: int  # 0 is none
    right: int

    @property
    def before(self) -> int:
        """What stands before the left lane."""
        return 1 + self.clock + 2 + (self.names + 2 if self.names else 0)


class Known(NamedTuple):
    """What the columns depend on."""

    clock: int
    names: dict[int, str]
    """Of connections, by their numbers."""
    mixed: bool
    """They take turns: each row says whose it is."""
    sides: tuple[tuple[str, ...], tuple[str, ...]]
    """The labels of the logs on either side; none if its calls are in no log."""
    tick: int
    """Digits of the ticks' numbers; 0 if there are none."""
    servers: frozenset[int]
    """Logs of who can be connected to: what they did before anybody knew that stands right, too."""


def name_of(strand: Strand, *, whole: bool = False) -> str:
    """What a connection is called: as its client does, or its server, or by its client's port."""
    name = strand.names[0] or strand.names[1]
    if not name:
        return ":" + escape_text(strand.client.rpartition(":")[2])
    return escape_text(name if whole else name.rpartition(":")[2])


def heading(strand: Strand, name: str) -> str:
    """`tcp-1  127.0.0.1:52814 → 127.0.0.1:8080`; of one with two names `client:tcp-1 = server:tcp-3  …`.

    Args:
        strand: The connection.
        name: What its rows call it.
    """
    ours, theirs = strand.names
    if ours and theirs and ours.rpartition(":")[2] != theirs.rpartition(":")[2]:
        ours, theirs = escape_text(ours), escape_text(theirs)
        name = f"{ours} = {theirs}" if ":" in ours else f"the client's {ours} = the server's {theirs}"
    return f"{name}  {escape_text(strand.client)} → {escape_text(strand.server)}"


def known(entries: Sequence[Entry], labels: Sequence[str]) -> Known:
    """What the columns are to have room for."""
    strands: dict[int, Strand] = {}
    sides: dict[bool, dict[int, str]] = {True: {}, False: {}}
    tick = 0
    calls = [it for it in entries if isinstance(it, CallEntry) and not isinstance(it.event, Header)]
    servers = frozenset(it.log for it in calls if isinstance(it.event, Listen | Accept))
    for entry in entries:
        if entry.strand is not None:
            strands[entry.strand.number] = entry.strand
    for call in calls:
        client = is_left(call, servers)
        sides[client][call.log] = labels[call.log] if call.log < len(labels) else ""
        tick = max(tick, 0 if client else call.event.tick)
    clock = max([6, *[len(milliseconds(it.t)) for it in (*entries[:1], *entries[-1:])]])
    left, right = (tuple(sides[side].values()) for side in (True, False))
    names = _names(list(strands.values()))
    return Known(clock, names, _mixed(entries), (left, right), len(str(tick)) if tick else 0, servers)


def is_left(entry: CallEntry, servers: frozenset[int]) -> bool:
    """Whether a call is a client's."""
    return entry.client and not (entry.strand is None and entry.log in servers)


def _names(strands: Sequence[Strand]) -> dict[int, str]:
    """By number; with their logs' labels, or by these alone, only where they would be alike without."""
    bare = {it.number: name_of(it) for it in strands}
    whole = {it.number: name_of(it, whole=True) for it in strands}
    often = Counter(bare.values())
    labels = {number: name.rpartition(":")[0] for number, name in whole.items() if often[bare[number]] > 1}
    alike = Counter(labels.values())
    for number, label in labels.items():
        bare[number] = label if label and alike[label] == 1 and label not in often else whole[number]
    return bare


def _mixed(entries: Sequence[Entry]) -> bool:
    """Whether one connection goes on after another began."""
    over: set[int] = set()
    last = -1
    for entry in entries:
        if entry.strand is None or entry.strand.number == last:
            continue
        over.add(last)
        last = entry.strand.number
        if last in over:
            return True
    return False


def columns(known: Known, width: int, *, packets: bool) -> Columns:
    """The columns of lines that are so wide."""
    names = max(5, min(width // 10 + 1, max(map(cell_len, known.names.values())))) if known.mixed else 0
    tick = max(3, known.tick) if known.tick else 0
    rest = width - known.clock - 7 - (names + 2 if names else 0) - (tick + 1 if tick else 0)
    left, right = (bool(it) for it in known.sides)
    wire = max(18, min(44, rest * (32 if left and right else 38) // 100))
    lanes = rest - wire
    lane = lanes * 45 // 100
    if packets and left is not right:  # of one end only the states are known
        lane = max(_NARROW, lanes * 30 // 100)
        lane = lane if right else lanes - lane
    return Columns(known.clock, names, lane, wire, tick, lanes - lane)


def milliseconds(t: int) -> str:
    """Milliseconds, to the microsecond; below 0 it was before the log began."""
    micros = abs(t) // 1000
    sign = "-" if t < 0 < micros else ""
    return f"{sign}{micros // 1000}.{micros % 1000:03}"
