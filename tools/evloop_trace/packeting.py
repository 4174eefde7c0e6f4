"""Opening a capture: a path, `-` for standard input, gzip or not; and all of its connections."""

from __future__ import annotations

import errno
import gzip
import json
import sys
import zlib
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from evloop_trace.packets.analysis import Analysis
from evloop_trace.packets.capture_file import Capture, CaptureError, read_packets
from evloop_trace.packets.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evloop_trace.packets.flow import Connection

__all__ = ["STORIES", "analyse", "as_json", "problems"]

STORIES = 20
"""Connections that are told packet by packet."""


def analyse(path: str, stories: int = 0) -> tuple[Capture, Analysis]:
    """Read a capture to its end, or as far as it can be read.

    Raises:
        CaptureError: it cannot be opened, or is no capture.
    """
    capture, analysis = Capture(), Analysis(stories)
    name = "standard input" if path == "-" else path
    with _opened(path, name) as file:
        try:
            analysis.feed(read_packets(_reader(file, capture), capture))
        except CaptureError as error:
            raise CaptureError("; ".join([f"{name} {error}", *capture.problems])) from None
        except OSError as error:
            raise CaptureError(f"{name} cannot be read: {error.strerror or error}") from None
    return capture, analysis


@contextmanager
def _opened(path: str, name: str) -> Iterator[IO[bytes]]:
    try:
        if path == "-":
            yield _standard_input()
            return
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:
        raise CaptureError(f"{name} cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    with file:
        yield file


def _standard_input() -> IO[bytes]:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.buffer


def _reader(file: IO[bytes], capture: Capture) -> Callable[[int], bytes]:
    """Reads what is in the file, unpacked if it is packed; where that fails the file ends."""
    start = file.read(2)
    if start != b"\x1f\x8b":
        return _Pushed(start, file).read
    unpacked = gzip.GzipFile(fileobj=_Pushed(start, file))  # type: ignore[call-overload]  # it only reads

    def read(size: int) -> bytes:
        try:
            return bytes(unpacked.read1(size))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            capture.problem(f"the file is damaged or cut off and cannot be unpacked further: {error}")
            return b""

    return read


class _Pushed:
    """A file of which the first bytes have been read already."""

    def __init__(self, start: bytes, file: IO[bytes]) -> None:
        self._start, self._file = start, file

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes."""
        if self._start:
            start, self._start = self._start, b""
            return start
        return self._file.read(size)


def as_json(conn: Connection) -> str:
    """A line."""
    values: dict[str, Any] = asdict(summarize(conn))
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"


def problems(capture: Capture, analysis: Analysis) -> list[str]:
    """What is wrong with the file, and what of it is in no connection, a sentence each."""
    found = list(capture.problems)
    if capture.dropped:
        found.append(
            f"the capture lost {capture.dropped:,} packets: what follows from their absence is not so"
        )
    for reason, number in analysis.left_out.items():
        found.append(f"{number:,} packets are left out: {reason.value}")
    return found
