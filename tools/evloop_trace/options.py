"""What the values of options mean, and a sentence for each that means nothing: callbacks of click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evloop.files import written_twice

if TYPE_CHECKING:
    from evloop_trace.rerunning import Break

__all__ = ["break_at", "dimensions", "kinds", "one_file_each", "only_read", "ranges", "speed", "time"]


def one_file_each(*named: tuple[str, str | None]) -> None:
    """Refuse options of which two would write one file.

    Raises:
        click.UsageError: two do.
    """
    if twice := written_twice(named):
        raise click.UsageError(twice)


def only_read(path: str, what: str, *named: tuple[str, str | None]) -> None:
    """Refuse an option that would write what is only to be read.

    Raises:
        click.UsageError: one would.
    """
    for option, name in named:
        if written_twice([("", path), (option, name)]):
            raise click.UsageError(f"{option} {name} is {what} itself: name another file")


def speed(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """A factor; infinity for `max`."""
    if value is None or value == "max":
        return None if value is None else float("inf")
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not 0.001 <= speed <= 1e6:
        raise click.BadParameter(f"{value!r} is not a speed: write a factor such as 0.5 or 10, or max")
    return speed


def time(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """A time from the log's start, in nanoseconds."""
    from evloop_trace.model.filters import parse_time

    try:
        return None if value is None else parse_time(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def kinds(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Names of events that there are."""
    from evloop.events.schema import EVENT_TYPES

    for value in values:
        if value not in EVENT_TYPES:
            raise click.BadParameter(f"{value!r} is no event; there are {', '.join(EVENT_TYPES)}")
    return values


def dimensions(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, int]:
    """Columns and lines."""
    columns, _, lines = value.partition("x")
    if not (columns.isdecimal() and lines.isdecimal() and len(value) < 20):
        raise click.BadParameter(f"{value!r} is not a size: write columns and lines, such as 100x30")
    if not (10 <= int(columns) <= 500 and 5 <= int(lines) <= 300):
        bounds = "10 to 500 columns and 5 to 300 lines, such as 100x30"
        raise click.BadParameter(f"{value!r}: a picture has {bounds}")
    return int(columns), int(lines)


def ranges(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> list[range]:
    """Numbers of packets."""
    from evloop_trace.dissecting import parse_range

    try:
        return [parse_range(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def break_at(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Break | None:
    """Which events a rerun stops at."""
    from evloop_trace.rerunning import parse_break

    try:
        return None if value is None else parse_break(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
