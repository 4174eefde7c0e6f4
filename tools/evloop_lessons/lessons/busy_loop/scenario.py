"""A connection that is watched for WRITE, though nothing waits to be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Server, Stage

LESSON = Lesson(
    number=14,
    minutes=8,
    needs=(PACKETS,),
    steps=("listen", "call", "read", "write", "speak", "mended"),
    parameters=(
        Parameter("write", "always", choices=("always", "when-needed")),
        Parameter("seconds", 0.05, low=0.02, high=0.5),
    ),
)

MANY = 1_000  # wake-ups; a machine that is busy may take longer for them
MESSAGE = "hello"


def play(stage: Stage) -> None:
    """Once it is watched for READ, and once for WRITE as well; and the client is answered all the same."""
    stage.step("listen")
    server = stage.serve()
    stage.step("call")
    client = stage.client(server)
    client.until("connect")
    server.until("interest", 2)
    stage.step("read")
    stage.still(stage["seconds"])
    always = stage["write"] == "always"
    stage.step("write")
    if always:
        server.hold("write")
        stage.until(lambda: _woken(server) > MANY, f"that the loop wakes {MANY} times")
    stage.still(stage["seconds"])  # its log is not read now: it grows about as fast as one can read
    if always:
        server.release("write")
    stage.step("speak")
    if always:
        server.hold("write")
    client.say(MESSAGE)
    client.until("recv")
    if always:
        server.release("write")
    stage.step("mended")
    stage.still(stage["seconds"] / 2)
    client.hang_up()
    server.until("close")


def _woken(server: Server) -> int:
    """How often it woke since it is watched for WRITE."""
    told = server.those("control", gate="write", held=True)
    return sum(it.seq > told[0].seq for it in server.those("poll")) if told else 0
