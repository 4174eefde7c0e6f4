"""The page that walks through a turn of the loop shows the code and a log as they are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from evloop.events.reader import Problem, decode_line

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/one-tick.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def test_shows_the_code_as_it_is():
    """Every excerpt in the documents stands in its file to the letter."""
    assert PAGE.count("```python\n# evloop/") >= 4
    check = [sys.executable, ROOT / "tools/docs/excerpts.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", LINES)
def test_shows_a_real_log(line):
    """Every line of the log is an event that the reader knows."""
    assert not isinstance(decode_line(line.encode(), 1), Problem)
