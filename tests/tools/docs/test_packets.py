"""The diagram of TCP's states is drawn from their table."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "tools" / "docs" / "packets.py"


@pytest.fixture
def generator() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("docs_packets", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(generator: Any) -> None:
    """docs/packets.md has the machine as it is; if not, run python tools/docs/packets.py."""
    assert generator.main(["--check"]) == 0


def test_a_stale_page_is_found(generator: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed page is exit code 1, and writing it mends that."""
    text = generator.TARGET.read_text(encoding="utf-8")
    generator.TARGET = tmp_path / "packets.md"
    generator.TARGET.write_text(text.replace("LAST_ACK", "LOST_ACK"), encoding="utf-8")
    assert generator.main(["--check"]) == 1
    assert "is out of date: run python tools/docs/packets.py" in capsys.readouterr().err
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    assert generator.main(["--wrong"]) == 2


def test_the_diagram(generator: Any) -> None:
    """What the RFC draws is in it, and no reset."""
    lines = generator.diagram().splitlines()
    assert "    ESTABLISHED --> FIN_WAIT_1: snd FIN" in lines
    assert "    FIN_WAIT_2 --> TIME_WAIT: rcv FIN" in lines
    assert not [line for line in lines if "RST" in line or "?" in line]
