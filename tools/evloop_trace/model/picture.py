"""What is drawn, and the one fold that turns events into it; the live view and the replay share it.

`Picture.apply` knows no clock: what depends on the present is asked for with `now`. A picture is a value:
`freeze` makes bytes of it and `thaw` a picture of those, which is how a replay steps back.
"""

from __future__ import annotations

import zlib

import msgspec

from evloop.events.schema import (
    AnyEvent,
    Block,
    End,
    Gap,
    Header,
    Limit,
    Queue,
    Recv,
    Unknown,
)
from evloop_trace.model.filters import due
from evloop_trace.model.folds import BRIEF, FOLDS, echo, peek, sample
from evloop_trace.model.loop_state import LoopState, Pace
from evloop_trace.model.sockets import Connection, Endpoint, is_apart
from evloop_trace.model.threads import MAIN, Thread, follow

__all__ = ["IDLE", "Picture"]

IDLE = 100_000_000
"""Nanoseconds without an event after which the loop is taken to be asleep, not its news to be late."""


class Picture(msgspec.Struct):
    """Everything that is known about a program after the events so far."""

    header: Header | None = None
    program: bool = False  # its threads may sleep in any call: it is not our event loop
    t: int = 0  # when the last event ended
    events: int = 0
    lost: int = 0  # events that are known to be missing
    expected: int = -1  # the next sequence number; -1 is any
    counted: int = 0  # what happened before this `t` a snapshot has counted
    loop: LoopState = msgspec.field(default_factory=LoopState)
    endpoints: dict[str, Endpoint] = {}
    connections: dict[str, Connection] = {}
    closed: dict[str, Connection] = {}  # the last few
    open: int = 0  # may be more than we know by name
    accepted: int = 0
    connected: int = 0  # the ones that we asked for
    received: int = 0
    sent: int = 0
    threads: dict[str, Thread] = {}  # of a program, by name
    limits: dict[str, Limit] = {}  # the ones that hold now
    ladder: list[AnyEvent] = []
    end: End | None = None

    def apply(self, event: AnyEvent | Unknown) -> None:
        """Fold one event in."""
        if type(event) is Queue and event.seq < 0:  # the kernel's word to a watcher: the program did nothing
            sample(self, event)
            return
        self.events += 1
        if event.seq != self.expected:
            self._jump(event)
        self.expected = event.seq + 1 or -1  # what was made for a watcher alone has the number -1
        if event.t < self.counted:
            echo(self, event)
            return
        before, self.t = self.t, event.t
        self.loop.tick = event.tick
        self.loop.at_work = None
        if self.program:
            self._apply_program(event, before)
            return
        fold = FOLDS.get(type(event))
        if fold is not None:
            fold(self, event)

    def pace(self, now: int) -> Pace:
        """How the loop spends its time, seen at `now`."""
        now = now if now - self.t >= IDLE else self.t
        return self.loop.pace(now, self.t)

    def asleep(self, now: int) -> int:
        """For how many nanoseconds nothing was said by who sleeps; 0 if it is at work or has ended."""
        if now - self.t < IDLE or not self.events or self.end is not None:
            return 0
        if self.program:
            return now - self.t if any(it.block for it in self.threads.values()) else 0
        return self.loop.asleep_until(now, self.t) - self.t

    def unheard(self, now: int) -> int:
        """For how many nanoseconds a loop has been awake, or has slept for all we know, and said nothing."""
        idle = now - self.t
        if self.program or idle < IDLE or not self.events or self.end is not None:
            return 0
        silent = idle - self.asleep(now)
        return silent if silent >= IDLE else 0

    def works(self, since: int | None) -> None:
        """The kernel's word: the loop runs since then, if it does; what it does it has not said."""
        self.loop.at_work = None if since is None else max(since, self.t)

    def outgoing(self, event: AnyEvent) -> bool:
        """Whether an event is about a socket with which we are the client."""
        name = getattr(event, "conn", None)
        if name is not None:
            connection = self.connections.get(name) or self.closed.get(name)
            return connection is not None and connection.outgoing
        endpoint = self.endpoints.get(getattr(event, "sock", None) or "")
        return endpoint is not None and endpoint.outgoing

    def freeze(self) -> bytes:
        """This picture as bytes."""
        return zlib.compress(_encoder.encode(self), 1)

    @staticmethod
    def thaw(frozen: bytes) -> Picture:
        """The picture that `freeze` was asked for."""
        return _decoder.decode(zlib.decompress(frozen))

    def _apply_program(self, event: AnyEvent | Unknown, before: int) -> None:
        """Each of its threads has its own time: a call began before what was told before it."""
        block = follow(self.threads, event)
        if block is not None:
            self._woken(block)
        if isinstance(event, Recv) and is_apart(event):
            peek(self, event)
        elif fold := FOLDS.get(type(event)):
            fold(self, event)
        self.t = max(before, due(event))
        connection = self.connections.get(getattr(event, "conn", None) or "")
        if connection is not None:
            connection.seen = self.t

    def _woken(self, block: Block) -> None:
        """A call has returned: its sleep is no rung of its own if it was but a moment, or a poll's."""
        thread = self.threads[block.thread or MAIN]
        brief = thread.seen - block.t < BRIEF or block.awaits == "poll"
        if brief and self.ladder and self.ladder[-1].seq == block.seq:
            del self.ladder[-1]

    def _jump(self, event: AnyEvent | Unknown) -> None:
        """Numbers are missing; a gap brings its own count."""
        if self.expected >= 0 and event.seq > self.expected and type(event) is not Gap:
            self.lost += event.seq - self.expected


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Picture)
