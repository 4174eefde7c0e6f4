"""What must be seen of four that vanish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Missing, claim, found
from evloop_lessons.run import first, returned
from evloop_trace.packets.segments import FIN, RST

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run
    from evloop_trace.correlate.entries import PacketEntry

IDLE = 1_000_000_000
"""Nanoseconds of silence before keep-alive asks."""
EARLIEST, LATEST = 2_500_000_000, 5_000_000_000
"""Until it gives up: a second of silence, and two questions, each with a second to answer."""

FALSE = {"greeting=read": ("unread",), "keepalive=off": ("cable",)}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _received(run: Run, name: str) -> list[Call]:
    """What the server's recv() gave of a client."""
    return run.calls("server", "recv", strand=run.strand(name))


def _flagged(run: Run, name: str, flag: int) -> list[PacketEntry]:
    """The client's packets with that flag."""
    return run.packets(run.strand(name), client=True, flags=flag)


def _ends_as_if_closed(run: Run, name: str) -> bool:
    """With a FIN, and no reset, and b''."""
    fins, resets = _flagged(run, name, FIN), _flagged(run, name, RST)
    return bool(fins) and not resets and _received(run, name)[-1].event.n == 0


def outcome(run: Run) -> str:
    """Of how many the server gets b''."""
    return str(len([it for it in run.calls("server", "recv") if it.event.n == 0]))


@claim("idle", PACKETS, "server", "idle")
def idle(run: Run) -> Found:
    """The kernel closes what a dead program leaves."""
    good = _ends_as_if_closed(run, "idle") and not run.calls("idle", "close")
    return found(good, *_flagged(run, "idle", FIN | RST), *_received(run, "idle"))


@claim("unread", PACKETS, "server", "unread")
def unread(run: Run) -> Found:
    """What it has not read is lost, and the server must know."""
    calls, resets = _received(run, "unread"), _flagged(run, "unread", RST)
    good = resets and not _flagged(run, "unread", FIN) and calls[-1].event.errno == "ECONNRESET"
    return found(bool(good), *run.calls("unread", "recv"), *resets, *calls)


@claim("sending", PACKETS, "server", "sending")
def sending(run: Run) -> Found:
    """A part, and then an end like any other."""
    calls = _received(run, "sending")
    asleep = [it for it in run.calls("sending", "block") if it.event.awaits == "send"]
    asked = first(asleep, "a send() that sleeps")
    size: int = sum(it.event.n or 0 for it in calls)
    total: int = asked.event.size
    good = 0 < size < total and _ends_as_if_closed(run, "sending")
    return found(good, asked, *_flagged(run, "sending", FIN), *calls, size=f"{size:,}", total=f"{total:,}")


@claim("cable", PACKETS, "server", "quiet")
def cable(run: Run) -> Found:
    """Nothing at all, until the server's own kernel gives up."""
    pulled, last = run.step("cable"), run.packets()[-1]
    end = _received(run, "quiet")
    if not end or end[-1].event.errno != "ETIMEDOUT":
        raise Missing("an end of the fourth connection")
    waited = returned(end[-1]) - last.t
    events = run.between(max(pulled.t, last.t + 1), end[-1].t, run.calls())
    # If it took us longer than that to pull it, keep-alive asked once more, and was answered, while we did.
    good = last.t < pulled.t + IDLE and not events and EARLIEST < waited < LATEST
    return found(good, last, *events, end[-1], waited=f"{waited / 1e9:.1f} s")
