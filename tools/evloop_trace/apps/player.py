"""The replay on a terminal: the same picture, at the log's own pace, or event by event, to and fro."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.app import App
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from evloop.events.schema import Poll
from evloop_trace.model.filters import parse_time
from evloop_trace.numbers import clock, count
from evloop_trace.playback import Playback
from evloop_trace.tape import open_tape
from evloop_trace.views.cells import Line, exact, spread
from evloop_trace.views.meeting import screen_of
from evloop_trace.views.palette import BOLD, DIM, KINDS, TITLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual import events
    from textual.app import ComposeResult

    from evloop.events.schema import AnyEvent, Unknown
    from evloop_trace.playback import Keep
    from evloop_trace.tape import Read

__all__ = ["Player", "play"]

FRAME = 1 / 20  # seconds
WORK = 0.025  # seconds of a frame in which events are applied
JUMP = 100  # events
_NEVER = 1 << 62

HELP = (
    ("space", "play, pause"),
    ("→  ←", "one event on, back"),
    ("↓  ↑", "one tick on, back"),
    ("PgDn  PgUp", "100 events on, back"),
    ("+  -", "faster, slower"),
    ("g  G", "to the start, to the end"),
    (":", "to a time: 1.5 is seconds, or 250ms"),
    ("f", "only one connection or socket; nothing for all"),
    ("?", "this help"),
    ("q", "quit"),
)


def play(
    paths: Sequence[str],
    *,
    speed: float = 1.0,
    step: bool = False,
    keep: Keep | None = None,
    start: int = 0,
    end: int | None = None,
    read: Read | None = None,
) -> int:
    """Show logs on the terminal, from the time `start` to `end`, until the user has seen enough.

    What was read of them, `read` is told: see `open_tape`.

    Raises:
        LogError: one cannot be read, or is no event log.
    """
    tape = open_tape(paths, read)
    if "-" in paths:
        _keys_from_terminal()
    playback = Playback(tape, keep, end)
    playback.run_to(start)
    player = Player(playback, speed=speed, playing=not step)
    try:
        player.run(mouse=False)
    finally:
        tape.close()
    return player.return_code or 0


def _keys_from_terminal() -> None:
    """Standard input was the log: keys come from the terminal itself."""
    terminal = os.open("/dev/tty", os.O_RDONLY)
    os.dup2(terminal, sys.__stdin__.fileno() if sys.__stdin__ else 0)
    os.close(terminal)


class _Canvas(Widget):
    """Lines that are ready; only the ones that changed are drawn."""

    DEFAULT_CSS = "_Canvas { width: 100%; height: 100%; }"

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Line] = []

    def show(self, lines: list[Line]) -> None:
        """Draw a frame."""
        width = self.size.width
        before, self.drawn = self.drawn, lines
        if len(before) != len(lines):
            self.refresh()
            return
        changed = [y for y, line in enumerate(lines) if line != before[y]]
        if changed:
            self.refresh(*[Region(0, y, width, 1) for y in changed])

    def render_line(self, y: int) -> Strip:
        """What Textual asks for."""
        if y >= len(self.drawn):
            return Strip.blank(self.size.width)
        return Strip(self.drawn[y], self.size.width)


class Player(App[None]):
    """Keys and time become places in a log."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        playback: Playback,
        *,
        speed: float = 1.0,
        playing: bool = True,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(ansi_color=True)
        self.playback = playback
        self.speed = speed
        self.playing = playing
        self.now = playback.picture.t  # on the log's clock
        self.prompt: str | None = None  # what is asked for: ":" or "f"
        self.typed = ""
        self.message = ""
        self.helping = False
        self.goal: int | None = None  # a time that takes long to get to
        self._seconds = seconds
        self._last = seconds()
        self._length = max(1, playback.tape.last_t())
        self._canvas = _Canvas()

    def compose(self) -> ComposeResult:
        """One widget."""
        yield self._canvas

    def on_mount(self) -> None:
        """Begin."""
        self._last = self._seconds()
        self.set_interval(FRAME, self.frame)

    def on_resize(self, event: events.Resize) -> None:
        """The first picture comes with the first size."""
        self.draw(event.size.width, event.size.height)

    # -- time ----------------------------------------------------------------------------

    def frame(self) -> None:
        """Go on by the time that went by."""
        elapsed, self._last = self._seconds() - self._last, self._seconds()
        if self.goal is not None:
            self._towards(self.goal)
        elif self.playing:
            self._play(elapsed)
        self.draw(*self.size)

    def _play(self, elapsed: float) -> None:
        playback = self.playback
        aim = _NEVER if self.speed == float("inf") else self.now + round(elapsed * self.speed * 1e9)
        arrived = playback.run_to(aim, self._out_of_time())
        if playback.next() is None:
            self.playing = False
            self.now = playback.picture.t
        else:  # where there is too much to do, the log's clock waits for us
            self.now = aim if arrived else playback.picture.t

    def _towards(self, goal: int) -> None:
        arrived = self.playback.run_to(goal, self._out_of_time())
        self.now = max(self.playback.picture.t, min(goal, self._length) if arrived else 0)
        if arrived:
            self.goal = None
            self._last = self._seconds()

    def _out_of_time(self) -> Callable[[], bool]:
        deadline = self._seconds() + WORK
        return lambda: self._seconds() >= deadline

    # -- keys ----------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """A key: part of an answer, or a command."""
        event.stop()
        event.prevent_default()
        self.message = ""
        if self.prompt is not None:
            self._type(event)
        elif self.helping and event.key != "ctrl+c" and event.character != "q":
            self.helping = False
        else:
            command = self._KEYS.get(event.character or "") or self._KEYS.get(event.key)
            if command is not None:
                command(self)
        self.draw(*self.size)

    def _type(self, event: events.Key) -> None:
        if event.key in ("escape", "ctrl+c"):
            self.prompt = None
        elif event.key == "enter":
            asked, self.prompt = self.prompt, None
            self._seek(self.typed) if asked == ":" else self._only(self.typed)
        elif event.key == "backspace":
            self.typed = self.typed[:-1]
        elif event.is_printable and event.character:
            self.typed += event.character

    def _ask(self, prompt: str) -> None:
        self.prompt, self.typed = prompt, ""

    def _seek(self, text: str) -> None:
        try:
            self._go_to(parse_time(text))
        except ValueError as error:
            self.message = str(error)

    def _only(self, name: str) -> None:
        wanted = name.strip()
        here = self.now
        self.playback.only(_about(wanted) if wanted else None)
        self.message = f"only {wanted}" if wanted else "everything"
        self.goal = here

    def _go_to(self, t: int) -> None:
        self.playback.rewind_to(t)
        self.goal = t
        self._towards(t)

    def _paused(self, move: Callable[[], object]) -> None:
        """Pause, and be exactly after an event."""
        self.playing, self.goal = False, None
        move()
        self.now = self.playback.picture.t

    def _toggle(self) -> None:
        if not self.playing and self.playback.next() is None:
            self._go_to(0)
        self.playing = not self.playing

    def _faster(self, factor: float) -> None:
        if self.speed != float("inf"):
            self.speed = min(1024.0, max(1 / 1024, self.speed * factor))

    def _skip(self, number: int) -> None:
        for _ in range(number):
            if not self.playback.step():
                break

    def _back(self, number: int) -> None:
        self.playback.go(max(1, self.playback.number - number))

    def _leave(self) -> None:
        self.exit()

    _KEYS: ClassVar[dict[str, Callable[[Player], object]]] = {
        " ": _toggle,
        "right": lambda self: self._paused(self.playback.step),
        "left": lambda self: self._paused(lambda: self.playback.go(max(1, self.playback.previous()))),
        "down": lambda self: self._paused(self.playback.run_tick),
        "up": lambda self: self._paused(lambda: self.playback.go(max(1, self.playback.tick_before()))),
        "pagedown": lambda self: self._paused(lambda: self._skip(JUMP)),
        "pageup": lambda self: self._paused(lambda: self._back(JUMP)),
        "+": lambda self: self._faster(2.0),
        "=": lambda self: self._faster(2.0),
        "-": lambda self: self._faster(0.5),
        "g": lambda self: self._go_to(0),
        "home": lambda self: self._go_to(0),
        "G": lambda self: self._go_to(_NEVER),
        "end": lambda self: self._go_to(_NEVER),
        ":": lambda self: self._ask(":"),
        "/": lambda self: self._ask(":"),
        "f": lambda self: self._ask("f"),
        "?": lambda self: setattr(self, "helping", True),
        "h": lambda self: setattr(self, "helping", True),
        "q": _leave,
        "ctrl+c": _leave,
        "escape": _leave,
    }

    # -- the picture ---------------------------------------------------------------------

    def draw(self, width: int, height: int) -> None:
        """A frame of this size."""
        if width < 1 or height < 2:
            return
        body = height - 1
        playback = self.playback
        lines = screen_of(playback.picture, self.now, "replay", playback.notice).lines(width, body)
        if self.helping:
            lines = _over(lines, width)
        self._canvas.show([*lines, exact(self._footer(width), width)])

    def _footer(self, width: int) -> Line:
        if self.prompt is not None:
            label = " to the time: " if self.prompt == ":" else " only the connection or socket: "
            return [Segment(label, TITLE), Segment(f" {self.typed}▏")]
        left = [Segment(f" {self._state()} ", TITLE), Segment(f" {self._place()} ", BOLD)]
        right = [Segment(f" event {count(self.playback.number)}   "), Segment("? help  q quit ", DIM)]
        if self.message:
            right = [Segment(f" {self.message} ")]
        used = sum(segment.cell_length for segment in (*left, *right))
        if width - used > 12:
            left.append(_progress(self.now / self._length, width - used - 2))
        return spread(left, right, width)

    def _state(self) -> str:
        if self.goal is not None:
            return "seeking…"
        if self.playing:
            return f"playing {_pace(self.speed)}"
        return "the end" if self.playback.next() is None else f"paused {_pace(self.speed)}"

    def _place(self) -> str:
        return f"{clock(self.now)} / {clock(self._length)} s"


