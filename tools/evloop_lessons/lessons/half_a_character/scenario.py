"""A text that is longer than one recv(), for a server that decodes it in three ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Actor, Stage

LESSON = Lesson(
    number=12,
    minutes=8,
    needs=(PACKETS,),
    steps=("listen", "each", "each-read", "ignore", "ignore-read", "incremental", "incremental-read"),
    parameters=(
        Parameter("text", "chinese", choices=("chinese", "english")),
        Parameter("size", 1024, low=128, high=4096),
    ),
)

HOST, PORT = "127.0.0.1", "8080"
LENGTH = 1509  # bytes that are sent with each call
WAYS = ("each", "ignore", "incremental")


def play(stage: Stage) -> None:
    """One call after another; the server reads when all has arrived."""
    stage.step("listen")
    server = stage.program("server.py", HOST, PORT, str(stage["size"]))
    caller = stage.program("caller.py", HOST, PORT, stage["text"])
    server.until("listen")
    for number, way in enumerate(WAYS, 1):
        _call(stage, server, caller, way, number)


def _call(stage: Stage, server: Actor, caller: Actor, way: str, number: int) -> None:
    stage.step(way)
    caller.say("your turn")
    address = server.until("accept", number).local
    stage.until_sockets(
        lambda sockets: any(it.local == address and it.peer and it.unread == LENGTH for it in sockets),
        f"{LENGTH} bytes that the server has not read",
    )
    stage.step(f"{way}-read")
    server.say("your turn")
    caller.until("close", number)
    server.until("close", number)
