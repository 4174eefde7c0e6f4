"""An audit on paper: what agrees in a table, what differs with both lines, what is hostile as an escape."""

from __future__ import annotations

from evloop_trace.audit.counters import Balance
from evloop_trace.audit.report import Mismatch, Report, Row
from evloop_trace.views.audit import render


def report(*differences: Mismatch, strace: bool = True, counters: tuple[Balance, ...] = ()) -> Report:
    """One with a row or two."""
    calls = [Row("recv", 2, 2, 2), Row("send", 1, 2, 1)] if strace else []
    words = ["evloop", "serve"]
    said = ["a sentence that is so long that it does not fit on one line of a terminal of eighty columns"]
    return Report(
        not differences, words, "l", strace, calls, list(differences), list(counters), said, {"accept4": 2}
    )


def test_all_agrees() -> None:
    """The verdict is the last line; a sentence goes on under its beginning."""
    lines = render(report(counters=(Balance("PassiveOpens", "opened", 3, 2, agrees=True),))).splitlines()
    assert lines[0].split() == ["call", "log", "strace", "agree"]
    assert lines[2].endswith("✗"), "more than the log has"
    assert "made to fail: 2 of accept4" in lines
    assert "PassiveOpens        2 ≤       3   opened" in lines
    assert lines[-2].startswith("  ")
    assert lines[-1] == "the log and strace agree: 3 calls, each once, in order"
    assert all(len(line) <= 80 for line in lines)


def test_what_differs_is_shown_with_both_lines() -> None:
    """Nothing in them is obeyed; after ten the rest is counted."""
    one = Mismatch("result", "recv", 5, "tcp-1", 7, '{"data":"\x1b[31m"}', "recvfrom(5<\u202e>) = 4")
    text = render(report(*[one] * 12), colour=False)
    assert "✗ recv() on tcp-1 (fd 5): the log and strace have different results" in text
    assert "\\x1b[31m" in text
    assert "\\u202e" in text
    assert text.count("✗ recv()") == 10
    assert "… and 2 more: --json has them all" in text
    assert text.endswith("12 differences\n")


def test_nothing_was_called() -> None:
    """An empty table is none, and agrees with nothing; the counters may."""
    empty = Report(True, ["evloop"], "l", True, [], [], [], [], {})
    assert not empty.compared
    assert render(empty) == "nothing could be compared\n"
    empty.counters.append(Balance("PassiveOpens", "opened", 1, 1, agrees=True))
    assert empty.compared
    assert render(empty).endswith("the log and the kernel's counters agree\n")
    assert "strace" not in render(empty)


def test_without_strace() -> None:
    """The counters are all there is; or nothing."""
    wrong = Balance("PassiveOpens", "opened", 3, 4, agrees=False)
    assert "PassiveOpens        4 ✗       3" in render(report(strace=False, counters=(wrong,)))
    assert render(report(strace=False, counters=(wrong,))).endswith(
        "the log and the kernel's counters agree\n"
    )
    assert render(report(strace=False)).endswith("nothing could be compared\n")


def test_a_counter_is_the_kernels() -> None:
    """It is not strace that says how far it has grown."""
    wrong = Mismatch("counter", "PassiveOpens", None, "", 7, "4", "3")
    lines = render(report(wrong)).splitlines()
    at = lines.index("✗ PassiveOpens: the kernel's counter and the log cannot both be right")
    assert lines[at + 1 : at + 3] == ["  log    4", "  kernel 3"]
