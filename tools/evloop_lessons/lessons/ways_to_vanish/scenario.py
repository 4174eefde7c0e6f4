"""Four clients that are gone without a word: three are killed, of the last the cable is pulled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Actor, Stage

LESSON = Lesson(
    number=5,
    minutes=12,
    needs=(PACKETS,),
    steps=("idle", "unread", "sending", "quiet", "cable"),
    parameters=(
        Parameter("greeting", "unread", choices=("unread", "read")),
        Parameter("keepalive", "on", choices=("on", "off")),
    ),
)

HOST, PORT = "127.0.0.1", "8080"
SIZE = 1_000_000  # bytes: far more than both buffers hold
SILENCE = 4.0  # seconds, longer than keep-alive would need


def play(stage: Stage) -> None:
    """One after another."""
    server = stage.program("server.py", HOST, PORT, stage["keepalive"])
    clients = {name: _begin(stage, name) for name in ("idle", "unread", "sending", "quiet")}
    server.until("listen")
    for number, name in enumerate(("idle", "unread"), 1):
        _call(stage, clients[name], server, number)
        _sleep(server)
        _kill(clients[name])
        server.until("close", number)
    _call(stage, clients["sending"], server, 3)
    clients["sending"].until("block", awaits="send")
    _kill(clients["sending"])
    server.say("read")
    server.until("close", 3)
    _call(stage, clients["quiet"], server, 4)
    _sleep(server)
    stage.step("cable")
    stage.cable(up=False)
    if stage["keepalive"] == "on":
        server.until("close", 4)
    else:
        stage.still(SILENCE)


def _begin(stage: Stage, name: str) -> Actor:
    greeting = stage["greeting"] if name == "unread" else "read"
    size = SIZE if name == "sending" else 0
    return stage.program("caller.py", HOST, PORT, greeting, str(size), name=name)


def _call(stage: Stage, client: Actor, server: Actor, number: int) -> None:
    """Until the client has its greeting, and has acknowledged it."""
    stage.step(client.name)
    client.say("your turn")
    server.until("send", number)
    local = client.until("connect").local
    stage.until_sockets(
        lambda sockets: any(it.peer == local and not it.unsent for it in sockets),
        f"the ACK of what {client.name} was sent",
    )
    if client.name != "unread" or stage["greeting"] == "read":
        client.until("recv")


def _sleep(server: Actor) -> None:
    """The server reads, and there is nothing."""
    server.say("read")
    server.until("block", awaits="recv", conn=server.those("accept")[-1].conn)


def _kill(client: Actor) -> None:
    client.signal("SIGKILL")
    client.wait()
