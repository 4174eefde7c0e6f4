"""The timeline of a live picture: events as they come, and the packets of a capture file that grows.

Packets are in the file 20 to 40 ms after they went over the wire, so everything waits a little for its place.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from evloop.events.schema import Clock, Header, Snapshot, Unknown
from evloop_trace.correlate.clocks import Clocks
from evloop_trace.correlate.reasons import Reasons
from evloop_trace.correlate.weave import Weaver
from evloop_trace.packets.capture_file import Capture
from evloop_trace.packets.pcapng import Growing
from evloop_trace.packets.sightings import Sighting, Sightings
from evloop_trace.timeline import NEVER, place
from evloop_trace.views.timeline import TimelinePanel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.events.schema import AnyEvent
    from evloop_trace.correlate.entries import Entry

__all__ = ["Woven"]

LAG = 100_000_000
"""Nanoseconds that everything waits for what was earlier."""

MOST = 1000
"""Entries that are kept."""

ROOM = 1 << 20
"""Bytes that a pipe holds: what comes from one frame to the next."""

SETTLED = 500_000_000
"""Nanoseconds after which nothing more is linked to an entry."""

BUDGET = 0.03
"""Seconds a frame, in which packets are read and joined with calls."""

CROWD = 5000
"""Of so many that wait though there was no time for them, all but the latest are passed over."""


class Woven:
    """Entries, the newest last, some of which may still be completed."""

    def __init__(self, path: str | int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take packets from the capture file of this name, or from a pipe with this descriptor."""
        self.panel = TimelinePanel(most=MOST)
        """Draws them."""
        self.skipped = 0
        """Calls and packets that were passed over: there were too many to look at each."""
        self._fd = _made_ready(path) if isinstance(path, int) else -1
        self._path = path
        self._clock = clock
        self._capture = Capture()
        self._packets = Growing(self._read, self._capture)
        self._sightings = Sightings()
        self._weaver = Weaver()
        self._reasons = Reasons()
        self._clocks: Clocks | None = None
        self._waiting: list[tuple[int, int, int, Any]] = []
        self._fresh: deque[Entry] = deque()  # to be settled
        self._begun = 0  # when the first packet came
        self._number = 0

    def tell(self, events: Sequence[AnyEvent | Unknown]) -> None:
        """Events came."""
        for event in events:
            if isinstance(event, Header):
                self._clocks = Clocks([event], one_clock=True)
            elif isinstance(event, Clock) and self._clocks:
                self._clocks.heed(event)
            if not isinstance(event, Snapshot):  # that is no call
                self._wait(place(event), 0, event)

    def look(self, now: int | None) -> None:
        """Take what is in the file by now, and give out what has waited long enough.

        Args:
            now: The present on the log's clock; None is the end, where nothing waits any more.
        """
        if self._clocks is None:
            return
        deadline = None if now is None else self._clock() + BUDGET
        for packet in self._packets.packets():
            seen = self._sightings.see(packet)
            if seen is not None:
                self._wait(self._clocks.of_wall(seen.time), 1, seen)
            if self._is_late(deadline):
                break
        while self._waiting and (now is None or self._waiting[0][0] < now - LAG):
            self._give_out(*heapq.heappop(self._waiting))
            if self._is_late(deadline):
                break
        while self._fresh and (now is None or self._fresh[0].t < now - SETTLED):
            self._settle(self._fresh.popleft())
        if len(self._waiting) > CROWD and now is not None:
            self._pass_over()

    def close(self) -> None:
        """Read no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _wait(self, t: int, rank: int, what: Any) -> None:
        self._number += 1
        heapq.heappush(self._waiting, (t, rank, self._number, what))

    def _is_late(self, deadline: float | None) -> bool:
        return deadline is not None and self._clock() > deadline

    def _give_out(self, t: int, _rank: int, _number: int, what: Any) -> None:
        if isinstance(what, Sighting):
            self._begun = self._begun or t
            entry: Entry = self._weaver.packet(t, what)
        else:
            entry = self._weaver.call(t, 0, what, client=False)
        entry.quiet = self._reasons.tell(entry)
        self.panel.append(entry)
        self._fresh.append(entry)

    def _settle(self, entry: Entry) -> None:
        self._weaver.settle(entry, (self._begun, NEVER) if self._begun else (NEVER, NEVER))
        self._reasons.settle(entry)

    def _pass_over(self) -> None:
        """Leave out what waits and what is in the file: the connections begin anew, in the middle."""
        self.skipped += len(self._waiting) + sum(1 for _ in self._packets.packets())
        self._waiting.clear()
        self._fresh.clear()
        self._sightings = Sightings()
        self._weaver = Weaver()
        self._reasons = Reasons()

    def _read(self, size: int) -> bytes:
        if self._fd < 0:
            assert isinstance(self._path, str)  # a pipe is open from the beginning
            try:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
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
