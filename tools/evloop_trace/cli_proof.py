"""`evloop-trace rerun`, `lint`, `audit`: a log beside another run, what is known to go wrong, the kernel.

What a command needs is imported when it runs, as in `cli`.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from evloop_trace import options
from evloop_trace.console import FOUND, OK, USAGE, paper, tell, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from evloop_trace.model.lint import Linter
    from evloop_trace.rerunning import Break

__all__ = ["audit", "lint", "rerun"]


@click.command(short_help="Run a log's server again, on what its calls returned.")
@click.argument("log", metavar="LOG")
@click.option(
    "--break",
    "at",
    metavar="SEQ|FIELD=VALUE…",
    callback=options.break_at,
    help="Stop in the debugger at this event, or at those whose fields have these values, as the log has "
    "them: 'conn=tcp-3 ev=send', 'ev=limit active=true', \"reason='nothing waits to be sent'\".",
)
def rerun(log: str, at: Break | None) -> int:
    """Run the server of a log again: the real loop, on the recorded results of its calls.

    It must do the same again, event for event; else the first that differs is shown, the log's and the
    rerun's, and the exit code is 1. It needs a log of evloop serve --payload full, from its beginning on.

    In the debugger, which is pdb, loop, server, stream (the connection's) and event are at hand.
    """
    from evloop_trace.rerunning import WIDE, rerun_log
    from evloop_trace.views.page import PLAIN_WIDTH

    if at is not None and log == "-":
        raise click.UsageError("--break asks on standard input what to do: name a file as the log")
    if at is not None and sys.stdin is None:
        raise click.UsageError("--break asks on standard input what to do: it is closed")
    sheet = paper(PLAIN_WIDTH)
    verdict = rerun_log(log, write, at, narrow=sheet.terminal and sheet.width < WIDE)
    for note in verdict.notes:
        tell(note)
    return OK if verdict.same else FOUND


@click.command(short_help="Say what goes wrong in a program, and what to do about it.")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True)
@click.option(
    "--json", "as_json", is_flag=True, help="A JSON object a log, one a line; times in nanoseconds."
)
def lint(logs: tuple[str, ...], as_json: bool) -> int:
    """Say what goes wrong in a program, since when and how often, and what to do about it.

    A loop that spins, bytes that are never sent, connections that are never closed, and so on: docs/lint.md
    has them all. `why` says what a program waits for at the end; this says also what went wrong before.
    Each log is looked at by itself, and so are those of a program's other processes, which lie beside its
    own. The exit code is 1 if anything was found.
    """
    from evloop_trace.linting import as_json as encoded
    from evloop_trace.linting import lint_log
    from evloop_trace.logs import family
    from evloop_trace.replay import Problems

    problems, found = Problems(tell), 0
    paths = [it for log in logs for it in ([log] if log == "-" else family(log))]
    for path in dict.fromkeys(paths):
        before = problems.count
        linter = lint_log(path, problems)
        found += len(linter.findings)
        broken = problems.count - before
        write(encoded(path, linter, broken) if as_json else _lint_page(path, linter))
    problems.finish()
    return FOUND if found or problems.count else OK


def _lint_page(path: str, linter: Linter) -> str:
    """What was found, as wide as the terminal and coloured, if there is one."""
    from evloop_trace.views.lint import render
    from evloop_trace.views.page import PLAIN_WIDTH

    sheet = paper(PLAIN_WIDTH)
    return render("standard input" if path == "-" else path, linter, sheet.width, colour=sheet.colour)


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Hold a server's log against what the kernel was really asked.",
)
@click.option(
    "--log", metavar="FILE", help="The log that COMMAND writes.  [default: its own, or one for the time]"
)
@click.option("--strace", "kept", metavar="FILE", help="Keep what strace writes.")
@click.option(
    "--inject",
    "faults",
    multiple=True,
    metavar="FAULT",
    help="Let system calls fail: accept4:error=EMFILE:when=1, see strace(1); repeatable.",
)
@click.option(
    "--lab",
    is_flag=True,
    help="In a network of its own, where the kernel's counters are the server's and its clients' alone.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object, with every difference.")
@click.argument("command", metavar="[--] COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def audit(
    log: str | None,
    kept: str | None,
    faults: tuple[str, ...],
    lab: bool,
    as_json: bool,
    command: tuple[str, ...],
) -> int:
    """Run a server under strace, and hold its log against what the kernel was really asked.

    COMMAND is evloop serve, evloop client or evloop-trace run, with their options; or whatever writes --log
    FILE. It runs until it ends: Ctrl-C is the server's. Then every call must be in the log, once, in
    order on its descriptor, with the same result; in a lab, the kernel's counters must agree, too. The exit
    code is 1 if anything differs, 2 if there was nothing to compare; what cannot be compared is said.
    """
    from evloop_trace.apps.audited import Wanted
    from evloop_trace.apps.audited import audit as run
    from evloop_trace.audit.command import NoLogError, with_log
    from evloop_trace.escape import json_text
    from evloop_trace.views.audit import render
    from evloop_trace.views.page import PLAIN_WIDTH

    if command[0].startswith("-"):
        raise click.NoSuchOption(command[0])
    if lab:
        _enter_lab(
            [*_given("--log", log), *_given("--strace", kept), *_given("--inject", *faults)], as_json, command
        )
    with _tidily(), tempfile.TemporaryDirectory(prefix="evloop-") as folder:
        spare = os.path.join(folder, "run.jsonl")
        try:
            words, name = with_log(command, log, spare)
        except NoLogError as error:
            raise click.UsageError(str(error)) from None
        report = run(words, name, Wanted(kept, faults, name == spare), tell)
    if as_json:
        write(json_text(report) + "\n")
    else:
        sheet = paper(PLAIN_WIDTH)
        begin = "\n" if sheet.terminal else ""  # behind the ^C that it shows
        write(begin + render(report, sheet.width, colour=sheet.colour))
    if not report.compared:
        return USAGE
    return OK if report.ok else FOUND


class _EndedError(BaseException):
    """A signal wants us to end."""


@contextmanager
def _tidily() -> Iterator[None]:
    """End of a signal as ever, but remove first what is only ours; while a command runs they are its own."""
    from evloop_trace.apps.program import end_like

    def end(number: int, _frame: Any) -> None:
        raise _EndedError(number)

    numbers = [it for it in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(it) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    except _EndedError as ended:
        end_like(-ended.args[0])
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _given(option: str, *values: str | None) -> list[str]:
    return [word for value in values if value is not None for word in (option, value)]


def _enter_lab(options: list[str], as_json: bool, command: tuple[str, ...]) -> NoReturn:
    """Be the same command in a network of its own, as evloop lab makes it."""
    options += ["--json"] * as_json
    python = [sys.executable, "-P", "-m"]
    again = [*python, "evloop", "lab", "--", *python, "evloop_trace", "audit", *options, "--", *command]
    os.execv(sys.executable, again)  # noqa: S606 - ourselves
