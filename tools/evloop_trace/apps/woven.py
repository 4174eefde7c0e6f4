"""The timeline of a live picture: events as they come, and the packets of a capture file that grows.

Packets are in the file 20 to 40 ms after they went over the wire, so everything waits a little for its place.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from evloop.events.schema import Clock, Header, Snapshot
from evloop_trace.correlate.causal import Row
from evloop_trace.correlate.clocks import Clocks
from evloop_trace.correlate.loom import HOLD, NEVER, Called, Loom
from evloop_trace.correlate.place import place
from evloop_trace.packets.capture_file import Capture
from evloop_trace.packets.pcapng import Growing
from evloop_trace.packets.sightings import Sightings
from evloop_trace.views.timeline import TimelinePanel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.events.schema import AnyEvent, Unknown
    from evloop_trace.correlate.entries import Entry

__all__ = ["Woven"]

LAG = 100_000_000
"""Nanoseconds that everything waits for what was earlier."""

MOST = 1000
"""Entries that are kept."""

ROOM = 1 << 20
"""Bytes that a pipe holds: what comes from one frame to the next."""

BUDGET = 0.03
"""Seconds a frame, in which packets are read and joined with calls."""

CROWD = 5000
"""Of so many that wait though there was no time for them, all but the latest are passed over."""


MANY = 8192
"""Connections, after which those that are over are forgotten."""


class Woven:
    """Entries, the newest last, some of which may still be completed."""

    def __init__(self, path: str | int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take packets from the capture file of this name, or from a pipe with this descriptor."""
        self.skipped = 0
        """Calls and packets that were passed over: there were too many to look at each."""
        self.path = path
        """The capture file's, or the descriptor of a pipe."""
        self._fd = _made_ready(path) if isinstance(path, int) else -1
        self._clock = clock
        self._capture = Capture()
        self._packets = Growing(self._read, self._capture)
        self._sightings = Sightings()
        self._loom = Loom()
        self._clocks: Clocks | None = None
        self._entries: deque[Entry] = deque(maxlen=MOST)

    @property
    def panel(self) -> TimelinePanel:
        """Draws them as they are now."""
        return TimelinePanel(entries=self._entries, most=MOST)

    def tell(self, events: Sequence[AnyEvent | Unknown]) -> None:
        """Events came."""
        for event in events:
            if isinstance(event, Snapshot):  # that is no call
                self._loom.weaver.know(event)
                continue
            if isinstance(event, Header):
                self._clocks = Clocks([event], one_clock=True)
            elif isinstance(event, Clock) and self._clocks:
                self._clocks.heed(event)
            self._loom.put(place(event), Called(Row(0, event)))

    def look(self, now: int | None) -> None:
        """Take what is in the file by now, and give out what has waited long enough.

        Args:
            now: The present on the log's clock; None is the end, where nothing waits any more.
        """
        if self._clocks is None:
            return
        deadline = None if now is None else self._clock() + BUDGET
        until = NEVER if now is None else now - LAG
        for packet in self._packets.packets():
            seen = self._sightings.see(packet, self._capture.packets)
            if seen is not None:
                self._loom.put(self._clocks.of_wall(seen.time), seen)
            if self._is_late(deadline):  # what stands behind this packet may have others before it
                until = min(until, self._clocks.of_wall(packet[0]) + 1)
                break
        self._give_out(until, deadline)
        for _ in self._loom.settled(NEVER if now is None else now - HOLD):
            pass
        if now is None:
            return
        if len(self._loom) > CROWD:
            self._pass_over()
        elif len(self._loom.weaver.strands) > MANY:
            self._give_out(NEVER, None)
            self._begin_anew()

    def close(self) -> None:
        """Read no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _is_late(self, deadline: float | None) -> bool:
        return deadline is not None and self._clock() > deadline

    def _give_out(self, until: int, deadline: float | None) -> None:
        """Entries that stand before `until`; at least one, if there is one."""
        while self._loom.first < until:
            self._entries.append(self._loom.take())
            if self._is_late(deadline):
                break

    def _pass_over(self) -> None:
        """Leave out what waits and what is in the file."""
        self.skipped += self._loom.pass_over(sum(1 for _ in self._packets.packets()))
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Packets are of connections in their middle, of which those that are open keep their names."""
        self._sightings = Sightings()
        self._loom.begin_anew()

    def _read(self, size: int) -> bytes:
        if self._fd < 0:
            assert isinstance(self.path, str)  # a pipe is open from the beginning
            try:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:  # it is not there yet
                return b""
        with suppress(BlockingIOError):  # a pipe has no more by now
            return os.read(self._fd, size)
        return b""


def _made_ready(pipe: int) -> int:
    """It does not let us wait, and has room for what comes from one frame to the next."""
    os.set_blocking(pipe, False)
    with suppress(OSError):  # the system has a limit that is lower
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, ROOM)
    return pipe
