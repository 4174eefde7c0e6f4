"""What holds for every test: where CI is set, a skipped test is a failure.

`--bug NAME` puts a bug of the gallery (`evloop serve --bug list`) into the servers that the tests make: then
some of them must fail. tests/evloop/bugs/test_suite.py sees to that.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from evloop.bugs.gallery import BUGS

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

IN_CI = bool(os.environ.get("CI"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option --bug."""
    parser.addoption("--bug", choices=sorted(BUGS), help="put this bug into the servers that the tests make")


def pytest_configure() -> None:
    """What is begun with `&` or nohup has SIGINT or SIGHUP ignored, and whatever it begins, too: signal(7).

    The programs that are tested here heed that, as they should, and would not end when a test tells them to.
    """
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip hides what it would have shown; where nobody reads the list of skips, it must be red."""
    reporter: TerminalReporter | None = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if IN_CI and skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say why the run is red although no test failed."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    if IN_CI and skipped:
        terminalreporter.write_line(f"{skipped} skipped: with CI set that is a failure", red=True)
