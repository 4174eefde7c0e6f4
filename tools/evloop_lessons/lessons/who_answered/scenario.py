"""A call that no program answers until the caller has spoken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_lessons.run import Socket
    from evloop_lessons.stage import Server, Stage

LESSON = Lesson(
    number=2,
    minutes=5,
    needs=(PACKETS,),
    steps=("listen", "call", "say", "accept"),
    parameters=(Parameter("accept", "late", choices=("late", "early")),),
)

MESSAGE = "anybody home?"


def play(stage: Stage) -> None:
    """One client, who does not know that nobody has called accept()."""
    stage.step("listen")
    server = stage.serve("--model=conversation", hold=("accept",))
    stage.step("call")
    client = stage.client(server)
    client.until("connect")
    if stage["accept"] == "early":
        _accept(stage, server)
        server.until("block", awaits="recv")
    stage.step("say")
    client.say(MESSAGE)
    if stage["accept"] == "late":
        stage.until_sockets(
            lambda sockets: _arrived(sockets, server.address), f"that {len(MESSAGE)} bytes are acknowledged"
        )
        _accept(stage, server)
    client.until("recv")


def _accept(stage: Stage, server: Server) -> None:
    stage.step("accept")
    server.release("accept")


def _arrived(sockets: Sequence[Socket], address: str) -> bool:
    """The message waits at the server, and the client's kernel knows: nothing of it is unacknowledged."""
    waits = any(it.local == address and it.peer and it.unread == len(MESSAGE) for it in sockets)
    return waits and all(it.unsent == 0 for it in sockets if it.peer == address)
