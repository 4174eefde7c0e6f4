"""What must be seen of characters that recv() has cut apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, claim, found
from evloop_lessons.run import first, payload_size

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run

LENGTH = 1509  # bytes: nine letters of one byte each, and 500 of three
SIZE = 3  # bytes of a 哈
PIECES = [1024, 485]  # bytes: 9 + 338 * 3 + 1, and 2 + 161 * 3
EACH, IGNORE, INCREMENTAL = range(3)  # the connections

FALSE = {
    "size=1023": ("pieces", "failed", "ignored", "incremental"),
    "text=english": ("failed", "ignored", "incremental"),
}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _calls(run: Run, way: int, kind: str) -> list[Call]:
    """The server's calls on one of the three connections."""
    return run.calls("server", kind, strand=run.strand("server", way))


def _sizes(calls: list[Call]) -> list[int]:
    return [it.event.n or 0 for it in calls]


def _errors(calls: list[Call]) -> list[str]:
    """What the server has answered when it could not decode."""
    said = [it.event.data.decode(errors="replace") for it in calls]
    return [it.strip() for it in said if it.startswith("byte ")]


def outcome(run: Run) -> str:
    """a: all of it becomes text; b: of the two pieces the first does not; c: neither does."""
    failed = len(_errors(_calls(run, EACH, "send")))
    return "abc"[min(failed, 2)]


@claim("packets", PACKETS, "caller")
def packets(run: Run) -> Found:
    """All bytes went, with one send."""
    strand = run.strand("caller", EACH)
    send = first(run.calls("caller", "send", strand=strand), "a send()")
    data = run.packets(strand, client=True, data=True)
    sizes = [payload_size(it) for it in data]
    good = sum(sizes) == send.event.n == LENGTH
    return found(good, send, *data, sizes=" + ".join(f"{it:,}" for it in sizes))


@claim("pieces", "server")
def pieces(run: Run) -> Found:
    """Each time it is cut at the same place: where recv() had as much as it had asked for."""
    calls = [_calls(run, way, "recv") for way in (EACH, IGNORE, INCREMENTAL)]
    return found(all(_sizes(it) == PIECES for it in calls), *(it for each in calls for it in each))


@claim("failed", "server")
def failed(run: Run) -> Found:
    """The first piece ends within a character, and the second begins within it."""
    sends = _calls(run, EACH, "send")
    errors = _errors(sends)
    expected = ["byte 1023: unexpected end of data", "byte 0: invalid start byte"]
    return found(errors == expected, *sends, errors="; ".join(errors) or "-")


@claim("ignored", "server")
def ignored(run: Run) -> Found:
    """Nobody complains, and characters are missing."""
    sends = _calls(run, IGNORE, "send")
    sent = sum(_sizes(sends))
    good = not _errors(sends) and sent < LENGTH
    return found(good, *sends, sent=f"{sent:,}", lost=(LENGTH - sent) // SIZE)


@claim("incremental", "server")
def incremental(run: Run) -> Found:
    """What is too early is kept, and goes with the rest of its character."""
    recv, sends = _calls(run, INCREMENTAL, "recv")[0], _calls(run, INCREMENTAL, "send")
    got, given, sent = _sizes([recv])[0], _sizes(sends)[0], sum(_sizes(sends))
    whole = all(it.event.data[:SIZE] == "哈".encode() for it in sends[1:])
    good = whole and given < got and sent == LENGTH
    return found(good, recv, *sends, got=f"{got:,}", given=f"{given:,}", sent=f"{sent:,}")
