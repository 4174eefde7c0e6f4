"""Opening a capture: a path, `-` for standard input, gzip or not; and all of its connections."""

from __future__ import annotations

import gc
import gzip
import os
import stat
import sys
import zlib
from contextlib import contextmanager, nullcontext
from typing import IO, TYPE_CHECKING

import msgspec

from evloop_trace.escape import escape_json
from evloop_trace.numbers import plural
from evloop_trace.packets.analysis import Analysis
from evloop_trace.packets.capture_file import Capture, CaptureError, read_packets
from evloop_trace.packets.summary import summarize
from evloop_trace.progress import meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evloop_trace.packets.capture_file import Packet

__all__ = ["STORIES", "analyse", "json_lines", "opened", "problems"]

_BATCH = 1 << 16  # bytes
STORIES = 20
"""Connections that are told packet by packet."""


def analyse(path: str, stories: int = 0) -> tuple[Capture, Analysis]:
    """Read a capture to its end, or as far as it can be read; on a terminal a bar shows how far that is.

    Raises:
        CaptureError: it cannot be opened, or is no capture.
    """
    capture, analysis = Capture(), Analysis(stories)
    with opened(path, capture, "packets") as packets:
        analysis.feed(packets)
    return capture, analysis


@contextmanager
def opened(path: str, capture: Capture, bar: str = "") -> Iterator[Iterator[Packet]]:
    """The packets of a capture, which says about itself in `capture` what is known so far.

    Args:
        path: - is standard input.
        capture: Is filled.
        bar: What a bar is called, if there is to be one.

    Raises:
        CaptureError: it cannot be opened, or is no capture; also while the packets are read.
    """
    name = "standard input" if path == "-" else path or repr(path)
    with _opened(path, name) as file, _no_search():
        try:
            source = _Source(file)
            with meter(source, bar) if bar else nullcontext(lambda: None) as look:
                yield read_packets(_reader(source, capture, look), capture)
        except CaptureError as error:
            raise CaptureError(f"{name} {error}") from None


@contextmanager
def _no_search() -> Iterator[None]:
    """Nothing here needs the search for cycles, which takes a sixth of the time of very many connections."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def _opened(path: str, name: str) -> Iterator[IO[bytes]]:
    if path == "-":
        if sys.stdin is None:
            raise CaptureError(f"{name} cannot be opened: it is closed")
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:
        raise CaptureError(f"{name} cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    with file:
        yield file


def _reader(source: _Source, capture: Capture, look: Callable[[], None]) -> Callable[[int], bytes]:
    """Reads what is in the file, unpacked if it is packed; where that fails the file ends."""
    if not source.is_packed:
        unpack: Callable[[int], bytes] = source.read
    else:
        unpack = gzip.GzipFile(fileobj=source).read1  # type: ignore[call-overload]  # it only reads

    damaged = False

    def read(size: int) -> bytes:
        nonlocal damaged
        look()
        if damaged:
            return b""
        try:
            return unpack(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            if not capture.kind:  # not even the beginning is there
                raise CaptureError(f"cannot be unpacked: {error}") from None
            capture.problem(f"the file is damaged or cut off and cannot be unpacked further: {error}")
            damaged = True
            return b""

    return read


class _Source:
    """A file, packed or not, of which the first bytes have been read already."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._start = self._read(2)
        self.is_packed = self._start == b"\x1f\x8b"
        self.size, self.done = _size(file), 0

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes."""
        if self._start:
            data, self._start = self._start, b""
        else:
            data = self._read(size)
        self.done += len(data)
        return data

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise CaptureError(f"cannot be read: {error.strerror or error}") from None


def _size(file: IO[bytes]) -> int:
    """Bytes of a file; 0 for what is none, as a pipe."""
    try:
        about = os.fstat(file.fileno())
    except (OSError, ValueError):  # a test's, which is no file
        return 0
    return about.st_size if stat.S_ISREG(about.st_mode) else 0


def json_lines(analysis: Analysis) -> Iterator[str]:
    """A JSON object a connection, one a line; a few hundred lines at a time."""
    encode, lines = msgspec.json.Encoder().encode, bytearray()
    for conn in analysis.connections():
        lines += encode(summarize(conn)) + b"\n"
        if len(lines) > _BATCH:
            yield escape_json(lines)
            lines.clear()
    if lines:
        yield escape_json(lines)


def problems(capture: Capture, analysis: Analysis) -> list[str]:
    """What is wrong with the file, and what of it is in no connection, a sentence each."""
    found = list(capture.problems)
    if capture.dropped:
        found.append(
            f"the capture lost {plural(capture.dropped, 'packet')}: what follows from their absence is not so"
        )
    for reason, number in analysis.left_out.items():
        are = "are" if number > 1 else "is"
        found.append(f"{plural(number, 'packet')} {are} left out: {reason.value}")
    return found
