"""The comparison from end to end, as short as it can be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parents[3] / "tools" / "bench"
SECONDS = 60
SHORT = ("--rounds", "1", "--seconds", "0.3")


def run(folder: Path, *options: str, code: int = 0) -> str:
    """Run it with its temporary files in a folder that must be empty again afterwards."""
    done = subprocess.run(
        [sys.executable, str(BENCH / "run.py"), *options],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert done.returncode == code, done.stderr
    assert os.listdir(folder) == []
    return done.stdout if code == 0 else done.stderr


def figures(text: str) -> dict[str, Any]:
    """What --json - printed."""
    results: dict[str, Any] = json.loads(text)
    return results


def test_one_cell(tmp_path: Path) -> None:
    """Each server has its row: evloop as it is, with a log, and with someone who watches."""
    servers = ["evloop", "evloop --log", "evloop --log + viewer", "asyncio Protocol"]
    text = run(tmp_path, *SHORT, "--cell", "echo-64", "--only", ",".join(servers), "--json", "-")
    reports = figures(text)["cells"]["echo-64"]
    assert [report["server"] for report in reports] == servers
    assert all(report["messages"] > 0 and report["errors"] == 0 for report in reports)


def test_idle_connections_have_a_price(tmp_path: Path) -> None:
    """Memory for each is told, and the rate among them against the rate without."""
    options = ("--cell", "idle", "--idle", "200", "--only", "evloop", "--json", "-")
    (report,) = figures(run(tmp_path, *SHORT, *options))["cells"]["idle"]
    assert report["idle"] == 200
    assert report["alone"]["messages"] > 0
    assert "idle_bytes" in report


def test_commands(tmp_path: Path) -> None:
    """Starting and reading are timed, and the made-up log is one that check finds whole."""
    options = ("--cell", "startup", "--cell", "reading", "--events", "500", "--json", "-")
    cells = figures(run(tmp_path, *SHORT, *options))["cells"]
    assert {report["what"] for report in cells["startup"]} >= {
        "evloop --help",
        "evloop serve, until it listens",
    }
    assert [report["what"].split()[1] for report in cells["reading"]] == ["check", "stats", "replay"]
    assert all(report["rss"] > 1 << 20 for report in cells["reading"])


def test_tables_of_an_earlier_run(tmp_path: Path) -> None:
    """Ratios are paired by round, and a page can be made without measuring again."""
    rows = [("evloop", 0, 30), ("asyncio Protocol", 0, 10), ("evloop", 1, 80), ("asyncio Protocol", 1, 20)]
    reports = [
        {"server": who, "round": number, "messages": count, "seconds": 1.0, "load_cpu": 0.5, "waited": 0.0}
        | {"errors": 0, "first_error": "", "lost": 0, "user_us": 1.0, "system_us": 2.0}
        for who, number, count in rows
    ]
    results = {"when": "today", "machine": "one", "how": "so.", "cells": {"udp": reports}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "scratch").mkdir()
    text = run(tmp_path / "scratch", "--from", str(tmp_path / "results.json"), "--markdown")
    assert "today: one. so." in text
    assert "| evloop | 55 (30…80) | 3.50 (3.00…4.00) | 3.0 (3.0…3.0) | 1.0 + 2.0 |" in text


def test_wrong_usage(tmp_path: Path) -> None:
    """Names that do not exist are told from those that do."""
    assert "choose from" in run(tmp_path, "--cell", "nothing", code=2)
    assert "choose from" in run(tmp_path, "--only", "nobody", code=2)
