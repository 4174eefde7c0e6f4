"""Who runs, on top of the picture: a loop and why it sleeps, or a program and its threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment

from evloop_trace.escape import escape_text
from evloop_trace.numbers import clock, count, duration, percent
from evloop_trace.views.cells import Line, Panel, bar, cut, exact, spread, width_of
from evloop_trace.views.palette import BOLD, DIM, KINDS, TITLE, TROUBLE
from evloop_trace.views.rungs import woken
from evloop_trace.views.threads import ThreadsPanel

if TYPE_CHECKING:
    from evloop.events.schema import Limit
    from evloop_trace.model.picture import Picture

__all__ = ["LoopPanel", "ProgramPanel"]

_LABEL = 9  # cells


class LoopPanel(Panel):
    """Who runs, the ticks, what woke the loop, and why it sleeps as long as it does."""

    def __init__(self, picture: Picture, now: int, status: str = "") -> None:
        self.picture = picture
        self.now = now
        self.status = status

    def rows(self, height: int) -> int:
        """Lines it should have where the whole picture has `height`."""
        return 4 if height >= 16 else 2 if height >= 8 else 1

    def lines(self, width: int, height: int) -> list[Line]:
        """At most four lines; where there is room for fewer the first matter most."""
        lines = [self._title(width), self._ticks(width), self._woke(), self._last(width)]
        return [exact(line, width) for line in lines[:height]]

    def _title(self, width: int) -> Line:
        left, right = self._ends(width, self.status)
        if width_of(left) + width_of(right) >= width:
            left, right = self._ends(width, self.status.partition(" ")[0])
        return spread(left, right, width)

    def _ends(self, width: int, status: str) -> tuple[Line, Line]:
        """Of the title: who it is, and the moment."""
        right = [Segment(f"{clock(self.now)} s", BOLD), Segment(f"  {status} " if status else " ")]
        lost = self.picture.lost
        if lost:
            right = [Segment(f"skipped {count(lost)}", TROUBLE), Segment("  "), *right]
        left = [Segment(" evloop ", TITLE)]
        room = max(20, width - width_of(left) - width_of(right) - 1)
        return [*left, Segment(self._who(room))], right

    def _who(self, room: int) -> str:
        """What runs, and its pid, which people have to type: the words before it make way for it."""
        what, *rest = [escape_text(it) for it in self._facts()] or [""]
        behind = "".join([f" · {it}" for it in rest])
        return cut(f"  {cut(what, max(4, room - 2 - cell_len(behind)))}{behind}", room)

    def _facts(self) -> list[str]:
        """What it is, and more about it."""
        header = self.picture.header
        return [] if header is None else [header.mode, header.selector, f"pid {header.pid}"]

    def _ticks(self, width: int) -> Line:
        pace = self.picture.pace(self.now)
        rate = f"{pace.rate:,.0f}" if pace.rate >= 9.95 or pace.rate == 0 else f"{pace.rate:.1f}"
        left = _labelled("ticks", count(self.picture.loop.tick), f" · {rate} a second")
        if self.picture.loop.slow:
            left.append(Segment(f" · {count(self.picture.loop.slow)} slow", TROUBLE))
        # The words beside the bar: the bar gives way to them.
        cells = max(4, min(40, width // 5, width - width_of(left) - 32))
        right = [
            Segment("asleep "),
            *bar(pace.recent, cells, KINDS["in"]),
            Segment(f" {percent(pace.recent):>6}", BOLD),
            Segment(f"  in all {percent(pace.total):>6} "),
        ]
        if width_of(left) + width_of(right) >= width:
            del right[-1]
        return spread(left, right, width)

    def _woke(self) -> Line:
        loop = self.picture.loop
        if not loop.polled:
            return _labelled("woke", "before this picture began" if loop.tick else "not yet", "")
        if loop.signal:
            what = f"signal {escape_text(loop.signal)}"
        elif loop.ready:
            what = woken(loop.ready)
        else:
            what = f"timer: {escape_text(loop.timer)}" if loop.timer else "timeout"
        return _labelled("woke", what, f" after {duration(loop.slept)} asleep")

    def _last(self, width: int) -> Line:
        """Why it sleeps; the limits that hold matter more where there is no room for both."""
        limits = [_limit(event) for event in self.picture.limits.values()]
        if not limits:
            return self._sleeps()
        right = [Segment(cut(f"  limit reached: {', '.join(limits)} ", width), TROUBLE)]
        return [*exact(self._sleeps(), max(0, width - width_of(right))), *right]

    def _sleeps(self) -> Line:
        picture = self.picture
        if picture.end is not None:
            return _labelled("ended", escape_text(picture.end.reason), "")
        unheard = picture.unheard(self.now)
        if unheard and picture.loop.at_work is not None:
            text = f"for {duration(unheard)} in silence"
            return _labelled("works", text, ": a long turn, or news that comes late")
        why = escape_text(picture.loop.why)
        until = picture.loop.until
        if until is None:
            return _labelled("sleeps", why, "")
        left = until - self.now
        return _labelled("sleeps", f"at most {duration(left)}" if left > 0 else "no longer", f": {why}")


class ProgramPanel(LoopPanel):
    """Who runs, what its polls woke for if it polls, and what its threads do."""

    def __init__(self, picture: Picture, now: int, status: str = "") -> None:
        super().__init__(picture, now, status)
        self.threads = ThreadsPanel(picture, now)

    def rows(self, height: int) -> int:
        """As many as there are threads, up to a quarter of the picture."""
        if height < 16:
            return super().rows(height)
        return min(len(self._about(80)) + self.threads.rows(), max(5, height // 4))

    def lines(self, width: int, height: int) -> list[Line]:
        """At most `height` lines; where there is room for few, the title and a thread."""
        lines = self._about(width) if height > 2 else [self._title(width)]
        lines += self.threads.lines(width, height - len(lines))
        return [exact(line, width) for line in lines[:height]]

    def _about(self, width: int) -> list[Line]:
        lines = [self._title(width)]
        if self.picture.loop.polled:
            lines += [self._ticks(width), self._woke()]
        if self.picture.end is not None:
            lines.append(self._sleeps())
        return lines

    def _facts(self) -> list[str]:
        header = self.picture.header
        if header is None:
            return []
        argv = header.argv if header.model == "run" else []
        what = (
            " ".join([argv[0].rpartition("/")[2], *argv[1:]])
            if argv
            else _MODELS.get(header.model, header.model)
        )
        return [part for part in (what, "" if argv else header.mode, f"pid {header.pid}") if part]


_MODELS = {
    "once": "server for one message",
    "conversation": "server for one client",
    "sequential": "server, one client at a time",
    "threaded": "server, a thread a client",
    "run": "program",
}


def _limit(event: Limit) -> str:
    name = event.conn or event.sock
    return escape_text(f"{event.what} ({name})" if name else event.what)


def _labelled(label: str, strong: str, rest: str) -> Line:
    return [Segment(f" {label}".ljust(_LABEL), DIM), Segment(strong, BOLD), Segment(rest)]
