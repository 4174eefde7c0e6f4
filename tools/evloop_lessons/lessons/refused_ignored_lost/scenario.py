"""Three who call in vain: nobody listens, the queue is full, nothing gets through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Actor, Stage

LESSON = Lesson(
    number=9,
    minutes=10,
    needs=(PACKETS,),
    steps=("listen", "refused", "ignored", "lost", "wait"),
    parameters=(
        Parameter("backlog", 0, low=0, high=10),
        Parameter("retries", 1, low=1, high=3),
        Parameter("abort", 0, low=0, high=1),
    ),
)

HOST = "127.0.0.1"
PORTS = {"first": "8080", "refused": "8081", "ignored": "8080", "lost": "8082"}
LINEAR = "net.ipv4.tcp_syn_linear_timeouts"  # further SYNs before the waits double, since Linux 6.5


def play(stage: Stage) -> None:
    """All begin at the same time, and call one after another."""
    stage.sysctl("net.ipv4.tcp_syn_retries", stage["retries"])
    stage.sysctl("net.ipv4.tcp_abort_on_overflow", stage["abort"])
    if Path("/proc/sys", *LINEAR.split(".")).exists():
        stage.sysctl(LINEAR, 0)
    callers = {name: stage.program("caller.py", HOST, port, name=name) for name, port in PORTS.items()}
    wall = stage.program("wall.py", HOST, PORTS["lost"])
    server = stage.serve("--model=sequential", f"--backlog={stage['backlog']}", hold=("accept",))
    wall.until("listen")
    stage.step("listen")
    _call(stage, callers["first"])
    stage.until_sockets(
        lambda sockets: any(it.local == server.address and it.unread for it in sockets),
        "a connection in the queue",
    )
    stage.step("refused")
    _call(stage, callers["refused"])
    callers["refused"].until("connect")
    for name in ("ignored", "lost"):
        stage.step(name)
        _call(stage, callers[name])
    stage.step("wait")
    for name in ("ignored", "lost"):
        callers[name].until("connect")


def _call(stage: Stage, caller: Actor) -> None:
    """Until it sleeps in connect(), or has returned from it."""
    caller.say("your turn")
    stage.until(
        lambda: caller.has("block", awaits="connect") or caller.has("connect"),
        f"the connect() of {caller.name}",
    )
