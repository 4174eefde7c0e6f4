"""Going to and fro in a log."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from evloop_trace import playback as module
from evloop_trace.model.picture import Picture
from evloop_trace.playback import Playback
from evloop_trace.tape import Tape

from evloop.events.schema import Poll, Recv

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent, Unknown
    from tests.tools.evloop_trace.conftest import Book

NEVER = 1 << 62


def long(book: Book, turns: int = 60) -> Book:
    """A conversation of many ticks."""
    book.listen()
    book.accept("tcp-1")
    for turn in range(turns):
        book.poll("tcp-1")
        book.recv("tcp-1", b"%d" % turn)
        book.send("tcp-1", b"%d" % turn)
    return book


def folded(book: Book, number: int) -> Picture:
    """The picture after so many events, the plain way."""
    picture = Picture()
    for event in book.events[:number]:
        picture.apply(event)
    return picture


@pytest.fixture
def playback(book: Book, monkeypatch: pytest.MonkeyPatch) -> Playback:
    """A long log with few checkpoints and small slices."""
    monkeypatch.setattr(module, "EVERY", 4)
    monkeypatch.setattr(module, "MOST", 8)
    monkeypatch.setattr(module, "SLICE", 4)
    return Playback(Tape(io.BytesIO(long(book).encode()), 2000))


def test_a_step_is_one_event(playback: Playback, book: Book) -> None:
    """Until there is none."""
    for number in range(1, len(book.events) + 1):
        assert playback.step()
        assert playback.number == number
    assert not playback.step()
    assert playback.next() is None
    assert playback.picture == folded(book, len(book.events))


def test_running_to_a_time_applies_what_is_due_by_then(playback: Playback) -> None:
    """Event n begins at n µs and takes 100 ns."""
    assert playback.run_to(10_050)
    assert playback.number == 10
    assert playback.run_to(10_100)
    assert playback.number == 11
    assert playback.run_to(NEVER)
    assert playback.next() is None


def test_a_long_way_can_be_interrupted_and_taken_up_again(playback: Playback, book: Book) -> None:
    """What was done stays done."""
    turns = 0
    while not playback.run_to(NEVER, lambda: True):
        turns += 1
    assert turns > 10
    assert playback.picture == folded(book, len(book.events))


def test_any_place_is_the_same_forwards_and_backwards(playback: Playback, book: Book) -> None:
    """Checkpoints are bounded in number."""
    playback.run_to(NEVER)
    assert len(playback._checkpoints) <= 9
    for number in (150, 31, 30, 2, 177, 1):
        playback.go(number)
        assert playback.number == number
        assert playback.picture == folded(book, number)


def test_going_back_to_a_time(playback: Playback, book: Book) -> None:
    """From a checkpoint before it; forward it stays where it is."""
    playback.run_to(NEVER)
    for t in (90_000, 0):
        playback.rewind_to(t)
        playback.run_to(t + 500)
        assert playback.picture == folded(book, t // 1000 + 1)
    number = playback.number
    playback.rewind_to(NEVER)
    playback.rewind(number + 5)
    assert playback.number == number


def test_a_tick_is_up_to_the_next_poll(playback: Playback, book: Book) -> None:
    """And back to the one before."""
    playback.run_tick()
    assert isinstance(book.events[playback.number], Poll)
    first = playback.number
    playback.run_tick()
    assert playback.number == first + 3
    playback.go(playback.tick_before())
    assert playback.number == first
    playback.go(2)
    assert playback.tick_before() == 0


def test_the_end_is_kept(book: Book) -> None:
    """Nothing after it is shown."""
    playback = Playback(Tape(io.BytesIO(long(book).encode())), end=20_000)
    assert playback.run_to(NEVER)
    assert playback.number == 20
    assert playback.next() is None


def test_no_step_goes_past_the_end(book: Book) -> None:
    """Nor past what is not kept and comes before it."""
    playback = Playback(Tape(io.BytesIO(long(book).encode())), lambda _: False, end=20_000)
    assert not playback.step()
    assert playback.number == 20


def test_a_long_log_is_stepped_through_without_copying_it(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look for what is kept costs no more than a slice at a time."""
    tape = Tape(io.BytesIO(long(book, 400).encode()), 1 << 20)
    asked: list[int] = []
    after = tape.after
    monkeypatch.setattr(tape, "after", lambda number, most: asked.append(most) or after(number, most))
    playback = Playback(tape, lambda _: False)
    assert not playback.step()
    assert playback.number == len(book.events)
    assert (len(asked), set(asked)) == (len(book.events) // module.SLICE + 2, {module.SLICE})


def received(event: AnyEvent | Unknown) -> bool:
    """Only what came."""
    return isinstance(event, Recv)


def test_what_is_not_kept_is_counted_but_not_shown(book: Book) -> None:
    """A step goes to the next that is."""
    playback = Playback(Tape(io.BytesIO(long(book).encode())), received)
    for _ in range(3):
        assert playback.step()
    assert [type(event) for event in playback.picture.ladder] == [Recv] * 3
    assert playback.picture.sent == 2
    playback.go(playback.previous())
    assert len(playback.picture.ladder) == 2


def test_a_filter_can_be_changed_on_the_way(playback: Playback, book: Book) -> None:
    """All begins anew."""
    playback.run_to(NEVER)
    playback.only(received)
    assert playback.number == 0
    playback.run_to(100_000)
    assert {type(event) for event in playback.picture.ladder} == {Recv}
    playback.only(None)
    playback.go(50)
    assert playback.picture == folded(book, 50)


def test_lines_that_are_no_events_are_counted(book: Book) -> None:
    """They change nothing else, and no step stops at one."""
    data = book.encode() + b"nonsense\n"
    book.listen()
    playback = Playback(Tape(io.BytesIO(data + book.encode().split(b"\n")[1] + b"\n")))
    playback.step()
    playback.step()
    assert (playback.number, playback.problems, playback.picture.events) == (3, 1, 2)


def spinning(book: Book, turns: int = 60) -> Playback:
    """A loop that spins, on a tape."""
    book.listen()
    book.accept("tcp-1")
    for _ in range(turns):
        book.poll("tcp-1")
    return Playback(Tape(io.BytesIO(book.encode())))


def test_what_the_lints_had_found(book: Book) -> None:
    """To and fro: it is said from where it was found on, and once only it is looked for."""
    playback = spinning(book)
    assert playback.notice is None
    playback.run_to(NEVER)
    assert playback.notice is not None
    assert (playback.notice.kind, playback.notice.times, playback.notice.number) == ("spin-ready", 60, 1)
    playback.go(10)
    assert playback.notice is None
    playback.go(40)
    assert playback.notice is not None
    playback.go(0)
    playback.run_to(NEVER)
    assert playback.notice is not None
    assert playback.notice.times == 60
