"""What the files of a lesson may ask for: see docs/writing-a-lesson.md. import-linter does not see them."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

import pytest
from evloop_lessons.library import library

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = [it.folder for it in library([])]
PURE = {
    "__future__", "typing", "collections", "itertools", "evloop_lessons.lesson", "evloop_lessons.run",
    "evloop_trace.correlate", "evloop_trace.model", "evloop_trace.packets",
}  # fmt: skip
OF_A_SCENARIO = {*PURE, "evloop_lessons.stage", "os", "pathlib"}


def imported(path: Path) -> set[str]:
    """The modules that a file names."""
    names: set[str] = set()
    for it in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(it, ast.Import):
            names |= {alias.name for alias in it.names}
        elif isinstance(it, ast.ImportFrom):
            names.add(it.module or "")
    return names


def others(path: Path, allowed: set[str]) -> set[str]:
    """Modules that are none of these, nor in one of them."""
    return {name for name in imported(path) if not any(f"{name}.".startswith(f"{it}.") for it in allowed)}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda it: it.name)
def test_who_may_ask_whom(folder: Path) -> None:
    """Checks are pure; a scenario has no clock to sleep by; what is played knows nothing of us."""
    assert not others(folder / "checks.py", PURE)
    assert not others(folder / "scenario.py", OF_A_SCENARIO)
    for program in set(folder.glob("*.py")) - {folder / "checks.py", folder / "scenario.py"}:
        assert not others(program, set(sys.stdlib_module_names) - {"time", "threading", "asyncio"}), program
