"""A client that has hung up, and a server that has two words for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_lessons.run import Socket
    from evloop_lessons.stage import Stage

LESSON = Lesson(
    number=6,
    minutes=8,
    needs=(PACKETS,),
    steps=("call", "hang-up", "send", "again", "look"),
    parameters=(Parameter("end", "close", choices=("close", "half")),),
)

HOST, PORT = "127.0.0.1", "8080"


def play(stage: Stage) -> None:
    """The client first, to the end; then the server."""
    server = stage.program("server.py", HOST, PORT)
    client = stage.program("caller.py", HOST, PORT, stage["end"], name="client")
    server.until("listen")
    stage.step("call")
    client.say("your turn")
    server.until("accept")
    stage.step("hang-up")
    client.hang_up()
    if stage["end"] == "close":
        client.wait()
    stage.until_sockets(_half_open, "a FIN that the server's kernel has taken")
    stage.step("send")
    server.say("one")
    server.until("send")
    if stage["end"] == "close":
        stage.until_sockets(lambda sockets: not _half_open(sockets), "a reset that it has taken")
    else:
        client.until("recv")
    stage.step("again")
    server.say("two")
    server.until("send", 2)
    stage.step("look")
    server.hang_up()
    server.wait()


def _half_open(sockets: Sequence[Socket]) -> bool:
    """Whether the server's kernel knows that the other side sends no more."""
    return any(it.local == f"{HOST}:{PORT}" and it.state == "CLOSE-WAIT" for it in sockets)
