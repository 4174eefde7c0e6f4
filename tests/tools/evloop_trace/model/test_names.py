"""Names are new once."""

from __future__ import annotations

from evloop_trace.model import names as module
from evloop_trace.model.names import Names
from hypothesis import given
from hypothesis import strategies as st

from evloop.events.schema import Close, Shutdown

CLOSE = Close(5, 100, 0, 20, 4, "close")


@given(st.lists(st.integers(1, 50), unique=True))
def test_each_number_is_new_once(numbers: list[int]) -> None:
    """In whatever order they come."""
    names = Names()
    for number in numbers:
        assert names.add(f"tcp-{number}")
        assert not names.add(f"tcp-{number}")


def test_kinds_do_not_disturb_each_other() -> None:
    """Each kind counts for itself, and names of another form are remembered as they are."""
    names = Names()
    assert names.add("tcp-7")
    assert names.add("unix-3")
    assert names.add("odd")
    assert not names.add("odd")
    assert names.add("tcp-0")
    assert names.add("tcp-²")
    assert names.add("tcp-" + "9" * 30)


def test_memory_is_bounded() -> None:
    """Of closed names the latest are remembered, and of odd ones the first."""
    names = Names()
    for number in range(module._CLOSED + 10):
        names.close(f"tcp-{number}", number + 1, CLOSE)
        names.add(f"odd{number}")
    assert names.closed("tcp-0") is None
    last = names.closed(f"tcp-{module._CLOSED + 9}")
    assert last is not None
    assert last.line == module._CLOSED + 10
    assert names.add(f"odd{module._CLOSED + 5}")


def test_of_numbers_that_were_skipped_the_last_are_remembered() -> None:
    """However many they are."""
    names = Names()
    for number in range(1, 100_000, 500):
        assert names.add(f"tcp-{number}")
    assert names.add("tcp-99000")
    assert not names.add("tcp-2")
    assert names.add("tcp-5000000")
    assert names.add("tcp-4999500")
    assert sum(len(numbers) for numbers in names._skipped.values()) <= 2 * module._SKIPPED


def test_calls_that_race_with_a_close() -> None:
    """Another thread's may stand after it, if they had begun before it returned."""
    names = Names()
    names.close("tcp-1", 7, Close(5, 100, 0, 20, 4, "close", thread="one"))
    closed = names.closed("tcp-1")
    assert closed is not None
    for t, thread, raced in ((110, "two", True), (120, "", True), (121, "two", False), (110, "one", False)):
        assert closed.raced(Shutdown(6, t, 0, 5, "tcp-1", 4, "SHUT_WR", thread=thread)) == raced
