"""The page about lints names every kind of finding, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from evloop_trace.model.lint.advice import ADVICE

ROOT = Path(__file__).parents[2]


def test_every_kind_is_described() -> None:
    """In a table's first column."""
    text = (ROOT / "docs/lint.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([a-z-]+)`", text, re.MULTILINE)
    assert sorted(told) == sorted(ADVICE)


def test_every_kind_is_found_somewhere() -> None:
    """And no advice is for nothing."""
    sources = (ROOT / "tools/evloop_trace/model").glob("*/*.py")
    source = "".join(path.read_text(encoding="utf-8") for path in sources if path.name != "advice.py")
    assert {kind for kind in ADVICE if f'"{kind}"' in source} == set(ADVICE)
