"""What must be seen of five ways to take leave."""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, SOCKETS, Missing, claim, found
from evloop_lessons.run import milliseconds, notation
from evloop_trace.packets.segments import FIN, RST

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run, Sample
    from evloop_trace.correlate.entries import PacketEntry

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


def _served(run: Run, caller: int, kind: str) -> Call:
    """What the server called, the last time, for a caller."""
    return run.calls("server", kind, strand=run.strand("caller", caller))[-1]


def _ends(run: Run, caller: int) -> tuple[str, str]:
    """The server's address and the client's."""
    strand = run.strand("caller", caller)
    return strand.server, strand.client


def _in(run: Run, local: str, peer: str, state: str) -> list[Sample]:
    """The kernel's table whenever it had changed, as often as it had an end of a connection in a state."""
    return [it for it in run.samples if it.of(local=local, peer=peer, state=state)]


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
    return found(seen == expected, *packets, close, seen=seen, number=len(packets))


@claim("four", PACKETS, "server", "caller")
def four(run: Run) -> Found:
    """The kernel acknowledges the client's FIN before the program has told it to send its own."""
    packets = _goodbye(run, LATE)
    seen, told = notation(packets), run.step("late-close").t
    late = milliseconds(_later(packets))
    early = seen == FOUR and packets[1].t < told <= packets[2].t
    after = milliseconds(packets[1].t - packets[0].t)
    return found(early, *packets, _served(run, LATE, "close"), late=late, after=after, seen=seen)


@claim("never", PACKETS, SOCKETS, "server", "caller")
def never(run: Run) -> Found:
    """Who never closes stays in CLOSE-WAIT; the other is in FIN-WAIT-2, until Linux forgets it."""
    packets = _goodbye(run, NEVER)
    server, client = _ends(run, NEVER)
    both = [
        it
        for it in _in(run, client, server, "FIN-WAIT-2")
        if it.of(local=server, peer=client, state="CLOSE-WAIT")
    ]
    if not both:
        raise Missing("CLOSE-WAIT and FIN-WAIT-2")
    stays = run.samples[-1].of(local=server, peer=client, state="CLOSE-WAIT")
    time = f"{(both[-1].t - packets[0].t) / 1e9:.1f} s"
    return found(notation(packets) == "F A" and bool(stays), *packets, both[-1], time=time)


@claim("reset", PACKETS, SOCKETS, "server", "caller")
def reset(run: Run) -> Found:
    """A RST instead of a FIN; nobody has anything left of the connection."""
    packets = _goodbye(run, RESET)
    server, client = _ends(run, RESET)
    close = _served(run, RESET, "close")
    told = [it for it in run.calls("caller", "recv") if it.event.errno == "ECONNRESET"]
    left = _in(run, server, client, "TIME-WAIT") + _in(run, client, server, "TIME-WAIT")
    good = notation(packets) == "R" and not packets[0].packet.client and len(told) == 1 and not left
    return found(good, close, *packets, *told)


@claim("copy", PACKETS, "server", "caller")
def copy(run: Run) -> Found:
    """close() sends no FIN as long as another process has the socket open."""
    close, child = _served(run, COPY, "close"), run.step("copy-close").t
    packets = _goodbye(run, COPY)
    good = packets[0].packet.flags & FIN and not packets[0].packet.client and close.t < child < packets[0].t
    return found(bool(good), close, packets[0], late=milliseconds(max(0, packets[0].t - close.t)))


@claim("time-wait", PACKETS, SOCKETS, "caller")
def time_wait(run: Run) -> Found:
    """It is the end that has closed first, be it the client's or the server's."""
    good, shown = True, []
    for caller, by_client in ((AT_ONCE, True), (LATE, True), (COPY, False)):
        first = _goodbye(run, caller)[0]
        server, client = _ends(run, caller)
        mine, other = (client, server) if by_client else (server, client)
        good &= first.packet.client == by_client and not _in(run, other, mine, "TIME-WAIT")
        shown += [first, _in(run, mine, other, "TIME-WAIT")[0]]
    return found(good, *shown)
