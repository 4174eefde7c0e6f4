"""Lines of a recording of the kernel's → events: a bad line costs only itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from evloop.errors import LogError
from evloop_trace.states.schema import SCHEMA, End, Event, Header, Lost

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_LINE", "TransitionLog", "read_transitions"]

MAX_LINE = 1 << 20
"""Bytes; only the ports of a header are without a bound of their own, and there are 65,535."""


class TransitionLog(msgspec.Struct):
    """A file, as far as it could be read."""

    header: Header
    events: list[Event]
    """In the order of time."""
    end: End | None
    """None: the recording was cut off."""
    problems: list[str]
    """What of it could not be read, a sentence each."""


_decoder = msgspec.json.Decoder(Event | Header | End)
_MOST_PROBLEMS = 20


def read_transitions(lines: Iterable[bytes], name: str) -> TransitionLog:
    """The events of a file, of which a bad line costs only itself.

    Args:
        lines: Its lines, each with its newline, or the first `MAX_LINE` bytes of a longer one.
        name: What to call it in a message.

    Raises:
        LogError: it is no such file, or one of another version.
    """
    numbered = enumerate(lines, 1)
    header = _header(next(numbered, (1, b""))[1], name)
    log = TransitionLog(header, [], None, [])
    for number, line in numbered:
        if len(line) >= MAX_LINE:
            _complain(log, f"line {number} is longer than {MAX_LINE:,} bytes: nothing is read from there on")
            break
        _read(log, number, line)
    if log.end is None:
        _complain(log, "has no end: the recording was cut off, what came later is not there")
    log.events.sort(key=_time)
    _fill_in_ports(log.events)
    return log


def _header(line: bytes, name: str) -> Header:
    if not line:
        raise LogError(f"{name} is empty: nothing was recorded, or it is not the file you meant")
    try:
        header: Any = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        header = None
    if not isinstance(header, Header) or not header.schema.startswith("evloop-kernel/"):
        raise LogError(
            f"{name} is no recording of the kernel's: its first line is not such a header; "
            "evloop-trace capture --kernel writes one"
        )
    if header.schema != SCHEMA:
        raise LogError(f"{name} has the schema {header.schema[:40]!r} and this program reads {SCHEMA!r}")
    return header


def _read(log: TransitionLog, number: int, line: bytes) -> None:
    """One line, into the log."""
    if not line.endswith(b"\n"):
        _complain(log, f"line {number} is torn: the file ends in the middle of it")
        return
    try:
        item = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _complain(log, f"line {number} is no event: {str(error)[:200]}")
        return
    if isinstance(item, End):
        log.end = item
    elif isinstance(item, Header):
        _complain(log, f"line {number} is a second header")
    else:
        log.events.append(item)


def _complain(log: TransitionLog, sentence: str) -> None:
    if len(log.problems) < _MOST_PROBLEMS:
        log.problems.append(sentence)


def _time(event: Event) -> int:
    return event.t


def _fill_in_ports(events: list[Event]) -> None:
    """The kernel says SYN-SENT before it chooses a port: the socket's next event has it."""
    known: dict[int, str] = {}
    for event in reversed(events):
        if isinstance(event, Lost) or event.sock is None:
            continue
        if not event.local.endswith(":0"):
            known[event.sock] = event.local
        elif event.sock in known:
            event.local = known[event.sock]
