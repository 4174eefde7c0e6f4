"""Several logs as one picture: what is known of each program, and one ladder for all of them.

It is a value, as each of its pictures is: `freeze` makes bytes of it, and `thaw` a meeting of those.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from evloop.events.schema import AnyEvent, Unknown  # noqa: TC001  (msgspec reads the annotations)
from evloop_trace.correlate.ends import Joined  # noqa: TC001
from evloop_trace.model.filters import due
from evloop_trace.model.folds import RUNGS
from evloop_trace.model.picture import Picture
from evloop_trace.model.threads import MAIN

if TYPE_CHECKING:
    from evloop.events.schema import Block
    from evloop_trace.correlate.causal import Row
    from evloop_trace.correlate.joiner import Joiner

__all__ = ["Crossing", "Meeting", "Program", "Seen", "Told", "crossing"]

_BRIEF = 1_000_000
"""Nanoseconds: a sleep that was over sooner is no rung."""

_BEHIND = 64  # rungs that may have come since


class Crossing(msgspec.Struct, omit_defaults=True):
    """Where an event stands between two programs."""

    log: int = 0
    """Its log's number."""
    client: bool | None = None
    """It is a client's, or a server's; None is as the rest of its log."""
    names: tuple[str, ...] = ()
    """What the connection's ends are called, first who connected; none if not both are known."""
    joined: Joined | None = None


class Told(NamedTuple):
    """An event of one of the logs."""

    event: AnyEvent | Unknown
    crossing: Crossing


class Seen(msgspec.Struct):
    """A rung."""

    event: AnyEvent
    crossing: Crossing


class Program(msgspec.Struct):
    """One of the logs."""

    label: str
    """What its names begin with; empty if it is the only one."""
    client: bool
    """Nobody can connect to it."""


class Meeting(msgspec.Struct):
    """Everything that is known after the events so far."""

    programs: list[Program]
    pictures: list[Picture]
    t: int = 0
    """When the last event ended."""
    ladder: list[Seen] = []

    @classmethod
    def of(cls, programs: list[Program]) -> Meeting:
        """Before the first event."""
        return cls(programs, [Picture() for _ in programs])

    def apply(self, told: Told) -> None:
        """Fold one event in."""
        event, crossing = told
        picture = self.pictures[crossing.log]
        asleep = _asleep(picture, event)
        picture.apply(event)
        self.t = max(self.t, due(event))
        if asleep is not None and _asleep(picture, event) is None:
            self._woken(crossing.log, asleep, picture.t)
        if picture.ladder:
            self.ladder.append(Seen(picture.ladder[-1], crossing))
            picture.ladder.clear()
            if len(self.ladder) >= 2 * RUNGS:
                del self.ladder[:RUNGS]

    def hide(self, told: Told) -> None:
        """Take an event off the ladder, if it came to stand there."""
        ladder, (event, crossing) = self.ladder, told
        if ladder and ladder[-1].event.seq == event.seq and ladder[-1].crossing.log == crossing.log:
            del ladder[-1]

    def freeze(self) -> bytes:
        """This meeting as bytes."""
        return zlib.compress(_encoder.encode(self), 1)

    @staticmethod
    def thaw(frozen: bytes) -> Meeting:
        """The meeting that `freeze` was asked for."""
        return _decoder.decode(zlib.decompress(frozen))

    def _woken(self, log: int, block: Block, now: int) -> None:
        """A call has returned: that it slept is no rung of its own if it was but a moment, or a poll's."""
        if now - block.t >= _BRIEF and block.awaits != "poll":
            return
        ladder = self.ladder
        for at in range(len(ladder) - 1, max(-1, len(ladder) - _BEHIND), -1):
            if ladder[at].event.seq == block.seq and ladder[at].crossing.log == log:
                del ladder[at]
                return


def crossing(row: Row, joiner: Joiner) -> Crossing:
    """Where a row stands; a row that was let go knows all that will be known."""
    end = row.end
    names: tuple[str, ...] = ()
    if end is not None and end.other is not None:
        names = (end.other.name, end.name) if end.accepted else (end.name, end.other.name)
    joined = row.joined if row.joined is not None and (row.joined.origins or row.joined.missing) else None
    item = row.item
    return Crossing(row.log, joiner.is_client(item, end), names, joined)


def _asleep(picture: Picture, event: AnyEvent | Unknown) -> Block | None:
    thread = picture.threads.get(getattr(event, "thread", "") or MAIN)
    return thread.block if thread is not None else None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Meeting)
