"""What must be seen of three sends that are read late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, claim, found
from evloop_lessons.run import first, payload_size

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run
    from evloop_trace.correlate.entries import PacketEntry

SIZES = [3, 3, 5]  # bytes: one, two, three
WORDS = ["one", "two", "three"]

FALSE = {"reads=at-once": ("once", "acknowledged", "nodelay", "framed")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _data(run: Run, way: str) -> list[PacketEntry]:
    """The packets with which a caller's data went."""
    return run.packets(run.strand(way), client=True, data=True)


def _received(run: Run, way: str) -> list[Call]:
    """The calls with which the server got them."""
    return [it for it in run.calls("server", "recv", strand=run.strand(way)) if it.event.n]


def outcome(run: Run) -> str:
    """a: a recv for each send; b: one for all, either way; c: one with Nagle's algorithm, three without."""
    calls = len(_received(run, "plain")), len(_received(run, "nodelay"))
    return {(3, 3): "a", (1, 1): "b", (1, 3): "c"}.get(calls, "")


@claim("packets", PACKETS, "plain")
def packets(run: Run) -> Found:
    """A packet for each send, although Nagle's algorithm is on."""
    data = _data(run, "plain")
    sizes = [payload_size(it) for it in data]
    return found(sizes == SIZES, *run.calls("plain", "send"), *data, sizes=sizes)


@claim("once", "server", "plain")
def once(run: Run) -> Found:
    """All three with one recv."""
    calls = _received(run, "plain")
    return found([it.event.n for it in calls] == [sum(SIZES)], *calls)


@claim("acknowledged", PACKETS, "server", "plain")
def acknowledged(run: Run) -> Found:
    """The kernel has taken and acknowledged everything before the program asks for it."""
    received = _received(run, "plain")[0]
    acks = [it for it in run.packets(run.strand("plain"), client=False) if it.packet.ack == sum(SIZES)]
    return found(acks[0].t < received.t, acks[0], received)


@claim("nodelay", PACKETS, "server", "nodelay")
def nodelay(run: Run) -> Found:
    """Without Nagle's algorithm nothing is different."""
    options = [it for it in run.calls("nodelay", "setsockopt") if it.event.option == "TCP_NODELAY"]
    option = first(options, "the option TCP_NODELAY")
    data, calls = _data(run, "nodelay"), _received(run, "nodelay")
    sizes = [payload_size(it) for it in data]
    alike = sizes == SIZES and [it.event.n for it in calls] == [sum(SIZES)]
    return found(alike, option, *data, *calls)


@claim("framed", "server", "framed")
def framed(run: Run) -> Found:
    """One recv again; but now what it gives can be taken apart."""
    calls = _received(run, "framed")
    data = b"".join(it.event.data for it in calls)
    return found(
        len(calls) == 1 and data.decode().split("\n") == [*WORDS, ""], *calls, data=repr(data.decode())
    )
