"""An empty message over TCP, and over UDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Stage

LESSON = Lesson(
    number=3,
    minutes=6,
    needs=(PACKETS,),
    steps=("listen", "connect", "tcp", "hello", "udp", "close"),
    parameters=(Parameter("size", 0, low=0, high=1000),),
)

SILENCE = 0.2  # seconds: an empty message would be there in less than one millisecond


def play(stage: Stage) -> None:
    """One server for both, one client with two sockets."""
    stage.step("listen")
    server = stage.serve("--udp=127.0.0.1:8080")
    stage.step("connect")
    host, _, port = server.address.rpartition(":")
    client = stage.program("sender.py", host, port, str(stage["size"]), name="client")
    server.until("accept")
    stage.step("tcp")
    client.say("send it")
    client.until("send")
    stage.still(SILENCE)
    stage.step("hello")
    client.say("hello")
    client.until("socket", 2)  # it has read the answer
    stage.step("udp")
    client.say("send it")
    client.until("recvfrom")
    stage.step("close")
    client.say("close")
    client.wait()
    server.until("close")
