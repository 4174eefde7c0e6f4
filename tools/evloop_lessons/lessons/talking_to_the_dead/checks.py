"""What must be seen of two sends to somebody who has closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, claim, found
from evloop_lessons.run import first
from evloop_trace.packets.segments import FIN, RST

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Run
    from evloop_trace.correlate.entries import PacketEntry

WORD = 3  # bytes: one, two
EPIPE = "EPIPE"

FALSE = {"end=half": ("reset", "second", "nothing")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _reset(run: Run) -> PacketEntry:
    """With which the client's kernel says that nobody will read any more."""
    return first(run.packets(client=True, flags=RST), "a reset")


def outcome(run: Run) -> str:
    """a: both fail; b: the second does; c: neither does."""
    sends = "".join("-+"[it.event.errno is None] for it in run.calls("server", "send"))
    return {"--": "a", "+-": "b", "++": "c"}.get(sends, "")


@claim("first", PACKETS, "server")
def sent(run: Run) -> Found:
    """The FIN is there, and send() takes the word all the same."""
    fin = first(run.packets(client=True, flags=FIN), "a FIN of the client")
    send = run.call("server", "send")
    good = fin.t < send.t and send.event.n == WORD
    return found(good, fin, send, size=send.event.n)


@claim("reset", PACKETS, "server")
def reset(run: Run) -> Found:
    """Nobody has that socket any more: the client's kernel says so."""
    data = first(run.packets(client=False, data=True), "a packet with data")
    answer = _reset(run)
    return found(data.t < answer.t, data, answer, late=f"{(answer.t - data.t) / 1000:.0f} µs")


@claim("second", PACKETS, "server")
def second(run: Run) -> Found:
    """The second word is refused by the server's own kernel, which knows by now."""
    answer = _reset(run)
    send = run.call("server", "send", 1)
    return found(answer.t < send.t and send.event.errno == EPIPE, answer, send)


@claim("nothing", PACKETS, "server")
def nothing(run: Run) -> Found:
    """It is not even tried."""
    send = run.call("server", "send", 1)
    later = [it for it in run.packets() if it.t >= send.t]
    return found(not later, send, *later)


@claim("end", "server")
def end(run: Run) -> Found:
    """recv() tells of an orderly end, not of the reset."""
    recv = run.call("server", "recv")
    return found(recv.event.n == 0 and recv.event.errno is None, recv)
