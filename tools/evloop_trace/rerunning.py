"""`evloop-trace rerun`: the server of a log, run again on what is recorded of its calls, and how that went.

The one command that runs the runtime itself: all others know logs, and no server.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evloop.errors import LogError
from evloop.events.schema import EVENT_TYPES
from evloop.rerun import rerun
from evloop.rerun.debugger import Debugger, Quit
from evloop_trace.escape import escape_payload, escape_text
from evloop_trace.logs import open_logs
from evloop_trace.numbers import plural
from evloop_trace.progress import track
from evloop_trace.views.lines import format_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.schema import Event
    from evloop.rerun import Difference, Moment, Outcome

__all__ = ["WIDE", "Break", "Verdict", "parse_break", "rerun_log"]

WIDE = 120
"""Columns of a terminal in which events have columns of their own."""

_VALUE = 60  # characters of a value that differs
_FIELDS = {"ev", *(field for cls in EVENT_TYPES.values() for field in cls.__struct_fields__)}


# A value: a bare word, as JSON has it or without its quotes; a JSON string; or anything between '…'.
_PAIR = re.compile(r"""\s*(\w+)=('[^']*'|"(?:[^"\\]|\\.)*"|[^\s'"]\S*)(?=\s|$)""")


class Break(NamedTuple):
    """Where to stop: at events whose fields have these values, as a log has them."""

    fields: tuple[tuple[str, str], ...]

    def wants(self, event: Event) -> bool:
        """Whether it is one of them."""
        return all(_has(event, name, value) for name, value in self.fields)


def _has(event: Event, field: str, wanted: str) -> bool:
    """Whether the field is there, and is this text, or this as JSON."""
    if field == "ev":
        return event.__struct_config__.tag == wanted
    if field not in event.__struct_fields__:
        return False
    value = msgspec.to_builtins(getattr(event, field))
    return bool(value == wanted) if isinstance(value, str) else _json(value) == _as_json(wanted)


@cache
def _as_json(text: str) -> bytes:
    try:
        return _json(msgspec.json.decode(text))
    except (ValueError, RecursionError):  # no JSON, no text, or too deep
        return b""  # which no value is


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def parse_break(text: str) -> Break:
    """An event's number, or fields and their values: `conn=tcp-3 ev=send`, `reason='nothing waits'`.

    Raises:
        ValueError: it is neither, or no event has such a field.
    """
    if text.isdecimal():
        return Break((("seq", str(int(text[:19]))),))
    pairs = []
    at = 0
    while found := _PAIR.match(text, at):
        pairs.append((found[1], _bare(found[2])))
        at = found.end()
    if not pairs or text[at:].strip():
        raise ValueError(
            f"{text!r} is no event's number, nor fields as in 'conn=tcp-3 ev=send': "
            "a value with blanks is quoted, reason='…'"
        )
    for name, value in pairs:
        if name not in _FIELDS:
            raise ValueError(f"no event has {name!r}: docs/event-log.md has all fields")
        if name == "ev" and value not in EVENT_TYPES:
            raise ValueError(f"{value!r} is no event: there are {', '.join(EVENT_TYPES)}")
    return Break(tuple(pairs))


def _bare(value: str) -> str:
    """Without its quotes.

    Raises:
        ValueError: they are JSON's, and what is between them is none.
    """
    if value[0] == "'":
        return value[1:-1]
    if value[0] == '"':
        try:
            return msgspec.json.decode(value, type=str)
        except ValueError:
            raise ValueError(f"{value} is no string as a log has it: see docs/event-log.md") from None
    return value


class Verdict(NamedTuple):
    """How a rerun went."""

    same: bool
    """As far as the log goes, and as far as it was run."""
    notes: list[str]
    """What else is to be said, in sentences."""


