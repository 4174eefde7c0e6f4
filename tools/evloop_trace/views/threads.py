"""The threads of a program: in which call each one sleeps, for how long already, and where in its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment

from evloop_trace.escape import escape_text
from evloop_trace.model.threads import MAIN
from evloop_trace.numbers import count, duration, percent
from evloop_trace.views.cells import Line, Panel, cut, exact, fit, spread, width_of
from evloop_trace.views.palette import BOLD, DIM, PLAIN
from evloop_trace.views.waits import about, short

if TYPE_CHECKING:
    from evloop.events.schema import Block
    from evloop_trace.model.picture import Picture
    from evloop_trace.model.threads import Thread

__all__ = ["ThreadsPanel"]

AT_WORK = 100_000_000
"""Nanoseconds after a call in which its thread is taken to be at work, not to have nothing to do."""

_PATIENT = frozenset({"accept", "poll"})  # who waits there waits for anybody, and that is as it should be


class ThreadsPanel(Panel):
    """A line for each thread, the main thread first, then whoever waits for one peer."""

    def __init__(self, picture: Picture, now: int) -> None:
        self.now = now
        self.ended = picture.end is not None
        alive = [it for it in picture.threads.values() if self.ended or not self._is_over(it)]
        self.threads = sorted(alive, key=self._rank)

    def rows(self) -> int:
        """Lines it would like."""
        return max(1, len(self.threads))

    def lines(self, width: int, height: int) -> list[Line]:
        """At most `height` lines; the threads that do not fit are counted."""
        if not self.threads:
            return [exact([Segment(" no call yet", DIM)], width)][:height]
        shown = self.threads if len(self.threads) <= height else self.threads[: max(0, height - 1)]
        names = min(20, max([len(escape_text(it.name)) for it in shown], default=0))
        lines = [self._line(it, max(8, names), width) for it in shown]
        if len(shown) < len(self.threads) and height > 0:
            lines.append([Segment(f" … and {count(len(self.threads) - len(shown))} more threads", DIM)])
        return [exact(line, width) for line in lines]

    def _line(self, thread: Thread, names: int, width: int) -> Line:
        right = [Segment(f"  asleep {percent(thread.share(self.now)):>6} ", DIM)]
        name = [Segment(f" {fit(escape_text(thread.name), names)} ", BOLD)]
        room = width - names - 2
        words, style = self._words(thread), PLAIN if thread.block else DIM
        where = short(thread.block.where if thread.block else thread.where)
        text = " · ".join(filter(None, (words, where)))
        if len(text) + width_of(right) > room:
            return [*name, Segment(cut(text, room), style)]
        return spread([*name, Segment(text, style)], right, width)

    def _words(self, thread: Thread) -> str:
        if thread.block is not None:
            slept = thread.asleep(self.now)
            since = f" for {duration(slept)}" if slept else ""  # a log may end as it falls asleep
            return f"blocked in {_call(thread.block)}{since}{self._left(thread.block)}"
        after = f"{escape_text(thread.call)}()" + (f" on {escape_text(thread.about)}" if thread.about else "")
        if self.ended:
            return f"last call {after}"
        silent = self.now - thread.seen
        return (
            f"at work after {after}" if silent < AT_WORK else f"no call for {duration(silent)}, since {after}"
        )

    def _left(self, block: Block) -> str:
        if block.timeout is None:
            return ""
        left = block.t + block.timeout - self.now
        return f", at most {duration(left)} more" if left > 0 else ", no longer"

    def _rank(self, thread: Thread) -> tuple[int, int]:
        """Who waits for longest comes first; so no line moves unless its thread does something."""
        if thread.name == MAIN:
            return 0, 0
        if thread.block is not None:
            return (3 if thread.block.awaits in _PATIENT else 1), thread.block.t
        return (2 if self.now - thread.seen < AT_WORK else 4), thread.began

    def _is_over(self, thread: Thread) -> bool:
        """Its last call was a close, and it does nothing any more: most likely it has ended."""
        last = thread.block is None and thread.call == "close" and thread.name != MAIN
        return last and self.now - thread.seen > AT_WORK


def _call(block: Block) -> str:
    """`recv() on tcp-2`."""
    name = block.conn or block.sock
    if name is not None:
        return f"{about(block)} on {escape_text(name)}"
    if len(block.watched) == 1:
        return f"{about(block)} on {escape_text(block.watched[0][0])}"
    return f"{about(block)} on {count(len(block.watched))} descriptors" if block.watched else about(block)
