"""What several commands' options mean: addresses, times, sizes, and what goes into a log."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from evloop.address import Inet, UnixPath, parse_inet, parse_unix
from evloop.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.bugs.bug import Bug
    from evloop.recording import LogOptions

__all__ = [
    "A_YEAR", "BUG", "BYTES", "INET", "MODE", "SECONDS", "SECONDS_OR_NONE", "UNIX", "Seconds", "log_options",
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


class _BugName(click.ParamType[Any]):
    """A bug's name, or `list`, which prints them and ends."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Bug:
        from evloop.bugs.gallery import BUGS, listing

        if value == "list":
            click.echo(listing())
            raise click.exceptions.Exit(0)
        if value not in BUGS:
            near = difflib.get_close_matches(str(value), BUGS, 1)
            hint = f"did you mean {near[0]}?" if near else "--bug list tells of all there are"
            self.fail(f"there is no bug {value!r} here: {hint}", param, ctx)
        return BUGS[value]

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        from evloop.bugs.gallery import BUGS

        return [
            CompletionItem(name, help=bug.wrong) for name, bug in BUGS.items() if name.startswith(incomplete)
        ]


BUG = _BugName()


class _Mode(click.ParamType[int]):
    """The mode of a file, in octal, as chmod(1) takes it; its owner may always read and write."""

    name = "MODE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            mode = int(value, 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o777 or mode & 0o600 != 0o600:
            self.fail(f"{value!r} is no mode: 600 is for its owner, 660 for its group, too", param, ctx)
        return mode


MODE = _Mode()


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
        "--payload-max",
        type=click.IntRange(min=0),
        metavar="BYTES",
        help="How much is kept of each payload.  [default: 64]",
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
