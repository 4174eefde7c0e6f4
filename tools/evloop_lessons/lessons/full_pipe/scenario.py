"""Somebody writes, and the other does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter
from evloop_trace.packets.segments import KEEP_ALIVE, PROBE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_lessons.stage import Stage
    from evloop_trace.packets.sightings import Sighting

LESSON = Lesson(
    number=13,
    minutes=10,
    needs=(PACKETS,),
    steps=("listen", "write", "read"),
    parameters=(
        Parameter("buffer", 4096, low=1024, high=200_000),
        Parameter("size", 20_000, low=1, high=1_000_000),
    ),
)

HOST, PORT = "127.0.0.1", "8080"


def play(stage: Stage) -> None:
    """The pipe is filled, and the server looks on; then it is emptied."""
    buffer, size = str(stage["buffer"]), str(stage["size"])
    stage.step("listen")
    server = stage.program("reader.py", HOST, PORT, buffer, name="server")
    client = stage.program("writer.py", HOST, PORT, buffer, size, name="client")
    server.until("listen")
    stage.step("write")
    client.say("your turn")
    server.until("accept")
    stage.until_packets(
        lambda packets: client.has("close") or (client.has("block", awaits="poll") and _probed(packets)),
        "all in the pipe; or a probe of whether there is room again",
    )
    stage.step("read")
    server.say("your turn")
    client.wait()
    server.wait()


def _probed(packets: Sequence[Sighting]) -> bool:
    """Linux probes with a byte that was acknowledged before, as to keep a connection alive."""
    return any(it.client and it.found & (PROBE | KEEP_ALIVE) for it in packets)
