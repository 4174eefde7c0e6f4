"""An audit: a table of calls, each difference with both lines, the kernel's counters, what was left out."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from evloop_trace.audit.report import describe
from evloop_trace.escape import escape_text
from evloop_trace.numbers import plural
from evloop_trace.views.page import LEAST, PLAIN_WIDTH, as_text
from evloop_trace.views.palette import BOLD, DIM, TROUBLE

if TYPE_CHECKING:
    from evloop_trace.audit.counters import Balance
    from evloop_trace.audit.report import Mismatch, Report, Row

__all__ = ["render"]

_MOST = 10  # differences that are shown


def render(report: Report, width: int = PLAIN_WIDTH, *, colour: bool = False) -> str:
    """The audit as text, `width` cells wide but never less than 40."""
    width = max(width, LEAST)
    return as_text(Group(*_lines(report, width)), width, colour=colour)


def _lines(report: Report, width: int) -> list[Text]:
    lines: list[Text] = []
    if report.calls:
        lines += [Text(f"{'call':<12}{'log':>9}{'strace':>9}{'agree':>9}", BOLD), *map(_row, report.calls)]
    for it in report.differences[:_MOST]:
        lines += _difference(it)
    if len(report.differences) > _MOST:
        lines.append(Text(f"… and {len(report.differences) - _MOST:,} more: --json has them all", DIM))
    if report.injected:
        faults = ", ".join(f"{number:,} of {name}" for name, number in report.injected.items())
        lines.append(Text(f"made to fail: {faults}"))
    if report.counters:
        lines.append(Text(f"{'counter':<14}{'log':>7}   {'kernel':>7}   of this network, meanwhile", BOLD))
        lines += map(_balance, report.counters)
    if report.not_compared:
        lines.append(Text("not compared", BOLD))
        lines += [line for it in report.not_compared for line in _hanging("· ", it, width)]
    lines.append(_verdict(report))
    return lines


def _row(row: Row) -> Text:
    same = row.agree == row.log == row.strace
    return Text(
        f"{row.call:<12}{row.log:>9,}{row.strace:>9,}{row.agree:>9,}{'' if same else '  ✗'}",
        "" if same else TROUBLE,
    )


def _balance(it: Balance) -> Text:
    sign = ("=" if it.log == it.kernel else "≤") if it.agrees else "✗"
    return Text(
        f"{it.counter:<14}{it.log:>7,} {sign} {it.kernel:>7,}   {it.meaning}", "" if it.agrees else TROUBLE
    )


def _difference(it: Mismatch) -> list[Text]:
    lines = [Text(f"✗ {escape_text(describe(it))}", TROUBLE)]
    other = "kernel" if it.kind == "counter" else "strace"
    lines += [
        Text(f"  {who:<7}{escape_text(text)}", DIM)
        for who, text in (("log", it.log), (other, it.strace))
        if text
    ]
    return lines


def _hanging(mark: str, text: str, width: int) -> list[Text]:
    lines = textwrap.wrap(escape_text(text), width - len(mark))
    return [Text(f"{' ' * len(mark) if at else mark}{line}", DIM) for at, line in enumerate(lines)]


def _verdict(report: Report) -> Text:
    if report.differences:
        return Text(f"{plural(len(report.differences), 'difference')}", TROUBLE)
    calls = sum(it.log for it in report.calls)
    if report.calls:
        return Text(f"the log and strace agree: {plural(calls, 'call')}, each once, in order", BOLD)
    if report.counters:
        return Text("the log and the kernel's counters agree", BOLD)
    return Text("nothing could be compared", BOLD)