def _about(name: str) -> Keep:
    """What concerns one socket: its events, and the polls that found it ready."""

    def keep(event: AnyEvent | Unknown) -> bool:
        if isinstance(event, Poll):
            return any(_is(ready) for ready, _ in event.ready)
        return _is(getattr(event, "conn", None)) or _is(getattr(event, "sock", None))

    def _is(other: str | None) -> bool:
        """With several logs the name may be left without its log's label, as in their ladder."""
        return other is not None and name in (other, other.rpartition(":")[2])

    return keep


def _pace(speed: float) -> str:
    if speed == float("inf"):
        return "max"
    return f"×{speed:g}" if speed >= 1 else f"×1/{round(1 / speed)}"  # noqa: RUF001 - times


def _progress(share: float, width: int) -> Segment:
    full = round(min(1.0, max(0.0, share)) * width)
    return Segment("━" * full + "╌" * (width - full), KINDS["in"])


def _over(lines: list[Line], width: int) -> list[Line]:
    """Help in the middle of the picture."""
    cells = max(len(what) for _, what in HELP) + 18
    left = max(0, (width - cells) // 2)
    box = [
        f"┌{' keys '.center(cells - 2, '─')}┐",
        *(f"│ {keys:<11} {what:<{cells - 16}} │" for keys, what in HELP),
        f"└{'─' * (cells - 2)}┘",
    ]
    top = max(0, (len(lines) - len(box)) // 2)
    for number, text in enumerate(box[: len(lines)]):
        lines[top + number] = exact([Segment(" " * left), Segment(text, BOLD)], width)
    return lines
