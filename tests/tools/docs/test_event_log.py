"""The documentation of the event log is generated, and what it shows works."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evloop.events import schema

SCRIPT = Path(__file__).parents[3] / "tools" / "docs" / "event_log.py"

LOG = [
    schema.Header(0, 0, 0, schema.SCHEMA, 1, 2, 3, 4, [], {}, "epoll", "upper", "prefix", 64),
    schema.Poll(1, 10, 1, 2_500_000, None, "nothing is due", []),
    schema.Recv(2, 20, 1, 5, "tcp-1", 7, 100, 5, (0, 5), b"hello"),
    schema.End(3, 30, 1, "SIGTERM", 4),
]


@pytest.fixture
def generator() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("event_log", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(generator: Any) -> None:
    """docs/event-log.md is what the types say now; if not, run python tools/docs/event_log.py."""
    assert generator.main(["--check"]) == 0


def test_a_stale_page_is_found(generator: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing or changed page is exit code 1, and writing it mends that."""
    generator.TARGET = tmp_path / "event-log.md"
    assert generator.main(["--check"]) == 1
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    generator.TARGET.write_text("old")
    assert generator.main(["--check"]) == 1
    assert "is out of date: run python tools/docs/event_log.py" in capsys.readouterr().err
    assert generator.main(["--wrong"]) == 2


def test_every_field_has_a_row(generator: Any) -> None:
    """Each field of each event stands in the page with a meaning."""
    page = generator.page()
    for ev, cls in schema.EVENT_TYPES.items():
        section = page.partition(f"### {ev}\n")[2].partition("\n### ")[0]
        for field in cls.__struct_fields__[3:]:
            assert re.search(rf"^\| `{field}` \| [^|]+ \| \S", section, re.MULTILINE), (ev, field)


def test_the_python_examples_work(generator: Any, tmp_path: Path) -> None:
    """The examples run as they stand."""
    (tmp_path / "server.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(LOG))
    examples = re.findall(r"```python\n(.*?)```", generator.page(), re.DOTALL)
    outputs = [
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True).stdout
        for code in examples
    ]
    assert outputs == [b"slept 2.5 ms: nothing is due\n", b"2500000\n"]
