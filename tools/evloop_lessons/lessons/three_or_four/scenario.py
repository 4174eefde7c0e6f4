"""Five callers, of whom a server takes leave in five ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_lessons.run import Socket
    from evloop_lessons.stage import Actor, Stage

LESSON = Lesson(
    number=15,
    minutes=12,
    needs=(PACKETS,),
    steps=("listen", "at-once", "late", "late-close", "never", "reset", "copy", "copy-close"),
    parameters=(
        Parameter("delay", 120, low=0, high=2000),
        Parameter("server", "careless", choices=("careless", "careful")),
    ),
)

HOST, PORT = "127.0.0.1", 8080
DELAYED = 60  # ms: by then the kernel has acknowledged a FIN that the program has not answered with its own
SILENCE = 0.1  # seconds in which the server, too, has hung up, and nothing happens


def play(stage: Stage) -> None:
    """One caller after another."""
    careless = stage["server"] == "careless"
    stage.step("listen")
    server = stage.program("server.py", HOST, str(PORT), stage["server"])
    caller = stage.program("caller.py", HOST, str(PORT))
    server.until("listen")
    stage.step("at-once")
    _talk(server, caller, 1)
    server.until("close", 1)
    stage.step("late")
    _talk(server, caller, 2)
    if careless:
        _be_late(stage, server)
    server.until("close", 2)
    stage.step("never")
    _talk(server, caller, 3)
    if careless:
        stage.until_sockets(lambda them: _has(them, "FIN-WAIT-2"), "a FIN that was acknowledged")
    else:
        server.until("close", 3)
    closed = len(server.those("close"))
    stage.step("reset")
    _listen(server, caller, 4)
    server.say("close")
    server.until("close", closed + 1)
    caller.until("close", 4)
    stage.step("copy")
    _listen(server, caller, 5)
    server.say("fork")
    server.until("close", closed + 2)
    stage.still(SILENCE)
    stage.step("copy-close")
    server.say("child, exit")
    caller.until("close", 5)
    stage.until_sockets(
        lambda them: any(it.local == f"{HOST}:{PORT}" and it.state == "TIME-WAIT" for it in them),
        "TIME-WAIT at the server",
    )


def _talk(server: Actor, caller: Actor, number: int) -> None:
    caller.say("call")
    server.until("accept", number)
    caller.say("talk")
    caller.until("close", number)
    server.until("recv", number, n=0)


def _listen(server: Actor, caller: Actor, number: int) -> None:
    caller.say("call")
    server.until("accept", number)
    caller.say("listen")
    caller.until("block", awaits="recv", conn=f"tcp-{number}")


def _be_late(stage: Stage, server: Actor) -> None:
    stage.still(stage["delay"] / 1000)
    if stage["delay"] > DELAYED:
        stage.until_sockets(lambda them: _has(them, "FIN-WAIT-2"), "a FIN that was acknowledged")
    stage.step("late-close")
    server.say("close")


def _has(sockets: Sequence[Socket], state: str) -> bool:
    return any(it.state == state for it in sockets)
