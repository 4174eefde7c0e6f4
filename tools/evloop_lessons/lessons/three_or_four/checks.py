"""What must be seen of five ways to take leave."""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, SOCKETS, claim, found
from evloop_lessons.run import notation
from evloop_trace.packets.segments import FIN, RST

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Run
    from evloop_trace.correlate.entries import CallEntry, PacketEntry

AT_ONCE, LATE, NEVER, RESET, COPY = range(5)
"""The callers, as they came."""

THREE, FOUR = "F FA A", "F A FA A"
PATIENCE = 35_000_000
"""Nanoseconds for which the kernel at least holds the FIN's ACK back, hoping for a packet to take it."""

FALSE = {"server=careful": ("four", "never", "reset", "copy")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _goodbye(run: Run, caller: int) -> list[PacketEntry]:
    """The packets of a caller's connection from the first FIN or RST on."""
    packets = run.packets(run.strand("caller", caller))
    return list(dropwhile(lambda it: not it.packet.flags & (FIN | RST), packets))


def _served(run: Run, caller: int, kind: str) -> CallEntry:
    """What the server called, the last time, for a caller."""
    number = run.strand("caller", caller).number
    return [it for it in run.calls("server", kind) if it.strand and it.strand.number == number][-1]


def _later(packets: list[PacketEntry]) -> int:
    """Nanoseconds from the first FIN to the last."""
    fins = [it.t for it in packets if it.packet.flags & FIN]
    return fins[-1] - fins[0]


def outcome(run: Run) -> str:
    """a: four packets either way; b: three, then four; c: three either way."""
    sizes = len(_goodbye(run, AT_ONCE)), len(_goodbye(run, LATE))
    return {(4, 4): "a", (3, 4): "b", (3, 3): "c"}.get(sizes, "")


@claim("three", PACKETS, "server", "caller")
def three(run: Run) -> Found:
    """The server's FIN takes the ACK of the client's with it; unless the server was too busy to close."""
    packets = _goodbye(run, AT_ONCE)
    seen = notation(packets)
    expected = FOUR if seen == FOUR and _later(packets) > PATIENCE else THREE
    close = _served(run, AT_ONCE, "close")
    return found(seen == expected, *packets, close, seen=seen, expected=expected)


@claim("four", PACKETS, "server", "caller")
def four(run: Run) -> Found:
    """The kernel acknowledges the client's FIN before the program has told it to send its own."""
    packets = _goodbye(run, LATE)
    seen, told = notation(packets), run.step("late-close").t
    late = f"{_later(packets) / 1e6:.0f} ms"
    early = seen == FOUR and packets[1].t < told <= packets[2].t
    after = f"{(packets[1].t - packets[0].t) / 1e6:.0f} ms"
    return found(early, *packets, _served(run, LATE, "close"), late=late, after=after, seen=seen)


@claim("never", PACKETS, SOCKETS, "server", "caller")
def never(run: Run) -> Found:
    """Who never closes is in CLOSE-WAIT, and whom it does not answer in FIN-WAIT-2."""
    strand, packets = run.strand("caller", NEVER), _goodbye(run, NEVER)
    sample = run.samples[-1]
    ours = sample.of(local=strand.server, peer=strand.client, state="CLOSE-WAIT")
    theirs = sample.of(local=strand.client, peer=strand.server, state="FIN-WAIT-2")
    good = notation(packets) == "F A" and bool(ours) and bool(theirs)
    return found(good, *packets, sample, time=f"{(sample.t - packets[0].t) / 1e9:.1f} s")


@claim("reset", PACKETS, SOCKETS, "server", "caller")
def reset(run: Run) -> Found:
    """A RST instead of a FIN; nobody has anything left of the connection."""
    strand, packets = run.strand("caller", RESET), _goodbye(run, RESET)
    close = _served(run, RESET, "close")
    told = [it for it in run.calls("caller", "recv") if it.event.errno == "ECONNRESET"]  # type: ignore[union-attr]
    sample = run.samples[-1]
    left = sample.of(local=strand.server, peer=strand.client) or sample.of(local=strand.client)
    good = notation(packets) == "R" and not packets[0].packet.client and len(told) == 1 and not left
    return found(good, close, *packets, *told)


@claim("copy", PACKETS, "server", "caller")
def copy(run: Run) -> Found:
    """close() sends no FIN as long as another process has the socket open."""
    close, child = _served(run, COPY, "close"), run.step("copy-close").t
    packets = _goodbye(run, COPY)
    good = packets[0].packet.flags & FIN and not packets[0].packet.client and close.t < child < packets[0].t
    return found(bool(good), close, packets[0], late=f"{max(0, packets[0].t - close.t) / 1e6:.0f} ms")


@claim("time-wait", PACKETS, SOCKETS, "caller")
def time_wait(run: Run) -> Found:
    """It is the end that has closed first, be it the client's or the server's."""
    sample = run.samples[-1]
    good, firsts = True, []
    for caller, by_client in ((AT_ONCE, True), (LATE, True), (COPY, False)):
        strand, first = run.strand("caller", caller), _goodbye(run, caller)[0]
        mine, other = (strand.client, strand.server) if by_client else (strand.server, strand.client)
        good &= first.packet.client == by_client
        good &= len(sample.of(local=mine, peer=other, state="TIME-WAIT")) == 1
        good &= not sample.of(local=other, peer=mine)
        firsts.append(first)
    return found(good, *firsts, sample)
