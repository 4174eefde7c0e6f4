"""What must be seen of a phone call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, claim, found
from evloop_lessons.run import first, milliseconds, notation, results, returned
from evloop_trace.packets.segments import FIN

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Run

EXPECTED = "S SA A 18 A 18 A F FA A"
SLOW = "S SA A 18 A 18 A F A FA A"
SIZE = 18  # bytes: of each 哈 UTF-8 makes three
PATIENCE = 35_000_000
"""Nanoseconds for which the kernel at least holds the FIN's ACK back, hoping for a packet to take it."""

FALSE = {"messages=3": ("ten", "calls")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def outcome(run: Run) -> str:
    """How many packets there were."""
    return str(len(run.packets()))


@claim("ten", PACKETS)
def ten(run: Run) -> Found:
    """No packet more and none less, in this order; one more only if the server was too busy to close."""
    packets = run.packets()
    seen = notation(packets)
    fins = [it.t for it in run.packets(flags=FIN)]
    expected = SLOW if seen == SLOW and fins[-1] - fins[0] > PATIENCE else EXPECTED
    number = len(expected.split())
    return found(seen == expected, *packets, seen=seen, expected=expected, number=number)


@claim("calls", "server")
def calls(run: Run) -> Found:
    """All that the server calls for this client."""
    served = run.calls("server", "accept", "recv", "send", "close")
    conn = [it for it in served if getattr(it.event, "conn", None)]
    wanted = [("accept", None), ("recv", SIZE), ("send", SIZE), ("recv", 0), ("close", None)]
    return found(results(conn) == wanted, *conn)


@claim("before-accept", PACKETS, "server")
def before_accept(run: Run) -> Found:
    """The kernel shakes hands by itself."""
    acks = [it for it in run.packets(client=True) if notation([it]) == "A"]
    ack = first(acks, "an ACK of the client")
    accept = run.call("server", "accept")
    early = returned(accept) - ack.t
    return found(early > 0, ack, accept, early=f"{early / 1000:.0f} µs")


@claim("silence", PACKETS)
def silence(run: Run) -> Found:
    """A connection at rest needs no packets."""
    begin, end = run.step("silence").t, run.step("say").t
    during = run.between(begin, end, run.packets())
    return found(not during, *during, wait=milliseconds(end - begin))
