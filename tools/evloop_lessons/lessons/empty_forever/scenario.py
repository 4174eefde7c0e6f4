"""A client that closes, and a server that does not look at what recv() gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Stage

LESSON = Lesson(
    number=4,
    minutes=6,
    needs=(PACKETS,),
    steps=("listen", "say", "close"),
    parameters=(
        Parameter("check", "off", choices=("off", "on")),
        Parameter("end", "close", choices=("close", "kill", "reset")),
    ),
)

MESSAGE = "are you there?"
TURNS = 1000


def play(stage: Stage) -> None:
    """One message, and its answer; then the client goes."""
    stage.step("listen")
    server = stage.program("server.py", "8080", stage["check"], str(TURNS))
    address = server.until("listen").address
    stage.step("say")
    client = stage.client(address, f"--end={'reset' if stage['end'] == 'reset' else 'fin'}")
    client.say(MESSAGE)
    client.until("recv")
    stage.step("close")
    if stage["end"] == "kill":
        client.signal("SIGKILL")
    else:
        client.hang_up()
    client.wait()
    server.wait()
