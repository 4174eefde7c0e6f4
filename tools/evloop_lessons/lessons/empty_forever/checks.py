"""What must be seen of the end of a stream that nobody heeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Missing, claim, found
from evloop_lessons.run import first, milliseconds, returned
from evloop_trace.packets.segments import FIN

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run
    from evloop_trace.correlate.entries import PacketEntry

TURNS = 1000

FALSE = {"check=on": ("forever", "silent"), "end=reset": ("fin", "forever", "silent")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _empty(run: Run) -> list[Call]:
    """The calls of recv() that gave b''."""
    return [it for it in run.calls("server", "recv") if it.event.n == 0]


def _some_empty(run: Run) -> list[Call]:
    """One of them at least."""
    if empty := _empty(run):
        return empty
    raise Missing("a recv() that gave b''")


def _fin(run: Run) -> PacketEntry:
    """The client's."""
    return first(run.packets(client=True, flags=FIN), "a FIN of the client")


def outcome(run: Run) -> str:
    """a: recv() sleeps; b: it gives b'' once, and sleeps; c: it gives b'' again and again; d: it fails."""
    if any(it.event.errno for it in run.calls("server", "recv")):
        return "d"
    empty = _empty(run)
    if len(empty) > 1:
        return "c"
    asleep = run.calls("server", "block")[-1].t > run.step("close").t
    return {(0, True): "a", (1, True): "b"}.get((len(empty), asleep), "")


@claim("fin", PACKETS, "server")
def fin(run: Run) -> Found:
    """One FIN, and then nothing more from the client; the server is not told again."""
    goodbye, last = _fin(run), _some_empty(run)[-1]
    more = [it for it in run.packets(client=True) if goodbye.t < it.t < last.t]
    return found(not more, goodbye, *more)


@claim("forever", PACKETS, "server")
def forever(run: Run) -> Found:
    """b'' at every call, and the server never sleeps."""
    empty = _some_empty(run)
    begin, last = empty[0], empty[-1]
    asleep = [it for it in run.calls("server", "block") if it.t > begin.t]
    time = milliseconds(returned(last) - begin.t)
    good = len(empty) >= TURNS and _fin(run).t < begin.t and not asleep
    shown = [begin] if begin is last else [begin, last]
    return found(good, _fin(run), *shown, *asleep, number=f"{len(empty):,}", time=time)


@claim("silent", PACKETS, "server")
def silent(run: Run) -> Found:
    """And it sends nothing as often, which nobody notices."""
    empty = _some_empty(run)
    begin, end = empty[0].t, empty[-1].t
    sends = [it for it in run.calls("server", "send") if it.t > begin]
    data = [it for it in run.packets(client=False, data=True) if begin < it.t < end]
    nothing = all(it.event.n == 0 for it in sends)
    return found(
        len(sends) >= TURNS and nothing and not data, *sends[:1], *sends[-1:], *data, number=f"{len(sends):,}"
    )
