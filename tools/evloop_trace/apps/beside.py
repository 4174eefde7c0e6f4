"""A program runs, with the streams and the terminal that we have; its events are lines on standard error."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evloop.errors import EvloopError
from evloop.printable import printable
from evloop_trace.views.lines import format_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop_trace.apps.follow import FileFeed
    from evloop_trace.apps.program import Program

__all__ = ["FORWARDED", "blocked", "run_beside"]

LOOK = 0.05  # seconds from one look at the log to the next
FORWARDED = {
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2
}  # fmt: skip
_SI_KERNEL = 0x80  # see sigaction(2): the terminal sent it


@contextmanager
def blocked() -> Iterator[None]:
    """Signals that are meant for the program wait until `run_beside` passes them on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*FORWARDED, signal.SIGCHLD})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_beside(program: Program, feed: FileFeed | None) -> int:
    """Write lines until the program has ended; its exit code, or minus the signal that killed it."""
    lines = _Lines()
    while (code := program.poll()) is None:
        _forward(program)
        if feed:
            lines.write(feed)
    if feed is None:
        return code
    feed.finish()
    while lines.open and not feed.ended:
        lines.write(feed)
    return code


def _forward(program: Program) -> None:
    """Pass on what others send us. What the terminal sends, Ctrl-C, it sends to the program as well."""
    caught = signal.sigtimedwait({*FORWARDED, signal.SIGCHLD}, LOOK)
    if caught and caught.si_signo in FORWARDED and caught.si_code != _SI_KERNEL:
        program.send(caught.si_signo)


class _Lines:
    """Standard error, as long as somebody reads it: the program is not to die of our lines."""

    def __init__(self) -> None:
        self.open = sys.stderr is not None

    def write(self, feed: FileFeed) -> None:
        """Write what the feed has."""
        if not self.open:
            return
        try:
            text = "\n".join([*format_events(feed.read()), ""]) if feed.wait(0) else ""
        except EvloopError as error:  # the program has overwritten its log
            self.open = False
            text = f"evloop-trace: {printable(str(error))}\n"
        try:
            if text:
                sys.stderr.write(text)
                sys.stderr.flush()
        except OSError:
            self.open = False
