"""A server on a TCP port, on a path and on an abstract name; it is called, overrun, killed, and succeeded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from evloop_lessons.lesson import Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Actor, Stage

LESSON = Lesson(
    number=20,
    minutes=10,
    steps=("listen", "tcp", "unix", "crowd", "read", "end", "again"),
    parameters=(
        Parameter("backlog", 5, low=0, high=20),
        Parameter("end", "killed", choices=("killed", "in-order")),
    ),
)

MESSAGE = "hello la 哈哈哈"
PATH = "upper.sock"


def play(stage: Stage) -> None:
    """One caller of each kind, then seven at once, then nobody."""
    name = f"evloop-upper-{os.getpid()}"
    stage.step("listen")
    server = stage.serve(
        f"--unix={PATH}", f"--unix=@{name}", f"--backlog={stage['backlog']}", "--drain-timeout=0"
    )
    tcp = stage.program("caller.py", server.address, name="tcp")
    unix = stage.program("caller.py", PATH, name="unix")
    crowd = stage.program("crowd.py", PATH)
    visitor = stage.program("visitor.py", PATH, name="late")
    successor = stage.program("successor.py", PATH, name)
    stage.step("tcp")
    _call(tcp)
    server.until("close", 1)
    stage.step("unix")
    _call(unix)
    server.until("close", 2)
    server.hold("accept")
    stage.step("crowd")
    crowd.say("your turn")
    crowd.until("send", 2)
    stage.step("read")
    server.release("accept")
    server.until("send", 3)
    stage.step("end")
    server.signal("SIGKILL" if stage["end"] == "killed" else "SIGTERM")
    server.wait()
    stage.step("again")
    visitor.say("your turn")
    visitor.wait()
    successor.say("your turn")
    successor.wait()


def _call(caller: Actor) -> None:
    caller.say("your turn")
    caller.say(MESSAGE)
    caller.until("recv")
    caller.hang_up()
    caller.wait()
