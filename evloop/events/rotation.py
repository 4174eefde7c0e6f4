"""A log in several files, of which the newest has its name: none grows for ever, and the oldest go."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evloop.events.schema import Cut, End
from evloop.events.sinks import FileSink, encode, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.events.schema import Event, Header, Inherit
    from evloop.events.series import Series

__all__ = ["RotatingSink"]

CUT = "the log goes on in a newer file"


class RotatingSink:
    """A log file that becomes an old one when it has grown to so many bytes, and goes on in a new one.

    Each file begins with the header and what is open at that moment, so that it can be read alone. A new
    file is complete up to there before the old one is ended: whatever cannot be written, there is always a
    log under the name, and it is whole.
    """

    wants_lines = True

    def __init__(
        self,
        opened: tuple[int, Series],
        path: str,
        report: Callable[[str], None],
        *,
        most: int,
        header: Header,
        standing: Callable[[], list[Inherit]],
    ) -> None:
        """Takes what `open_series` gave; nothing is written before `begin`.

        Args:
            opened: The file and its series.
            path: Its name, for messages.
            report: Takes a sentence for the person who runs the server.
            most: Bytes.
            header: The log's.
            standing: What is open after the last event that was written.
        """
        self._fd, self._series = opened
        self._path, self._report, self._most = path, report, most
        self._header, self._standing = header, standing
        self._file = FileSink(self._fd, path, report)
        self._size = 0  # of the file, about
        self._limit = most
        self._failing = False

    @property
    def lost(self) -> int:
        """Events that are missing from all the files together."""
        return self._file.lost

    def begin(self) -> None:
        """As that of `FileSink`; older files of an earlier run stay, as many as are kept."""
        self._file.begin()

    def write(self, block: bytes, events: Sequence[Event]) -> None:
        """Write lines; and if that was enough, go on in a new file next time."""
        self._file.write(block, events)
        self._size += len(block)
        last = events[-1]
        if self._size >= self._limit and not self._file.is_behind and not isinstance(last, End):
            self._rotate(last)

    def _rotate(self, last: Event) -> None:
        """Go on in a new file, or, if that cannot be, in this one, for as many bytes again."""
        self._size, self._limit = 0, self._most
        head = encode([replace(self._header, first=last.seq + 1), *self._standing()])
        try:
            fd = self._series.renew(self._fd, head)
        except OSError as error:
            if not self._failing:
                why = error.strerror or error
                self._report(f"the log {self._path} cannot be rotated ({why}): it is written on as it is")
            self._failing = True
            return
        self._failing = False
        self._end_old(last)
        lost = self._file.lost
        self._fd, self._file = fd, FileSink(fd, self._path, self._report)
        self._file.lost = lost
        # Where thousands of connections are open, the head alone may be more than a file shall have.
        self._size, self._limit = len(head), max(self._most, 2 * len(head))
        self._series.prune(self._report)

    def _end_old(self, last: Event) -> None:
        """Its last line, if there is room for it: without one it is still a log."""
        with contextlib.suppress(OSError):
            write_lines(self._fd, encode([Cut(-1, last.t, last.tick, CUT)]))
        os.close(self._fd)

    def close(self) -> None:
        """Give the descriptors back."""
        self._file.close()
        self._series.close()
