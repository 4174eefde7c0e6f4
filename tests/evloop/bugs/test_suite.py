"""The gallery is the mutation test of our own suite: with each bug in it, ordinary tests fail.

`pytest --bug NAME` puts the bug into the servers that the tests make. Of the tests that fail then, some that
cost little are named here, and run with the bug and without.
"""

from __future__ import annotations

import json
import re
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


# What pytest and the product import is imported once; then every session is a process of its own.
SESSIONS = """
import json, os, sys
import hypothesis, msgspec, pytest
import evloop.bugs.gallery, evloop.composition
for name, options in json.loads(sys.argv[1]).items():
    print(f"== {name}", flush=True)
    pid = os.fork()
    if not pid:
        options += ["-q", "--no-header", "--no-cov", "-pno:cacheprovider", "-pno:xdist"]
        code = pytest.main([*options, "--assert=plain", "--tb=native"])  # nothing is compiled anew to explain
        sys.stdout.flush()
        os._exit(code)
    print(f"-- {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}", flush=True)
"""


def test_every_bug_is_to_be_caught():
    """The gallery grows."""
    assert set(CATCHERS) == set(BUGS)


@pytest.mark.timeout(SECONDS)  # it is a dozen sessions
def test_every_bug_is_caught():
    """With a bug its tests fail, all of them, and by what they assert; without one they pass."""
    sessions = {bug: ["--bug", bug, *tests] for bug, tests in CATCHERS.items()}
    sessions["none"] = [test for tests in CATCHERS.values() for test in tests]
    done = subprocess.run(
        [sys.executable, "-c", SESSIONS, json.dumps(sessions)],
        check=True,
        capture_output=True,
        text=True,
        cwd=TESTS,
        timeout=SECONDS,
    )
    said = dict(re.findall(r"^== (\S+)\n(.*?)(?=^== |\Z)", done.stdout, re.MULTILINE | re.DOTALL))
    assert set(said) == set(sessions)
    for bug, words in said.items():
        code = pytest.ExitCode.OK if bug == "none" else pytest.ExitCode.TESTS_FAILED
        assert f"\n-- {code.value}\n" in words, words
        if bug != "none":
            assert re.search(r"^\d+ failed in ", words, re.MULTILINE), words
