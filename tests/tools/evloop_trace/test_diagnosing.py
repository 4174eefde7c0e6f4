"""The command `why`: what it prints of one log and of several, and its exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace import cli

from evloop.events.schema import Block, Connect

if TYPE_CHECKING:
    from collections.abc import Callable

    Save = Callable[[str, bytes], str]


def run(*arguments: str) -> int:
    """The exit code of `evloop-trace why` with these arguments."""
    return cli.run(lambda: cli.cli.main(["why", *arguments], "evloop-trace", standalone_mode=False))


@pytest.fixture
def hung(book: Any, save: Save) -> str:
    """The path of the log of a server that hangs in recv()."""
    book.events[0].model = "run"
    book.listen()
    book.accept("tcp-1")
    book.add(Block, "recv", "tcp-1", where="server.py:9")
    return save("server.jsonl", book.encode())


def test_a_program_that_hangs(hung: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; the verdict comes first, with the log's name."""
    assert run(hung) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(hung[:30])
    assert "✗ The main thread has been blocked in recv() on tcp-1 since 0.000 s at" in out


def test_a_program_that_does_not(book: Any, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and it is said that nothing hangs."""
    assert run(save("a.jsonl", book.conversation().encode())) == 0
    assert "nothing hangs: the program ended at" in " ".join(capsys.readouterr().out.split())


def test_a_moment(hung: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it slept it did not hang."""
    assert run(hung, "--at", "2100ns") == 0
    assert "nothing hangs at 0.000 s" in " ".join(capsys.readouterr().out.split())
    assert run(hung, "--at", "soon") == 2


def test_json(hung: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An array of findings, whose evidence are numbers of events."""
    assert run(hung, "--json") == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert finding.pop("sentence").startswith("The main thread has been blocked in recv() on tcp-1")
    assert finding == {
        "kind": "recv-silent",
        "stuck": True,
        "log": "",
        "thread": "",
        "conn": "tcp-1",
        "since": 3000,
        "evidence": [2, 3],
        "elsewhere": {},
    }


def test_both_ends(
    hung: str, new_book: Callable[[], Any], save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the client's log its events stand under its label."""
    book = new_book()
    book.events[0].model = "client"
    book.add(Connect, 100, 4, "tcp-1", None, "127.0.0.1:8080", "127.0.0.1:40000")
    book.add(Block, "recv", "tcp-1", where="client.py:3")
    client = save("client.jsonl", book.encode())
    assert run(hung, client, "--json") == 1
    ours, theirs = json.loads(capsys.readouterr().out)
    assert (ours["kind"], ours["conn"], ours["evidence"]) == ("recv-deadlock", "server:tcp-1", [2, 3])
    assert ours["elsewhere"] == {"client": [1, 2]}
    assert (theirs["log"], theirs["elsewhere"]) == ("client", {"server": [2, 3]})
    assert run(hung, client) == 1
    assert "Both wait in recv()" in " ".join(capsys.readouterr().out.split())


def test_a_log_that_is_damaged(hung: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken line is told and the rest is read; no log at all is exit code 2."""
    with open(hung, "a", encoding="utf-8") as file:
        file.write("this is no event\n")
    assert run(hung) == 1
    assert "line 5 is not an event" in capsys.readouterr().err
    assert run(hung + ".gone") == 2
