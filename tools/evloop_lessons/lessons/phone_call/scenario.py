"""One call: connect, silence, a message and its answer, hang up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Stage

LESSON = Lesson(
    number=1,
    minutes=5,
    needs=(PACKETS,),
    steps=("listen", "call", "silence", "say", "hang-up"),
    parameters=(
        Parameter("wait", 0.2, low=0.0, high=60.0),
        Parameter("messages", 1, low=1, high=10),
    ),
)

MESSAGE = "hello la 哈哈哈"


def play(stage: Stage) -> None:
    """One client, who is in no hurry."""
    stage.step("listen")
    server = stage.serve("--model=conversation")
    stage.step("call")
    client = stage.client(server)
    client.until("connect")
    stage.step("silence")
    stage.still(stage["wait"])
    stage.step("say")
    for number in range(1, stage["messages"] + 1):
        client.say(MESSAGE)
        client.until("recv", number)
    stage.step("hang-up")
    client.hang_up()
    client.wait()
    server.wait()
