"""What the pages tell to run says how it is used, and does nothing if it is used otherwise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
TOLD = {name for it in PAGES for name in re.findall(r"tools/bench/\w+\.py", it.read_text(encoding="utf-8"))}


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One of them; if it does not end at once, it measures something."""
    command = [sys.executable, str(ROOT / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("script", sorted(TOLD))
def test_it_says_how_it_is_used(script: str) -> None:
    """Usage, and its docstring's first words; for what it does not know one line more, and 2."""
    done = run(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    usage, _, about = done.stdout.partition("\n\n")
    assert usage.startswith(f"usage: {Path(script).name} [-h]")
    assert (ROOT / script).read_text(encoding="utf-8").startswith(f'"""{about.partition(chr(10))[0]}')
    done = run(script, "--no-such-option")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["tools/bench/packets.py", "tools/bench/rerun.py"])
@pytest.mark.parametrize("number", ["0", "many", "-3"])
def test_a_number_that_is_none(script: str, number: str) -> None:
    """Nothing is measured."""
    done = run(script, number)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
    assert "Traceback" not in done.stderr
