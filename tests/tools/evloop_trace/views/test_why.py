"""The answer's form: the verdict first, paragraphs that fit, evidence on lines of its own, nothing obeyed."""

from __future__ import annotations

import pytest
from evloop_trace.model.diagnosis import Evidence, Finding, Verdict
from evloop_trace.views.why import render
from rich.cells import cell_len

from evloop.events.schema import Accept, Block, Limit, Poll, Recv

ACCEPT = Accept(4, 1_500_000, 0, 100, "tcp-1", "tcp-2", 4, "127.0.0.1:9", where="src/server.py:7")
BLOCK = Block(6, 2_000_000_000, 0, "recv", "tcp-2", where="src/server.py:9", thread="worker")
HUNG = Finding(
    "recv-silent",
    "Thread worker has been blocked in recv() on tcp-2 since 2.000 s at src/server.py:9. Nothing has come.",
    "", "worker", "tcp-2", 2_000_000_000, (Evidence("", ACCEPT), Evidence("", BLOCK)),
)  # fmt: skip


def lines(*findings: Finding, width: int = 80, summary: str = "1 thing hangs") -> list[str]:
    """What is drawn."""
    return render(Verdict(True, [summary], list(findings)), ["a.jsonl"], width).splitlines()


def test_the_verdict_is_the_first_line() -> None:
    """Then a blank line, and the paragraph with its mark and its events."""
    assert lines(HUNG) == [
        "a.jsonl: 1 thing hangs",
        "",
        "✗ Thread worker has been blocked in recv() on tcp-2 since 2.000 s at",
        "  src/server.py:9. Nothing has come.",
        "    #4  0.001500  server.py:7           accept() = 4  127.0.0.1:9 →  through tc…",
        "    #6  2.000000  server.py:9 · worker  recv() …  blocks: nothing has come yet",
    ]


def test_what_is_no_hang_has_another_mark() -> None:
    """A dot, and it may have no events."""
    assert lines(HUNG._replace(stuck=False, sentence="All is well.", evidence=())) == [
        "a.jsonl: 1 thing hangs", "", "· All is well."
    ]  # fmt: skip


def test_events_without_a_place_or_a_name() -> None:
    """A poll has no socket, a limit no thread; another socket's event keeps its name."""
    poll = Poll(1, 0, 1, 5, None, "why", [("tcp-1", "IN")])
    limit = Limit(2, 0, 1, "connections", True)
    other = Recv(30, 0, 1, 5, "tcp-3", 4, 10, 0, (0, 0))
    shown = lines(HUNG._replace(evidence=tuple(Evidence("", event) for event in (poll, limit, other))))[-3:]
    assert shown[0].startswith("     #1  0.000000  poll() = 1")
    assert shown[1].startswith("     #2  0.000000  limit")
    assert shown[2].startswith("    #30  0.000000  tcp-3  recv(10) = 0")


def test_several_logs_number_their_own_events() -> None:
    """The log's label stands at the number, and not again before the name."""
    event = Recv(3, 0, 0, 5, "server:tcp-3", 4, 10, 5, (0, 5), b"hello")
    shown = lines(HUNG._replace(evidence=(Evidence("server", event),)))[-1]
    assert shown.startswith("    server#3  0.000000  tcp-3  recv(10) = 5")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    """Also with wide characters; a number stays with its unit."""
    wide = HUNG._replace(sentence="哈" * 15 + " sent 5 B " * 20 + "at 1.000 s.")
    shown = lines(wide, width=width)
    assert max(cell_len(line) for line in shown) <= width
    assert not any(line.strip().startswith(("B ", "s.")) for line in shown)


def test_a_log_cannot_draw() -> None:
    """Names and places from a log are escaped."""
    hostile = HUNG._replace(sentence="\x1b[31mred\u202e\n[bold]", evidence=(Evidence("\x1b]0;", BLOCK),))
    text = "\n".join(lines(hostile, summary="\x1b[2J"))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]" in text


def test_of_many_alike_the_first_ten() -> None:
    """The rest is a number; another kind is shown all the same."""
    text = lines(*[HUNG] * 12, HUNG._replace(kind="close-wait"))
    assert sum(line.startswith("✗") for line in text) == 11
    assert text[-1] == "… and 2 more recv-silent: --json has them all"


def test_colour_where_it_is_wanted() -> None:
    """The mark of a hang is red on a terminal."""
    text = render(Verdict(True, ["1 thing hangs"], [HUNG]), ["a"], colour=True)
    assert "\x1b[1;31m✗" in text
