"""Two servers and the same clients, drawn."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.model.clients import Clients
from evloop_trace.model.comparison import Comparison, Side
from evloop_trace.views.comparison import comparison_lines, render
from rich.cells import cell_len

from evloop.events.schema import Recvfrom


def side(log: Any, label: str) -> Side:
    """A log, read."""
    clients = Clients()
    clients.feed(1, log.events)
    clients.finish()
    return Side(label, f"{label}.jsonl", log.events[0], clients)


def served(serving: Any, count: int, stays: float, words: str = "hello") -> Any:
    """Clients that come together, each of whom keeps the others waiting."""
    log = serving()
    for at in range(count):
        log.client(at, at * stays + at, (at + 1) * stays, f"tcp-{at}", words.format(at).encode())
    return log


@pytest.fixture
def comparison(serving: Any) -> Comparison:
    """Three clients, slowly and quickly."""
    return Comparison(side(served(serving, 3, 1000), "sequential"), side(served(serving, 3, 10), "quick"))


def test_the_whole_page(comparison: Comparison) -> None:
    """Ruler, bars, legend, table, sentences."""
    lines = render(comparison, 80, 24).splitlines()
    assert lines[0].split() == ["|0", "s", "|1", "|2", "waited"]
    assert lines[1].split()[:3] == ["client", "1", "sequential"]
    assert lines[2].split()[0] == "quick"
    bar = "░" * 32 + "█" + "─" * 15
    assert lines[5].split() == ["client", "3", "sequential", bar, "2.0", "s"]
    assert lines[5].index("░") == lines[0].index("|0") == 20
    assert lines[7] == "░ in the accept queue  █ is answered  ─ the server waits for it"
    assert lines[8].split("  ")[-1].strip() == "quick: 1 of 3 at once"
    assert " ".join(lines[10].split()) == "in the accept queue 1.0 s 2.0 s 2.0 s 10.0 ms 20.0 ms 20.0 ms"
    assert lines[14].startswith("sequential: clients 2 to 3 waited 1.0 s to 2.0 s")
    assert lines[-1] == "All was over after 3.0 s with sequential and after 30.0 ms with quick."
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("width", [60, 80, 109, 110, 120, 200])
@pytest.mark.parametrize(
    "words", ["hello", "我是第 {} 个客户端，你好", "I am {}, and I have a lot to say, as ever, as ever"]
)
def test_every_line_fits(serving: Any, width: int, words: str) -> None:
    """Whatever the clients say; the bars stand under the ruler."""
    log = served(serving, 9, 500, words)
    lines = render(Comparison(side(log, "a"), side(log, "b" * 40)), width, 40).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert {cell_len(line[: line.index("█")]) for line in lines[1:3]} == {
        cell_len(lines[0].partition("|")[0])
    }


def test_narrower_than_it_can_be(comparison: Comparison) -> None:
    """It is drawn as if the terminal were 60 wide."""
    assert render(comparison, 10, 24) == render(comparison, 60, 24)


def test_a_reason_where_there_is_room(comparison: Comparison) -> None:
    """Beside the bar stands what the server was in."""
    lines = render(comparison, 120, 40).splitlines()
    assert lines[0].endswith("waited  the server was in")
    assert lines[3].endswith("1.0 s  recv() on client 1")
    assert lines[5].endswith("2.0 s  recv() on 2 others")


def test_more_than_fit(serving: Any) -> None:
    """The first and the worst; the others are counted, where they are left out."""
    log = serving()
    for at, waits in enumerate((0, 0, 0, 0, 50, 0, 0, 60, 0, 0)):
        log.client(100 * at, 100 * at + waits, 100 * at + 90, f"tcp-{at}")
    comparison = Comparison(side(log, "a"), side(log, "b"))
    lines = render(comparison, 80, 24).splitlines()
    shown = [line[:9] if line.startswith("client") else line for line in lines[:20]]
    kept = [line for line in shown if line.startswith(("client", "…"))]
    assert kept == [
        "client 1 ", "client 2 ", "client 3 ", "… 1 more, in the table", "client 5 ",
        "… 2 more, in the table", "client 8 ", "… 2 more, in the table",
    ]  # fmt: skip
    assert "more" not in render(comparison, 80, 60)


def test_no_partner(serving: Any) -> None:
    """Who is in one of the logs only."""
    a, b = side(served(serving, 2, 10), "a"), side(served(serving, 1, 10), "b")
    line = next(line for line in render(Comparison(a, b), 80, 24).splitlines() if "no such" in line)
    assert line.split() == ["b", "no", "such", "client"]


def test_what_is_not_known(serving: Any) -> None:
    """A plus, and what it means."""
    log = serving()
    log.accept(0, "unix-1", None)
    text = render(Comparison(side(log, "a"), side(log, "b")), 80, 24)
    assert " 0 ns+\n" in text
    assert "  + and the queue\n" in text
    assert text.count("not known\n") == 4
    assert "for an answer" in text


def test_datagrams(serving: Any) -> None:
    """Their senders are counted, and are never there at once."""
    log = serving("loop")
    log.add(Recvfrom, 1, "udp-1", 5, 3, "p:1", data=b"one")
    text = render(Comparison(side(log, "a"), side(log, "b")), 80, 24)
    assert " a: 1 client " in text
    log.add(Recvfrom, 1, "udp-1", 5, 3, "p:2", data=b"two")
    assert " a: 2 clients " in render(Comparison(side(log, "a"), side(log, "b")), 80, 24)


def test_long_times_keep_apart(serving: Any) -> None:
    """Minutes and hours fit in their columns too; an interval too short to be known is told as such."""
    log = served(serving, 3, 700_000)
    log.client(10**7, 2 * 10**7, 3 * 10**7, "tcp-9")
    lines = render(Comparison(side(log, "a"), side(served(serving, 3, 0.2), "b")), 80, 24).splitlines()
    assert " ".join(lines[12].split()) == "in the accept queue 11:40 min 2:46 h 2:46 h < 1 ms < 1 ms < 1 ms"
    assert lines[5].endswith(" 23:20 min")


def test_colour(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where it is asked for; without it the text is the same."""
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[" not in render(comparison, 80, 24)
    assert "\x1b[1;31m░" in render(comparison, 80, 24, colour=True)
    plain = ["".join([it.text for it in line]).rstrip() for line in comparison_lines(comparison, 80, 24)]
    assert plain == render(comparison, 80, 24).splitlines()
