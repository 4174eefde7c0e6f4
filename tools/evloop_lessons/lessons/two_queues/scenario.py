"""The queue of handshakes that are not finished, and the queue of those that are; the first is filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter
from evloop_trace.packets.segments import SYN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop_lessons.run import Socket
    from evloop_lessons.stage import Stage

LESSON = Lesson(
    number=8,
    minutes=12,
    needs=(PACKETS,),
    steps=("listen", "cookies", "speak", "none"),
    parameters=(
        Parameter("backlog", 5, low=4, high=20),
        Parameter("defer", 3600, low=0, high=3600),
    ),
)

HOST = "127.0.0.1"
CALLERS = 8
WITH, WITHOUT = 8080, 8081


def play(stage: Stage) -> None:
    """Eight clients, of whom one says something; and eight without SYN cookies."""
    fit = min(stage["backlog"] + 1, CALLERS)
    rest = CALLERS - fit
    waiting, finished = (fit, rest) if stage["defer"] else (0, fit)
    stage.step("listen")
    server = stage.program("server.py", HOST, str(stage["backlog"]), str(stage["defer"]))
    some = stage.program("callers.py", HOST, str(WITH), name="on")
    others = stage.program("callers.py", HOST, str(WITHOUT), name="off")
    server.until("listen", 2)
    stage.step("cookies")
    stage.sysctl("net.ipv4.tcp_syncookies", 1)
    some.say("your turn")
    some.until("connect", CALLERS)
    stage.until_sockets(_queues(WITH, waiting, finished), f"{waiting} handshakes that are not finished")
    stage.step("speak")
    some.say("say something")
    some.until("send")
    if stage["defer"]:
        stage.until_sockets(_queues(WITH, waiting - 1, finished + 1), "a handshake that is finished")
    stage.step("none")
    stage.sysctl("net.ipv4.tcp_syncookies", 0)
    others.say("your turn")
    others.until("connect", CALLERS)
    finished = 0 if stage["defer"] else fit
    stage.until_packets(
        lambda packets: len({it.wire.number for it in packets if it.flags & SYN}) == 2 * CALLERS,
        "everybody's SYN",
    )
    stage.until_sockets(_queues(WITHOUT, waiting, finished), f"{waiting} handshakes that are not finished")


def _queues(port: int, waiting: int, finished: int) -> Callable[[Sequence[Socket]], bool]:
    """Whether so many handshakes with a listener are not finished, and so many wait to be accepted."""
    address = f"{HOST}:{port}"

    def so(sockets: Sequence[Socket]) -> bool:
        ours = [it for it in sockets if it.local == address]
        half = [it for it in ours if it.state == "SYN-RECEIVED"]
        return len(half) == waiting and any(not it.peer and it.unread == finished for it in ours)

    return so
