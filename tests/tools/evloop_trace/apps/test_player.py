"""The replay on a terminal, with Textual's pilot for a user and a clock that is turned by hand."""

from __future__ import annotations

import asyncio
import io
import os
import pty
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.apps import player as module
from evloop_trace.apps.player import Player, play
from evloop_trace.playback import Playback
from evloop_trace.tape import Tape

from evloop.errors import LogError
from evloop.events.schema import Poll, Recv, Send

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from tests.tools.evloop_trace.conftest import Book

Save = Callable[[str, bytes], str]
Story = Callable[[Any], Awaitable[None]]


class Hand:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class Stage:
    """A player in a test, and what one does with it."""

    def __init__(self, book: Book, **options: Any) -> None:
        self.hand = Hand()
        self.book = book
        self.player = Player(Playback(Tape(io.BytesIO(book.encode()))), seconds=self.hand, **options)
        self.pilot: Pilot[None]

    def run(self, story: Callable[[Stage], Awaitable[None]], size: tuple[int, int] = (80, 24)) -> None:
        """Tell a story; frames come only when it asks for them."""

        async def tell() -> None:
            async with self.player.run_test(size=size) as self.pilot:
                await story(self)

        asyncio.run(tell())

    async def press(self, *keys: str) -> None:
        """Keys, and what they do."""
        await self.pilot.press(*keys)

    def after(self, seconds: float) -> None:
        """Time goes by, and a frame is due."""
        self.hand.now += seconds
        self.player.frame()

    @property
    def number(self) -> int:
        """Events applied."""
        return self.player.playback.number

    @property
    def shown(self) -> str:
        """What stands on the screen."""
        lines = self.player._canvas.drawn
        return "\n".join("".join(segment.text for segment in line) for line in lines)


