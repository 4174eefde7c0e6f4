"""Servers that want a port where an old connection is in TIME-WAIT; and a client that runs out of ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_lessons.run import Socket
    from evloop_lessons.stage import Stage

LESSON = Lesson(
    number=17,
    minutes=12,
    needs=(PACKETS,),
    steps=("listen", "restart", "ports"),
    parameters=(
        Parameter("first", "server", choices=("server", "client")),
        Parameter("ports", 4, low=1, high=100),
    ),
)

HOST = "127.0.0.1"
LOWEST = 50_000


def play(stage: Stage) -> None:
    """Three old servers, three clients, one new server; and a client with few ports."""
    # By default (2) the kernel takes a port on lo out of TIME-WAIT after a second, if it needs one.
    stage.sysctl("net.ipv4.tcp_tw_reuse", 0)
    # The ACK of a FIN, held back, now and then comes when its socket is gone. TIME-WAIT answers it, is reset
    # for that, and by default (0) a reset ends TIME-WAIT (RFC 1337).
    stage.sysctl("net.ipv4.tcp_rfc1337", 1)
    stage.step("listen")
    old = stage.program("old.py", HOST, stage["first"])
    user = stage.program("user.py", HOST, stage["first"])
    new = stage.program("new.py", HOST)
    busy = stage.program("busy.py", HOST, "8084")
    old.until("listen", 3)
    stage.step("restart")  # one step: whoever thinks for a minute in between has no TIME-WAIT to look at
    user.say("your turn")
    user.wait()
    old.wait()
    stage.until_sockets(_only_waiting, "three sockets in TIME-WAIT, and no others")
    new.say("your turn")
    new.until("listen")
    stage.step("ports")
    stage.sysctl("net.ipv4.ip_local_port_range", f"{LOWEST} {LOWEST + stage['ports'] - 1}")
    busy.say("your turn")
    busy.wait()
    number = len(busy.those("connect", errno=None))
    stage.until_sockets(
        lambda sockets: len([it for it in sockets if _waits(it) and it.peer == f"{HOST}:8084"]) == number,
        f"{number} more sockets in TIME-WAIT",
    )


def _waits(it: Socket) -> bool:
    return it.state == "TIME-WAIT"


def _only_waiting(sockets: Sequence[Socket]) -> bool:
    return len(sockets) == 3 and all(map(_waits, sockets))
