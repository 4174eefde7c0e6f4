"""Programs that do it wrong, and the same when they do it well: recorded for real, and linted."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    Run = Callable[..., subprocess.CompletedProcess[str]]

TRACE = (sys.executable, "-P", "-m", "evloop_trace")
PROGRAM = Path(__file__).parent / "programs" / "faulty.py"

KINDS = {
    "spin-end", "spin-asking", "spin-poll", "spin-ready", "spin-write", "spin-hup", "spin-accept",
    "lost-interest", "partial-send", "close-wait", "ended-badly", "decode-edge", "starvation", "slow-handler",
    "queue-near-limit", "truncated", "reflection",
}  # fmt: skip


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the two logs."""
    return tmp_path_factory.mktemp("lint")


@pytest.fixture
def record(logs: Path, run: Run) -> Callable[..., Path]:
    """The log of faulty.py, done badly or well."""

    def start(how: str, *options: str) -> Path:
        log = logs / f"{how}{'-'.join(options)}.jsonl"
        if not log.exists():
            run(*TRACE, "run", "--log", str(log), *options, str(PROGRAM), how)
        return log

    return start


@pytest.fixture
def lint(run: Run) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`evloop-trace lint`."""
    return lambda *words, **how: run(*TRACE, "lint", *map(str, words), **how)


def objects(answer: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What --json printed."""
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_what_is_done_wrong_is_named(record, lint):
    """Each fault by its lint, with how often, and with events that are in the log."""
    log = record("bad")
    answer = lint("--json", log)
    assert answer.returncode == 1, answer.stderr
    (report,) = objects(answer)
    assert {found["kind"] for found in report["findings"]} == KINDS
    numbers = {json.loads(line)["seq"] for line in log.read_text().splitlines()}
    for found in report["findings"]:
        assert found["sentence"].endswith((".", ")"))
        assert found["advice"]
        assert set(found["evidence"]) <= numbers
        assert found["t"] <= found["last_t"]
    often = {found["kind"]: found["times"] for found in report["findings"]}
    assert often["spin-end"] == often["spin-write"] == 400


def test_what_is_done_well_is_not(record, lint):
    """The same program, with the same sockets."""
    answer = lint(record("good"))
    assert answer.returncode == 0, answer.stdout
    words = answer.stdout.split()  # a line is broken where the folder's name needs it
    assert " ".join(words).endswith(" events: no lint finds anything")


def test_without_payloads(record, lint):
    """What needs them says that it cannot be judged; an error that says so itself is enough."""
    (report,) = objects(lint("--json", record("bad", "--payload", "none")))
    assert "has no payloads" in report["unjudged"]
    assert {found["kind"] for found in report["findings"]} == KINDS


def test_a_page(record, lint):
    """Paragraphs: what, what to do, and the events; no line wider than was asked for."""
    text = lint(record("bad")).stdout
    assert re.search(
        r"^✗ spin-write: poll\(\) has returned at once, as tcp-\d+ is ready \(OUT\)", text, re.MULTILINE
    )
    assert re.search(r"^  → Watch for WRITE only while bytes wait", text, re.MULTILINE)
    assert re.search(r"^ +#\d+  \d+\.\d{6}  faulty.py:\d+  poll\(\) = 1", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80


def test_several_logs_packed_or_piped(record, lint, tmp_path):
    """A log's answer is the same however it comes."""
    bad, good = record("bad"), record("good")
    packed = tmp_path / "bad.jsonl.gz"
    with bad.open("rb") as source, gzip.open(packed, "wb") as target:
        shutil.copyfileobj(source, target)
    plain, zipped, well = objects(lint("--json", bad, packed, good))
    (piped,) = objects(lint("--json", "-", said=bad.read_text()))
    assert plain["findings"] == zipped["findings"] == piped["findings"]
    assert well["ok"] is True


def test_what_cannot_be_read(lint, tmp_path):
    """One sentence, and the codes of all commands."""
    no = lint(tmp_path / "none.jsonl")
    assert no.returncode == 2
    assert len(no.stderr.splitlines()) == 1
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n")
    assert lint(broken).returncode == 2
    assert lint().returncode == 2


def test_a_broken_line_is_told(record, lint, tmp_path):
    """The rest is looked at all the same."""
    lines = record("good").read_text().splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    torn.write_text("".join([*lines[:20], "what is this\n", *lines[20:]]))
    answer = lint(torn)
    assert answer.returncode == 1
    assert "line 21" in answer.stderr or "1 line" in answer.stderr


def test_the_log_of_a_server_that_served(serve, evloop, lint, tmp_path):
    """Nothing is said of a server that does its work, from its first tick to its last."""
    server = serve("--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--log", "run.jsonl")
    for message in ("hello", "la 哈哈哈"):
        assert evloop("client", server.address("tcp"), message).returncode == 0
        assert evloop("client", f"udp:{server.address('udp')}", message).returncode == 0
    assert server.stop() == 0
    answer = lint(tmp_path / "run.jsonl")
    assert answer.returncode == 0, answer.stdout
