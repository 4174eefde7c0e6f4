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
    """One caller after another; what the kernel forgets after 60 s is looked at before the next step."""
    careless = stage["server"] == "careless"
    stage.step("listen")
    server = stage.program("server.py", HOST, str(PORT), stage["server"])
    caller = stage.program("caller.py", HOST, str(PORT))
    server.until("listen")
    stage.step("at-once")
    client = _talk(server, caller, 1)
    server.until("close", 1)
    _until(stage, "TIME-WAIT", local=client)
    stage.step("late")
    client = _talk(server, caller, 2)
    if careless:
        _be_late(stage, server, client)
    server.until("close", 2)
    _until(stage, "TIME-WAIT", local=client)
    stage.step("never")
    client = _talk(server, caller, 3)
    _until(stage, "FIN-WAIT-2" if careless else "TIME-WAIT", local=client)
    stage.step("reset")
    _listen(server, caller, 4)
    server.say("close")
    caller.until("close", 4)
    stage.step("copy")
    client = _listen(server, caller, 5)
    server.say("fork")
    server.until("close", 4 if careless else 5)
    stage.still(SILENCE)
    stage.step("copy-close")
    server.say("child, exit")
    caller.until("close", 5)
    _until(stage, "TIME-WAIT", peer=client)


def _talk(server: Actor, caller: Actor, number: int) -> str:
    """Up to the caller's close(), of which the server knows; the caller's address."""
    address = _call(server, caller, number)
    caller.say("talk")
    caller.until("close", number)
    server.until("recv", number, n=0)
    return address


def _listen(server: Actor, caller: Actor, number: int) -> str:
    """Up to the caller's recv(), in which it sleeps; its address."""
    address = _call(server, caller, number)
    caller.say("listen")
    caller.until("block", awaits="recv", conn=f"tcp-{number}")
    return address


def _call(server: Actor, caller: Actor, number: int) -> str:
    caller.say("call")
    server.until("accept", number)
    return str(caller.until("connect", number).local)


def _be_late(stage: Stage, server: Actor, client: str) -> None:
    stage.still(stage["delay"] / 1000)
    if stage["delay"] > DELAYED:
        _until(stage, "FIN-WAIT-2", local=client)
    stage.step("late-close")
    server.say("close")


def _until(stage: Stage, state: str, *, local: str = "", peer: str = "") -> None:
    """Wait until the kernel has a socket like this."""

    def has(sockets: Sequence[Socket]) -> bool:
        return any(it.state == state and local in {"", it.local} and peer in {"", it.peer} for it in sockets)

    stage.until_sockets(has, f"a socket in {state}")
