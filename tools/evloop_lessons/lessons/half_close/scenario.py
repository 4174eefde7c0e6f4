"""A server that can answer only when it knows that nothing more will come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_lessons.run import Socket
    from evloop_lessons.stage import Stage

LESSON = Lesson(
    number=16,
    minutes=8,
    needs=(PACKETS,),
    steps=("listen", "ask", "end", "answer"),
    parameters=(Parameter("end", "shutdown", choices=("shutdown", "close", "nothing")),),
)

HOST, PORT = "127.0.0.1", "8080"
WORDS = ("pear", "apple")


def play(stage: Stage) -> None:
    """A question, the end of one half, and the answer."""
    stage.step("listen")
    server = stage.program("sorter.py", HOST, PORT, name="server")
    client = stage.program("asker.py", HOST, PORT, stage["end"], name="client")
    server.until("listen")
    stage.step("ask")
    client.say("your turn")
    for number, word in enumerate(WORDS, 1):
        client.say(word)
        server.until("recv", number)
    stage.step("end")
    client.hang_up()
    if stage["end"] == "nothing":
        client.until("block", awaits="recv")
        stage.still(0.5)
        return
    stage.until_sockets(_half_closed, "a connection of which one half is closed, and that is acknowledged")
    stage.step("answer")
    server.say("your turn")
    client.wait()
    server.wait()


def _half_closed(sockets: Sequence[Socket]) -> bool:
    return {"CLOSE-WAIT", "FIN-WAIT-2"} <= {it.state for it in sockets}
