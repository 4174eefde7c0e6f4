"""What several commands' options mean: addresses, times, sizes, and what goes into a log."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from evloop.address import Inet, UnixPath, parse_inet, parse_unix
from evloop.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.recording import LogOptions

__all__ = [
    "A_YEAR", "BYTES", "INET", "SECONDS", "SECONDS_OR_NONE", "UNIX", "Seconds", "log_options",
    "payload_options",
]  # fmt: skip


class _Parsed(click.ParamType[Any]):
    """An option whose text is turned into an address; what is wrong with it is one sentence."""

    def __init__(self, name: str, parse: Callable[[str], Inet | UnixPath]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Inet | UnixPath:
        try:
            return self._parse(value)
        except AddressError as error:
            self.fail(str(error), param, ctx)


INET = _Parsed("HOST:PORT", parse_inet)
UNIX = _Parsed("PATH", parse_unix)


class Seconds(click.FloatRange):
    """A time that a timer can be set to: at most a year, and a number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds of an option's text."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


A_YEAR = 366 * 24 * 3600
SECONDS = Seconds(min=0, max=A_YEAR, min_open=True)
SECONDS_OR_NONE = Seconds(min=0, max=A_YEAR)
BYTES = click.IntRange(min=1, max=1 << 30)


def payload_options(command: Callable[..., None]) -> Callable[..., None]:
    """How much of what is said goes into a log."""
    kinds = click.Choice(["none", "prefix", "full"])
    policy = click.option(
        "--payload",
        type=kinds,
        default="prefix",
        show_default=True,
        help="How much of what is sent and received goes into the log.",
    )
    most = click.option(
        "--payload-max", type=click.IntRange(min=0), help="Bytes kept of each payload.  [default: 64]"
    )
    return policy(most(command))


def log_options(
    log: str | None, payload: str, payload_max: int | None, watch: UnixPath | None = None, trace: bool = False
) -> LogOptions:
    """Where events go.

    Raises:
        click.UsageError: the options contradict each other.
    """
    from evloop.recording import LogOptions

    if payload_max is not None and payload != "prefix":
        raise click.UsageError(f"--payload-max and --payload {payload} contradict each other: leave one out")
    if log == "":
        raise click.UsageError("--log '' names no file: give one, or - for standard output")
    return LogOptions(log, payload, 64 if payload_max is None else payload_max, watch, trace)
