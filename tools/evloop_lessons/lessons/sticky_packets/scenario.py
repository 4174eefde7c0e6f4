"""Three sends that are read late: as they are, without Nagle's algorithm, and with an end to each message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Actor, Server, Stage

LESSON = Lesson(
    number=11,
    minutes=10,
    needs=(PACKETS,),
    steps=("listen", "plain", "plain-read", "nodelay", "nodelay-read", "framed", "framed-read"),
    parameters=(Parameter("reads", "late", choices=("late", "at-once")),),
)

WORDS = ("one", "two", "three")
WAYS = ("plain", "nodelay", "framed")


def play(stage: Stage) -> None:
    """One caller after another, each in its own way."""
    stage.step("listen")
    server = stage.serve("--model=sequential")
    host, _, port = server.address.rpartition(":")
    callers = [stage.program("caller.py", host, port, way, name=way) for way in WAYS]
    for number, caller in enumerate(callers, 1):
        _call(stage, server, caller, number)


def _call(stage: Stage, server: Server, caller: Actor, number: int) -> None:
    way, late = caller.name, stage["reads"] == "late"
    if late:
        server.hold("read")
    stage.step(way)
    caller.say("your turn")
    server.until("accept", number)
    before = len(server.those("recv"))
    for sent, word in enumerate(WORDS, 1):
        caller.say(word)
        caller.until("send", sent)
        if not late:
            server.until("recv", before + sent)
    size = sum(map(len, WORDS)) + len(WORDS) * (way == "framed")
    if late:
        stage.until_sockets(
            lambda sockets: any(
                it.local == server.address and it.peer and it.unread == size for it in sockets
            ),
            f"{size} bytes that the server has not read",
        )
    stage.step(f"{way}-read")
    if late:
        server.release("read")
    caller.hang_up()
    caller.wait()
    server.until("close", number)
