"""`evloop lesson` where the system forbids networks of one's own, and for who is nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.needs("namespaces")

LESSON = (sys.executable, "-P", "-m", "evloop", "lesson")
# In a user namespace in which nobody may make another: user_namespaces(7).
FORBIDDEN = ("unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"', "sh")
WHY = "user.max_user_namespaces is 0: sudo sysctl user.max_user_namespaces=10000 allows it"
SECONDS = 60.0
EVENTS_ONLY = "socket_file"
NEEDS_MORE = "phone_call"


def test_what_needs_a_network_says_so_before_it_begins(run: Run) -> None:
    """Nothing is asked, nothing is played."""
    done = run(*FORBIDDEN, *LESSON, NEEDS_MORE)
    assert done.returncode == 2
    assert done.stderr.startswith("evloop: lesson 1 needs a network of its own: ")
    assert WHY in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_the_list_shows_what_cannot_be_played(run: Run) -> None:
    """A mark before each, and why."""
    said = run(*FORBIDDEN, *LESSON, "--lang", "en").stdout
    assert "1  ✗  The phone call" in said
    assert "20  ✓  The socket file" in said
    assert WHY in " ".join(said.split())


def test_what_is_left_out_is_told_and_nothing_is_passed_by_it(run: Run) -> None:
    """In words, and as JSON."""
    done = run(*FORBIDDEN, *LESSON, NEEDS_MORE, "--check", "--json")
    found = json.loads(done.stdout)
    assert found.pop("skipped").endswith(WHY)
    assert found == {"lesson": 1, "passed": False, "seconds": 0, "checks": []}
    assert done.returncode == 1
    said = run(*FORBIDDEN, *LESSON, NEEDS_MORE, "--check", "--lang", "en").stdout
    assert "○  1  The phone call left out" in said


def test_events_need_no_rights(run: Run) -> None:
    """What is seen by calls alone is seen where networks of one's own are forbidden."""
    done = run(*FORBIDDEN, *LESSON, EVENTS_ONLY, "--check", "--json")
    assert json.loads(done.stdout)["passed"], done.stdout
    assert done.returncode == 0


@pytest.mark.needs("nobody")
def test_nobody_needs_no_rights(nobody: tuple[str, ...], tmp_path: Path) -> None:
    """Who has none plays what captures packets, and leaves nothing."""
    os.chown(tmp_path, 65534, 65534)
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [*nobody, *LESSON, NEEDS_MORE, "--check", "--json"],
        capture_output=True, check=False, cwd="/", env=environment, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    found = json.loads(done.stdout)
    assert (found["passed"], found["skipped"]) == (True, None)
    assert not [*tmp_path.iterdir()]
