"""Where captured packets go: a pcapng file, or lines."""

from __future__ import annotations

import os
import sys
import time
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from evloop import __version__
from evloop.errors import EvloopError
from evloop_trace.capture import pcapng
from evloop_trace.capture.filters import in_words
from evloop_trace.capture.interface import name_of
from evloop_trace.capture.lines import Lines
from evloop_trace.whole_file import UnwrittenError, WholeFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.capture.interface import Interface
    from evloop_trace.capture.ring import Counts, Packet
    from evloop_trace.capture.wanted import Wanted

__all__ = ["FileSink", "LineSink", "Sink"]


class Sink(Protocol):
    """Takes packets in order."""

    def put(self, packets: list[Packet], counts: Counts) -> None:
        """Some packets, and what the kernel has counted until now."""

    def finish(self, counts: Counts, comment: str = "") -> None:
        """There are no more."""

    def close(self) -> None:
        """Let go of whatever is open."""


class LineSink:
    """A line a packet."""

    def __init__(self, write: Callable[[str], None], interface: Interface) -> None:
        self._write = write
        self._lines = Lines(interface.link_type, name_of if interface.is_any else None)

    def put(self, packets: list[Packet], counts: Counts) -> None:
        """Print them; what the kernel dropped before is told when that is over."""
        del counts
        if packets:
            self._write("".join([self._lines.line(packet) for packet in packets]))

    def finish(self, counts: Counts, comment: str = "") -> None:
        """A line has no end."""

    def close(self) -> None:
        """Nothing is open."""


class FileSink:
    """A pcapng file that can be read at any moment."""

    def __init__(self, wanted: Wanted, interface: Interface) -> None:
        """Begin it.

        Raises:
            EvloopError: it cannot be written.
        """
        assert wanted.output is not None
        if wanted.output == "-" and sys.stdout is not None and sys.stdout.isatty():
            raise EvloopError(
                "a capture is nothing for a terminal: redirect it, or leave out -w to see packets"
            )
        self._file = WholeFile(wanted.output, pcapng.count)
        self._began = time.time_ns()
        self._packets = 0
        self._dropped = 0
        about = os.uname()
        system = f"{about.sysname} {about.release}"
        head = pcapng.section(about.machine, system, f"evloop-trace {__version__}")
        words = in_words(wanted.ports)
        self._about = interface.link_type, wanted.snap + interface.added, words, system
        head += pcapng.interface(interface.name, *self._about)
        self._numbers: dict[bytes, int] | None = {} if interface.is_any else None
        try:
            self._file.write(head)
        except UnwrittenError as error:
            self._file.close()
            raise EvloopError(f"{wanted.output} cannot be written: {error}") from None

    def put(self, packets: list[Packet], counts: Counts) -> None:
        """Write them; and when the kernel has dropped some, how many until now, so that it is known where."""
        self._packets += len(packets)
        blocks = pcapng.packets(packets) if self._numbers is None else self._of_all(packets, self._numbers)
        if counts.dropped > self._dropped:
            self._dropped = counts.dropped
            blocks += self._statistics(counts)
        if blocks:
            self._file.write(blocks)

    def _of_all(self, packets: list[Packet], numbers: dict[bytes, int]) -> bytes:
        """Packets of several interfaces; each is described when its first packet comes."""
        parts = []
        for where, batch in groupby(packets, _interface_of):
            if where not in numbers:
                self._describe(where, len(packets))
                numbers[where] = len(numbers) + 1
            parts.append(pcapng.packets(batch, numbers[where]))
        return b"".join(parts)

    def _describe(self, where: bytes, waiting: int) -> None:
        """An interface's block, before all the packets that are `waiting`."""
        try:
            self._file.write(pcapng.interface(name_of(int.from_bytes(where, "big")), *self._about))
        except UnwrittenError as error:
            error.missing = waiting
            raise

    def finish(self, counts: Counts, comment: str = "") -> None:
        """Write what was counted in all."""
        self._file.write(self._statistics(counts, comment))

    def close(self) -> None:
        """The file is complete."""
        self._file.close()

    def _statistics(self, counts: Counts, comment: str = "") -> bytes:
        return pcapng.statistics(time.time_ns(), self._began, counts, self._packets, comment)


def _interface_of(packet: Packet) -> bytes:
    """The number of its interface, as a header of Linux cooked 2 has it."""
    return packet[1][4:8]
