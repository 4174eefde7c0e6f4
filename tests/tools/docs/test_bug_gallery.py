"""The page of the bugs says what the gallery says; what was recorded stays until somebody runs them again."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "tools" / "docs" / "bug_gallery.py"


@pytest.fixture
def generator() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("docs_bug_gallery", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(generator: Any) -> None:
    """docs/bug-gallery.md has every bug as it is; if not, run python tools/docs/bug_gallery.py."""
    assert generator.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("**The cure**: Return:", "**The cure**: Go on:", "its text is not what the gallery says"),
        ("✗ stale-event: ", "✗ another: ", "of stale-fd it does not say what the lint calls stale-event"),
        ("<!-- run eof-ignored -->", "", "eof-ignored was never run"),
    ],
)
def test_a_stale_page_is_found(
    generator: Any, tmp_path: Path, capsys: Any, old: str, new: str, problem: str
) -> None:
    """A changed page is exit code 1, and the sentence says what is wrong; times may be others."""
    text = generator.TARGET.read_text(encoding="utf-8")
    (tmp_path / "bug-gallery").symlink_to(generator.TARGET.parent / "bug-gallery")
    generator.TARGET = tmp_path / "bug-gallery.md"
    assert old in text
    generator.TARGET.write_text(text.replace(old, new), encoding="utf-8")
    assert generator.main(["--check"]) == 1
    assert f"bug-gallery.md is out of date: {problem}: run python tools" in capsys.readouterr().err


def test_no_such_bug(generator: Any, capsys: Any) -> None:
    """Nothing is run."""
    assert generator.main(["write-left-on"]) == 2
    assert "no bug: evloop serve --bug list tells of all" in capsys.readouterr().err
