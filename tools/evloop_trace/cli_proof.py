"""`evloop-trace rerun`: the commands that hold a log beside something else.

What a command needs is imported when it runs, as in `cli`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evloop_trace import options
from evloop_trace.console import FOUND, OK, tell, write

if TYPE_CHECKING:
    from evloop_trace.rerunning import Break

__all__ = ["rerun"]


@click.command()
@click.argument("log", metavar="LOG")
@click.option(
    "--break",
    "at",
    metavar="SEQ|FIELD=VALUE…",
    callback=options.break_at,
    help="Stop in the debugger at this event, or at those with these fields: 'conn=tcp-3 ev=send'.",
)
def rerun(log: str, at: Break | None) -> int:
    """Run the server of a log again: the real loop, on the recorded results of its calls.

    It must do the same again, event for event; else the first that differs is shown, the log's and the
    rerun's, and the exit code is 1. It needs a log of evloop serve --payload full, from its beginning on.

    In the debugger, which is pdb, loop, server, stream (the connection's) and event are at hand.
    """
    from evloop_trace.rerunning import rerun_log

    if at is not None and log == "-":
        raise click.UsageError("--break asks on standard input what to do: name a file as the log")
    verdict = rerun_log(log, write, at)
    for note in verdict.notes:
        tell(note)
    return OK if verdict.same else FOUND