def rerun_log(
    path: str, write: Callable[[str], None], at: Break | None = None, *, narrow: bool = False
) -> Verdict:
    """Rerun a log, and write how that went.

    Args:
        path: Its name, or -.
        write: Takes lines.
        at: Where the debugger comes in.
        narrow: Events have no columns, so that their lines are shorter.

    Raises:
        LogError: it cannot be read, or not be rerun.
    """
    name = escape_text(path)
    debugger, stops = Debugger(), 0
    last: Event | None = None

    def stop(moment: Moment) -> None:
        nonlocal stops, last
        stops, last = stops + 1, moment.event
        try:
            write(f"{_line(moment.event, narrow=narrow)}\n")
        except Exception as error:  # which is not the server's
            raise Quit from error
        debugger.stop(moment)

    with open_logs([path], alone=True) as logs:
        runs = logs.runs() if at else track(logs, "rerun")  # who debugs has a prompt there, not a bar
        blocks = (block for _, block in runs)
        try:
            outcome = rerun(logs.logs[0].header, blocks, wanted=at.wants if at else None, stop=stop)
        except LogError as error:
            raise LogError(f"{path} cannot be rerun: {error}") from None
        except Quit as left:
            if left.__cause__ is not None:
                raise left.__cause__ from None
            number = last.seq if last else 0
            write(f"{name}: left at event {number}: so far all events are the same\n")
            return Verdict(True, [])
    notes = []
    if at is not None and not stops:
        notes.append("no event was as --break wants it")
    if outcome.difference is not None:
        write(_differs(name, outcome.events, outcome.difference, narrow=narrow))
        return Verdict(False, notes)
    if not outcome.ended:
        torn = f" and its last line {outcome.torn}" if outcome.torn else ""
        notes.append(
            f"{path} has no end{torn}; it was rerun up to where it stops: "
            "the server was killed, still runs, or could not write any more"
        )
    write(f"{name}: {plural(outcome.events, 'event')}: the rerun is the same{_guests(outcome)}\n")
    return Verdict(not (at is not None and not stops), notes)


_GUESTS = {
    "watchers": "of watchers", "capture": "of captures", "control": "through --control",
    "timers": "of watchers' timers", "evloop": "of the loop's own",
}  # fmt: skip


def _guests(outcome: Outcome) -> str:
    """What was not run again."""
    told = [f"{count:,} {_GUESTS[name]}" for name, count in outcome.guests.items()]
    return f" (what woke the loop besides was taken from the log: {', '.join(told)})" if told else ""


def _differs(name: str, events: int, difference: Difference, *, narrow: bool) -> str:
    """The events before, and both."""
    logged, other = difference.logged, difference.rerun
    lines = [f"{name}: the rerun differs behind {plural(events, 'event')} that are the same:"]
    lines += [f"       {_line(event, narrow=narrow)}" for event in difference.before]
    lines.append(f"log    {_line(logged, narrow=narrow) if logged else 'has nothing more'}")
    if isinstance(other, str):
        lines.append(f"rerun  {escape_text(other)}")
    else:
        lines.append(f"rerun  {_line(other, narrow=narrow)}")
        if type(other) is type(logged):
            lines += [f"       {line}" for line in _fields(logged, other)]
    return "\n".join(lines) + "\n"


def _line(event: Event, *, narrow: bool) -> str:
    line = format_event(event)  # type: ignore[arg-type]
    return re.sub(" {3,}", "  ", line.lstrip()) if narrow else line


def _fields(logged: Event | None, other: Event) -> list[str]:
    """Which fields differ, and how."""
    return [
        f"{name}: {_shown(then)} in the log, {_shown(now)} in the rerun"
        for name in other.__struct_fields__
        if (then := getattr(logged, name)) != (now := getattr(other, name))
    ]


def _shown(value: Any) -> str:
    """A field's value, short and safe."""
    if isinstance(value, bytes | memoryview):
        return f'"{escape_payload(bytes(value), _VALUE, len(value))}"'
    text = escape_text(msgspec.json.encode(value).decode())
    return text if len(text) <= _VALUE else text[: _VALUE - 1] + "…"
