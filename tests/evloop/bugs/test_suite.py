"""The gallery is the mutation test of our own suite: with each bug in it, ordinary tests fail.

`pytest --bug NAME` puts the bug into the servers that the tests make. Of the tests that fail then, some that
cost little are named here, and run with the bug and without.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evloop.bugs.gallery import BUGS

TESTS = Path(__file__).parents[1]
SECONDS = 120  # for anything at all; what takes longer hangs

CATCHERS = {
    "write-interest-left-on": ["net/test_stream.py::test_the_rest_waits_for_room"],
    "mask0-hup-spin": ["loop/test_interest.py::test_every_change_reaches_the_selector_once"],
    "emfile-no-return": ["net/test_listener.py::test_a_shortage_in_the_middle_of_a_batch"],
    "abort-stops-batch": ["net/test_listener.py::test_failures_count_towards_the_batch"],
    "partial-send-dropped": ["net/test_stream.py::test_a_later_answer_waits_behind_an_earlier_one"],
    "eof-ignored": ["net/test_stream.py::test_the_peer_ends"],
    "drain-forever": ["net/test_stream.py::test_one_read_a_readiness"],
    "errqueue-undrained": ["net/test_datagram.py::test_a_client_that_has_left"],
    "udp-self-reply": ["net/test_datagram.py::test_its_own_address"],
    "wakeup-as-data": ["loop/test_wakeup.py::test_a_full_pipe_loses_no_signal"],
    "stale-fd": ["loop/test_loop.py::test_a_descriptor_is_not_reused_within_a_tick"],
}


def run(tests: list[str], *options: str) -> tuple[int, str]:
    """Whether they pass, and what was said."""
    # A session of its own, without what this one was given; nothing of it is kept.
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--no-cov", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-p", "no:xdist", *options, *tests],
        check=False,
        capture_output=True,
        text=True,
        cwd=TESTS,
        timeout=SECONDS,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_bug_is_to_be_caught():
    """The gallery grows."""
    assert set(CATCHERS) == set(BUGS)


@pytest.mark.parametrize("bug", CATCHERS)
def test_a_bug_is_caught(bug):
    """All of its tests fail: by what they assert, and not because nothing runs with it."""
    code, said = run(CATCHERS[bug], "--bug", bug)
    assert code == pytest.ExitCode.TESTS_FAILED, said
    assert " passed" not in said
    assert "error" not in said.rpartition("\n")[0].rpartition("\n")[2]


def test_without_a_bug_nothing_fails():
    """The same tests."""
    code, said = run([test for tests in CATCHERS.values() for test in tests])
    assert code == pytest.ExitCode.OK, said
