"""`evloop serve --bug NAME`: each bug of the gallery, provoked as the gallery says, in a network of its own.

What a server without the bug does in the same scene, tests/evloop/bugs sees to.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest
from evloop_trace.model.lint import Linter

from evloop.bugs.gallery import BUGS
from evloop.events.reader import read_blocks

pytestmark = pytest.mark.needs("namespaces")

EVLOOP = f"{shlex.quote(sys.executable)} -P -m evloop"


def findings(log: Path) -> dict[str, str]:
    """What the lints find in a log: kind and sentence."""
    linter = Linter()
    with log.open("rb") as file:
        header, blocks = read_blocks(file, str(log))
        linter.feed([header])
        for _, items in blocks:
            linter.feed(items)
    linter.finish()
    return {finding.kind: finding.sentence for finding in linter.findings}


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=pytest.mark.needs(*bug.needs), id=bug.name) for bug in BUGS.values()]
)
def test_a_bug_is_seen_when_it_is_provoked(lab, tmp_path, bug):
    """The server says what it has, and so does its log; the lint names it; and Ctrl-C ends what spins."""
    before, _, after = bug.command.partition("evloop ")
    server = lab.begin(
        "bash", "-c", f"{before if before.endswith('; ') else f'exec {before}'}{EVLOOP} {after}"
    )
    said = server.expect(f"with the bug {bug.name}, as process (\\d+): ")
    server.expect("^listening unix" if "--unix" in bug.options else "^listening udp")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    provoked = lab.run(
        "bash", "-c", "\n".join(bug.provoke), env={**os.environ, "SERVER": said[1], "PATH": path}
    )
    assert provoked.returncode == 0, provoked.stderr
    if bug.name != "wakeup-as-data":  # which ends it
        server.send()
    assert server.end() == 0
    log = tmp_path / "bug.jsonl"
    with log.open("rb") as file:
        header, _ = read_blocks(file, str(log))
        assert header.bug == bug.name
    found = findings(log)
    assert bug.lint in found, found
