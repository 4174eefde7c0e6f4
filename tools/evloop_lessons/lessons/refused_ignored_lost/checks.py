"""What must be seen of three who call in vain."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, SOCKETS, Missing, claim, found
from evloop_lessons.run import notation
from evloop_trace.packets.segments import RST

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Run

AT_ONCE = 50_000_000
"""Nanoseconds within which a reset is there: the other kernel makes it by itself."""
SHORTEST, LONGEST = 900_000_000, 1_200_000_000
"""From the first SYN to the second: 1 s (RFC 6298, section 2)."""
EARLIEST, LATEST = 2_500_000_000, 5_000_000_000
"""Until connect() gives up: 1 s for the first SYN and twice as long for the second."""

FALSE = {"backlog=1": ("full", "ignored", "alike")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _error(run: Run, name: str) -> str | None:
    """What connect() failed with."""
    error: str | None = run.call(name, "connect").event.errno
    return error


def outcome(run: Run) -> str:
    """a: three errors; b: the last two are one; c: the first two are."""
    errors = _error(run, "refused"), _error(run, "ignored"), _error(run, "lost")
    if None in errors:
        return ""
    first, second, third = errors
    return "b" if second == third else "c" if first == second else "a"


@claim("refused", PACKETS, "refused")
def refused(run: Run) -> Found:
    """Where nobody listens the kernel says so, at once."""
    call, packets = run.call("refused", "connect"), run.packets(run.strand("refused"))
    late = packets[-1].t - packets[0].t
    good = notation(packets) == "S R" and late < AT_ONCE and _error(run, "refused") == "ECONNREFUSED"
    return found(good, *packets, call, late=f"{late / 1000:.0f} µs")


@claim("full", SOCKETS, "server")
def full(run: Run) -> Found:
    """The kernel's own count of the queue."""
    listen, sample = run.call("server", "listen"), run.sample(run.step("ignored").t)
    queued = sample.queue(listen.event.address)
    return found(queued > run["backlog"], listen, sample, queued=queued, backlog=run["backlog"])


def _in_vain(run: Run, name: str) -> Found:
    """SYNs, a second apart, and nothing comes back; after three seconds the client's kernel gives up."""
    call, packets = run.call(name, "connect"), run.packets(run.strand(name))
    if not notation(packets).startswith("S S*"):
        raise Missing("a second SYN")
    gaps = [b.t - a.t for a, b in pairwise(packets)]
    waited = call.event.dur
    good = notation(packets) == "S S*" and all(SHORTEST < it < LONGEST for it in gaps)
    good &= _error(run, name) == "ETIMEDOUT" and EARLIEST < waited < LATEST
    shown = [f"{it / 1e9:.2f} s" for it in gaps]
    return found(good, *packets, call, gaps=shown, waited=f"{waited / 1e9:.1f} s")


@claim("ignored", PACKETS, "ignored")
def ignored(run: Run) -> Found:
    """A full queue."""
    return _in_vain(run, "ignored")


@claim("lost", PACKETS, "lost")
def lost(run: Run) -> Found:
    """Nothing gets through."""
    return _in_vain(run, "lost")


@claim("alike", PACKETS, "ignored", "lost")
def alike(run: Run) -> Found:
    """Nothing that the client can see is different."""
    one, other = run.packets(run.strand("ignored")), run.packets(run.strand("lost"))
    error = _error(run, "lost")
    good = notation(one) == notation(other) and _error(run, "ignored") == error
    resets = [it for it in [*one, *other] if it.packet.flags & RST]
    seen = f"{notation(one)} · {_error(run, 'ignored')}", f"{notation(other)} · {error}"
    return found(good and not resets, *seen, *resets, error=error)


@claim("unseen", "server", "wall")
def unseen(run: Run) -> Found:
    """No program that listens learns of any of this."""
    events = [it for log in ("server", "wall") for it in run.calls(log) if it.t >= run.step("refused").t]
    return found(not events, *run.calls("server", "listen"), *run.calls("wall", "listen"), *events)
