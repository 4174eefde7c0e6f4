"""More callers than one server answers at a time, and than its queue holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter
from evloop_trace.packets.segments import ACK, SYN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_lessons.stage import Actor, Stage
    from evloop_trace.packets.sightings import Sighting

APART = 0.1
"""Seconds from one caller who is not answered to the next.

Their kernels ask again after a second, by timers that are coarse (80 ms, with HZ=100). Of two SYNs at once
both would find the one place free, and the ACK of the second would be dropped: another story.
"""

LESSON = Lesson(
    number=7,
    minutes=12,
    needs=(PACKETS,),
    steps=("listen", "first", "others", "speak", "wait", "leave"),
    parameters=(
        Parameter("backlog", 5, low=0, high=20),
        Parameter("callers", 10, low=2, high=24),
    ),
)


def play(stage: Stage) -> None:
    """Everybody calls, one after another; then the first hangs up."""
    stage.step("listen")
    server = stage.serve("--model=sequential", f"--backlog={stage['backlog']}")
    host, _, port = server.address.rpartition(":")
    first, *others = [
        stage.program("caller.py", host, port, name=f"client-{number}")
        for number in range(1, stage["callers"] + 1)
    ]
    stage.step("first")
    first.say("your turn")
    server.until("accept")
    stage.step("others")
    for number, caller in enumerate(others, 2):
        caller.say("your turn")
        if number < stage["backlog"] + 3:
            caller.until("connect")
        else:
            caller.until("block")
            stage.still(APART)
    stage.step("speak")
    others[0].say("I am here")
    others[0].until("send")
    stage.step("wait")
    unanswered = [it for it in others if not it.has("connect")]
    stage.until_packets(
        lambda packets: _in_vain(packets) == len(unanswered), f"a second SYN of {len(unanswered)} clients"
    )
    stage.step("leave")
    first.hang_up()
    server.until("accept", 2)
    if unanswered:
        stage.until(lambda: any(_got_in(it) for it in unanswered), "that one of those who wait gets in")
    else:
        others[0].until("recv")


def _in_vain(packets: Sequence[Sighting]) -> int:
    """Connections for which a SYN was sent twice or more, and nothing came back."""
    syns: dict[int, int] = {}
    answered = set()
    for packet in packets:
        if packet.flags & SYN and not packet.flags & ACK:
            syns[packet.wire.number] = syns.get(packet.wire.number, 0) + 1
        elif not packet.client:
            answered.add(packet.wire.number)
    return sum(number >= 2 for wire, number in syns.items() if wire not in answered)


def _got_in(caller: Actor) -> bool:
    return caller.has("connect", errno=None)
