"""Postcards: two writers and one box, one card too large, too many at once, and nobody there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Lesson, Parameter

if TYPE_CHECKING:
    from evloop_lessons.stage import Actor, Stage

LESSON = Lesson(
    number=19,
    minutes=12,
    needs=(PACKETS,),
    steps=("bind", "two", "large", "burst", "burst-read", "leave", "nobody", "silence"),
    parameters=(
        Parameter("size", 1500, low=1, high=65_507),
        Parameter("burst", 50, low=1, high=200),
        Parameter("server", "simple", choices=("simple", "prepared")),
    ),
)

HOST, PORT = "127.0.0.1", 8080
CARD = 20  # bytes
TIMES = 2  # that each writes to nobody
SILENCE = 0.2  # seconds in which who is not told goes on waiting


def play(stage: Stage) -> None:
    """Two writers, each in its own way."""
    stage.step("bind")
    box = stage.program("box.py", HOST, str(PORT), stage["server"])
    ann = stage.program("writer.py", HOST, str(PORT), "connect", name="ann")
    bob = stage.program("writer.py", HOST, str(PORT), "sendto", name="bob")
    box.until("bind")
    ann.until("connect")
    bob.until("socket")
    stage.step("two")
    for writer in (ann, bob):
        writer.say(f"1 {CARD}")
        writer.say("read")
        writer.until("recvfrom", n=CARD)
    stage.step("large")
    ann.say(f"1 {stage['size']}")
    box.until("recvfrom", errno="EAGAIN")
    stage.step("burst")
    bob.say(f"{stage['burst']} {CARD}")
    bob.until("sendto", 1 + stage["burst"])
    packets = 2 + 2 + 1 + stage["burst"]
    stage.until_packets(lambda them: len(them) >= packets, f"{packets} packets")
    stage.step("burst-read")
    box.say("read")
    box.until("recvfrom", 2, errno="EAGAIN")
    leaves = stage["server"] == "simple"
    stage.step("leave")
    if leaves:
        box.say("leave")
        box.until("close")
    stage.step("nobody")
    for number in range(1, TIMES + 1):
        for writer in (ann, bob):
            writer.say(f"1 {CARD}")
        ann.say("read")
        _answered(ann, number, leaves=leaves)
    bob.say("read")
    if leaves:
        bob.until("block", awaits="recvfrom")
    else:
        _answered(bob, 1, leaves=leaves)
    stage.step("silence")
    stage.still(SILENCE)


def _answered(writer: Actor, number: int, *, leaves: bool) -> None:
    """By somebody, or by the kernel."""
    if leaves:
        writer.until("recvfrom", number, errno="ECONNREFUSED")
    else:
        writer.until("recvfrom", 1 + number, n=CARD)
