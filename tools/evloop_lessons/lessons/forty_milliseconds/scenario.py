"""Write, write, read: three times, and again without Nagle's algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Stage

LESSON = Lesson(
    number=18,
    minutes=10,
    needs=(PACKETS,),
    steps=("listen", "first", "second"),
    parameters=(Parameter("first", "two-sends", choices=("two-sends", "nodelay", "one-send")),),
)

HOST, PORT = "127.0.0.1", "8080"


def play(stage: Stage) -> None:
    """One client, and then another one that does not wait."""
    stage.step("listen")
    server = stage.program("answerer.py", HOST, PORT, name="server")
    first = stage.program("asker.py", HOST, PORT, stage["first"], name="first")
    second = stage.program("asker.py", HOST, PORT, "nodelay", name="second")
    server.until("listen")
    for number, client in enumerate((first, second), 1):
        stage.step(client.name)
        client.say("call")
        server.until("accept", number)
        client.say("ask")
        client.wait()
    server.wait()