@pytest.fixture
def stage(book: Book, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Five ticks of a conversation, paused at the start; frames come by hand."""
    monkeypatch.setattr(module, "FRAME", 3600)
    book.listen()
    book.accept("tcp-1")
    book.accept("tcp-2")
    for turn in range(5):
        book.tick += 1
        book.add(Poll, 1_000_000_000, None, "nothing", [("tcp-1", "IN")])
        for event in book.events[-1:]:
            event.t += turn * 1_000_000_000
        for cls in (Recv, Send):
            event = book.recv("tcp-1", b"hello") if cls is Recv else book.send("tcp-1", b"HELLO")
            event.t += (turn + 1) * 1_000_000_000
        event = book.recv("tcp-2", b"x")
        event.t += (turn + 1) * 1_000_000_000
    return Stage(book, playing=False)


def test_the_first_picture_is_there_before_any_frame(stage: Stage) -> None:
    """With a footer that says where one is."""

    async def story(it: Stage) -> None:
        assert " evloop" in it.shown
        assert "paused ×1" in it.shown
        assert "0.000 / 5.000 s" in it.shown

    stage.run(story)


def test_space_plays_at_the_pace_of_the_log(stage: Stage) -> None:
    """Between events the clock goes on."""

    async def story(it: Stage) -> None:
        await it.press("space")
        it.after(0.5)
        assert it.player.now == 500_000_000
        assert it.number == 4
        assert "asleep" in it.shown
        assert "playing ×1" in it.shown
        it.after(0.6)
        assert it.number == 8
        await it.press("space")
        it.after(2)
        assert it.number == 8

    stage.run(story)


def test_at_the_end_it_stops_and_space_begins_anew(stage: Stage) -> None:
    """The bar is full."""

    async def story(it: Stage) -> None:
        await it.press("space")
        it.after(60)
        assert not it.player.playing
        assert "the end" in it.shown
        assert it.number == len(it.book.events)
        await it.press("space")
        assert it.player.playing
        assert it.number < 5

    stage.run(story)


def test_faster_and_slower(stage: Stage) -> None:
    """By factors of two, within bounds."""

    async def story(it: Stage) -> None:
        await it.press("plus", "equals_sign", "space")
        it.after(0.5)
        assert it.player.now == 2_000_000_000
        assert "playing ×4" in it.shown
        await it.press("minus", "minus", "minus")
        assert "×1/2" in it.shown
        await it.press(*["minus"] * 20)
        assert it.player.speed == 1 / 1024

    stage.run(story)


def test_as_fast_as_it_goes(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be made faster, and each frame does what it has the time for."""
    monkeypatch.setattr(module, "FRAME", 3600)
    stage = Stage(book.conversation(), speed=float("inf"))

    async def story(it: Stage) -> None:
        assert "playing max" in it.shown
        await it.press("plus")
        it.after(0.05)
        assert "the end" in it.shown

    stage.run(story)


def test_the_clock_of_the_log_waits_when_there_is_too_much_to_do(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event is left out."""
    monkeypatch.setattr("evloop_trace.playback.SLICE", 4)
    monkeypatch.setattr(module, "WORK", 0.0)

    async def story(it: Stage) -> None:
        await it.press("space")
        it.after(60)
        assert it.number == 4
        assert it.player.now == it.player.playback.picture.t

    stage.run(story)


def test_arrows_step_by_events_and_ticks(stage: Stage) -> None:
    """And back; the clock stands exactly after the event."""

    async def story(it: Stage) -> None:
        await it.press("right", "right")
        assert it.number == 2
        await it.press("left")
        assert it.number == 1
        await it.press("left")
        assert it.number == 1, "the header stays"
        await it.press("down")
        assert it.number == 4
        await it.press("down")
        assert it.number == 8
        await it.press("up")
        assert it.number == 4
        assert it.player.now == it.player.playback.picture.t

    stage.run(story)


def test_pages_are_a_hundred_events(stage: Stage) -> None:
    """Or as many as there are."""

    async def story(it: Stage) -> None:
        await it.press("pagedown")
        assert it.number == len(it.book.events)
        await it.press("pageup")
        assert it.number == 1

    stage.run(story)


def test_the_start_and_the_end_are_a_key_away(stage: Stage) -> None:
    """By two names each."""

    async def story(it: Stage) -> None:
        for end, start in (("G", "g"), ("end", "home")):
            await it.press(end)
            assert it.number == len(it.book.events)
            await it.press(start)
            assert it.number == 1
            assert it.player.now == 0

    stage.run(story)


def test_a_time_can_be_typed(stage: Stage) -> None:
    """Backspace corrects, enter goes, escape does not."""

    async def story(it: Stage) -> None:
        await it.press(*":2.57", "backspace")
        assert "to the time:  2.5▏" in it.shown
        await it.press("enter")
        assert it.player.now == 2_500_000_000
        assert it.number == 12
        await it.press("/", *"100ms", "enter")
        assert it.player.now == 100_000_000
        await it.press(":", "9", "tab", "escape")
        assert it.player.now == 100_000_000
        await it.press(":", *"soon", "enter")
        assert "'soon' is not a time" in it.shown
        await it.press("x")
        assert "not a time" not in it.shown

    stage.run(story, size=(160, 24))


def test_only_one_connection_can_be_shown(stage: Stage) -> None:
    """With the polls that found it ready; nothing typed means all again."""

    async def story(it: Stage) -> None:
        await it.press("G", "f", *"tcp-1", "enter")
        it.after(0)
        assert "only tcp-1" in it.shown
        ladder = it.player.playback.picture.ladder
        assert {getattr(event, "conn", "poll") for event in ladder} == {"tcp-1", "poll"}
        assert it.number == len(it.book.events)
        await it.press("f", "enter")
        it.after(0)
        assert "everything" in it.shown
        assert len(it.player.playback.picture.ladder) > len(ladder)

    stage.run(story)


def test_a_long_way_is_taken_in_pieces(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile it says that it seeks, and keys are heard."""
    monkeypatch.setattr("evloop_trace.playback.SLICE", 4)
    monkeypatch.setattr(module, "WORK", 0.0)

    async def story(it: Stage) -> None:
        await it.press("G")
        assert "seeking…" in it.shown
        assert it.number == 4
        it.after(0.05)
        assert it.number == 8
        await it.press("right")
        assert it.player.goal is None
        assert it.number == 9

    stage.run(story)


def test_help_is_a_key_away_and_any_key_takes_it_down(stage: Stage) -> None:
    """The picture stays behind it."""

    async def story(it: Stage) -> None:
        await it.press("question_mark")
        assert "play, pause" in it.shown
        await it.press("right")
        assert "play, pause" not in it.shown
        assert it.number == 0
        await it.press("h")
        await it.pilot.resize_terminal(30, 6)
        assert len(it.player._canvas.drawn) == 6

    stage.run(story)


@pytest.mark.parametrize("key", ["q", "escape", "ctrl+c"])
def test_it_can_be_left(stage: Stage, key: str) -> None:
    """In the ways one tries."""

    async def story(it: Stage) -> None:
        await it.press(key)
        assert it.player._exit

    stage.run(story)


@pytest.mark.parametrize("size", [(1, 1), (20, 2), (40, 10), (200, 60)])
def test_any_terminal_will_do(stage: Stage, size: tuple[int, int]) -> None:
    """A tiny one shows little, but does not fail."""

    async def story(it: Stage) -> None:
        await it.press("G", "question_mark")
        assert len(it.player._canvas.drawn) in (0, size[1])
        assert it.player._canvas.render_line(500).cell_length == it.player._canvas.size.width

    stage.run(story, size=size)


def test_playing_goes_from_the_start_to_the_end_that_were_asked_for(
    book: Book, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And keeps what it is told to."""
    seen: list[tuple[int, float, bool]] = []

    def run(self: Player, **_: object) -> None:
        seen.append((self.playback.number, self.speed, self.playing))
        while self.playback.step():
            pass
        seen.append((self.playback.number, 0, False))

    monkeypatch.setattr(Player, "run", run)
    path = save("a.jsonl", book.conversation().encode())
    assert play([path], speed=2.0, step=True, start=3_500, end=8_500) == 0
    assert seen == [(4, 2.0, False), (9, 0, False)]


def test_what_is_no_log_is_said_before_anything_is_drawn(tmp_path: object) -> None:
    """One sentence, by the command line."""
    with pytest.raises(LogError, match="does not exist"):
        play([f"{tmp_path}/missing"])


def test_keys_come_from_the_terminal_when_the_log_came_from_standard_input(
    book: Book, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipe is at its end by then."""
    master, slave = pty.openpty()
    path = save("a.jsonl", book.conversation().encode())
    real_open = os.open

    def open_terminal(name: Any, *rest: Any) -> int:
        return os.dup(slave) if name == "/dev/tty" else real_open(name, *rest)

    monkeypatch.setattr(os, "open", open_terminal)
    monkeypatch.setattr(Player, "run", lambda _self, **_: None)
    with open(path, encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        monkeypatch.setattr("sys.__stdin__", file)
        assert play(["-"]) == 0
        assert os.isatty(file.fileno())
    os.close(master)
    os.close(slave)
