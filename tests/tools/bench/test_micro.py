"""The small measurements run and print a figure for everything they name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "tools" / "bench"


@pytest.mark.parametrize(
    ("script", "names"),
    [
        (("traced_call.py", "--goes", "2"), ["recv", "send", "recvfrom", "sendto", "poll, one ready"]),
        (("run_cost.py", "--turns", "1", "--rounds", "20"), ["plain", "evloop-trace run"]),
        (
            ("decisions.py",),
            ["poll, each ready socket: selectors", "a recv that finds nothing"],
        ),
    ],
)
def test_every_row_has_its_figure(script: tuple[str, ...], names: list[str]) -> None:
    """Each row begins with what was measured and has a number in it."""
    command = [sys.executable, str(BENCH / script[0]), *script[1:]]
    text = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    for name in names:
        (row,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        assert any(word.isdecimal() for word in row.split())
