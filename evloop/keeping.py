"""Options → where the events of the loop's server are kept: a file, several, or memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evloop.events.sinks import FileSink, Sink, open_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.ring import Lint, RingSink
    from evloop.events.schema import Header, Inherit
    from evloop.recording import LogOptions

__all__ = ["ASKED_BY", "Kept", "keep_events"]

ASKED_BY = "SIGUSR1"
"""The signal by which a flight recorder is asked for a file; it stops no server."""


class Kept(NamedTuple):
    """Where events go."""

    sink: Sink
    begin: Callable[[], None]
    """Called when there is something to keep: only now is a file emptied of what it held."""
    ring: RingSink | None = None


def keep_events(
    keep: LogOptions,
    report: Callable[[str], None],
    header: Header,
    standing: Callable[[], list[Inherit]],
    lint: Lint | None,
) -> Kept | None:
    """What the options ask for; None is for no log at all.

    Raises:
        LogError: the log cannot be written, or is no file where one is needed.
    """
    if keep.log is None:
        return None
    if keep.ring is None and keep.log_max_bytes is None:
        file = FileSink(open_log(keep.log), keep.log, report)
        return Kept(file, file.begin)
    from evloop.events.rotation import RotatingSink  # noqa: PLC0415 - who asks for neither needs none
    from evloop.events.series import open_series  # noqa: PLC0415

    if keep.ring is None:
        opened = open_series(keep.log, keep.log_keep, "--log-max-bytes needs a file")
        assert keep.log_max_bytes is not None
        rotating = RotatingSink(
            opened, keep.log, report, most=keep.log_max_bytes, header=header, standing=standing
        )
        return Kept(rotating, rotating.begin)
    from evloop.events.ring import RingSink  # noqa: PLC0415

    opened = open_series(keep.log, keep.log_keep, "--ring writes files")
    ring = RingSink(
        opened, keep.log, report,
        size=keep.ring, header=header, standing=standing, slow="slow" in keep.ring_on, lint=lint,
    )  # fmt: skip
    return Kept(ring, lambda: None, ring)
