"""The same callers at two servers: everybody says something, and nobody hangs up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Actor, Server, Stage

NAMES = ("ann", "bob", "cat", "dan", "eve", "fay", "gus")
"""No more: one is served, and the queue of the first server has room for six."""

LESSON = Lesson(
    number=10,
    minutes=10,
    needs=(PACKETS,),
    steps=(
        "listen",
        "first",
        "first-others",
        "first-rest",
        "first-leave",
        "listen-again",
        "second",
        "second-others",
        "second-rest",
        "second-leave",
    ),
    parameters=(
        Parameter("callers", 6, low=2, high=len(NAMES)),
        Parameter("first", "sequential", choices=("sequential", "threaded")),
        Parameter("second", "loop", choices=("loop", "threaded", "sequential")),
    ),
)

PORTS = {"first": 8080, "second": 8081}
REST = 0.15  # seconds in which nothing happens


def play(stage: Stage) -> None:
    """First at the one server, then at the other."""
    stage.step("listen")
    addresses = [f"127.0.0.1:{port}" for port in PORTS.values()]
    names = NAMES[: stage["callers"]]
    callers = [stage.program("caller.py", it, *addresses, name=it) for it in names]
    first = _server(stage, "first")
    _call(stage, first, callers, 1)
    stage.step("listen-again")
    first.signal("SIGINT")
    _call(stage, _server(stage, "second"), callers, 2)


def _server(stage: Stage, name: str) -> Server:
    return stage.serve(f"--model={stage[name]}", name=name, address=f"--tcp=127.0.0.1:{PORTS[name]}")


def _call(stage: Stage, server: Server, callers: list[Actor], calls: int) -> None:
    """Everybody calls, the next when the one before is answered, or waits; then all may hang up who are."""
    stage.step(server.name)
    first, *others = callers
    first.say("your turn")
    first.until("recv", calls)
    one = stage[server.name] == "sequential"
    if one:
        stage.until(lambda: _sleeps(server), f"that the {server.name} server sleeps")
    stage.step(f"{server.name}-others")
    for caller in others:
        caller.say("your turn")
        caller.until("send" if one else "recv", calls)
    stage.step(f"{server.name}-rest")
    stage.still(REST)
    stage.step(f"{server.name}-leave")
    for caller in callers:
        caller.say("hang up")
    server.until("close", len(callers))


def _sleeps(server: Server) -> bool:
    """It has answered somebody, and now it sleeps in recv()."""
    sent, asleep = server.those("send"), server.those("block", awaits="recv")
    return bool(sent and asleep) and asleep[-1].seq > sent[-1].seq
