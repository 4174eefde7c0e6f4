"""Pages of the ring buffer, and where events lie in them."""

from __future__ import annotations

import struct

import pytest
from evloop_trace.tracepoints.formats import Format, Page, symbols
from evloop_trace.tracepoints.pages import missed, records


def test_the_head_of_a_page(memory):
    """On machines of 64 and of 32 bits."""
    wide = Page(memory.header_page.format(size=8, data=16))
    narrow = Page(memory.header_page.format(size=4, data=12))
    assert (wide.data, wide.size, wide.head.size) == (16, 4096, 16)
    assert (narrow.data, narrow.size, narrow.head.size) == (12, 4092, 12)


@pytest.fixture
def layout(memory):
    """Of 64 bits."""
    return Page(memory.header_page.format(size=8, data=16))


def test_events_and_their_times(memory, layout):
    """Nanoseconds since the one before; a short event has its length in the word, a long one behind it."""
    long = b"L" * 200
    data = memory.page(
        1000,
        memory.word(2, 7), b"eight by",
        memory.word(1, 0), b"four",
        memory.word(0, 3), struct.pack("=I", 204), long,
    )  # fmt: skip
    found = [(t, data[at:end]) for t, at, end in records(data, layout)]
    assert found == [(1007, b"eight by"), (1007, b"four"), (1010, long)]


def test_times_that_do_not_fit(memory, layout):
    """A word of its own adds what is too long, another says the time itself."""
    data = memory.page(
        1000,
        memory.word(30, 5), struct.pack("=I", 3), memory.word(1, 1), b"long",
        memory.word(31, 9), struct.pack("=I", 2), memory.word(1, 1), b"self",
    )  # fmt: skip
    found = [(t, data[at:end]) for t, at, end in records(data, layout)]
    assert found == [(1000 + 5 + (3 << 27) + 1, b"long"), ((2 << 27) + 9 + 1, b"self")]


def test_what_was_thrown_away(memory, layout):
    """An event that did not pass the filter leaves padding; the page's end is padding without a length."""
    data = memory.page(
        1000,
        memory.word(29, 4), struct.pack("=I", 12), b"no event",
        memory.word(1, 1), b"good",
        memory.word(29, 0), b"nothing here",
    )  # fmt: skip
    assert [(t, data[at:end]) for t, at, end in records(data, layout)] == [(1005, b"good")]


def test_an_empty_page(memory, layout):
    """It has no events."""
    assert list(records(memory.page(1), layout)) == []


def test_what_is_missing(memory, layout):
    """The page says that there was no room before it, and mostly for how many."""
    event = memory.word(1, 1), b"good"
    assert missed(memory.page(1, *event), layout) is None
    assert missed(memory.page(1, *event, flags=1 << 31), layout) == 0
    data = memory.page(1, *event, flags=3 << 30, behind=struct.pack("=Q", 77))
    assert missed(data, layout) == 77
    assert len(list(records(data, layout))) == 1


def test_a_format(memory):
    """Wanted fields, wherever they are, with their signs; the others are passed over."""
    text = memory.form(42, skaddr="Q", other="i", state="i", sport="H", saddr="4s")
    form = Format(text, frozenset({"skaddr", "state", "sport", "saddr", "nowhere"}))
    data = b"??" + memory.record(42, "QiiH4s", 1 << 63, 9, -1, 65535, b"abcd")
    assert form.id == 42
    assert form.read(data, 2) == {"skaddr": 1 << 63, "state": -1, "sport": 65535, "saddr": b"abcd"}
    assert form.has("skaddr", "state")
    assert not form.has("skaddr", "other")


def test_the_words_of_a_field():
    """As the kernel prints them; a field may have none."""
    text = (
        'REC->state ? __print_symbolic(REC->state, { 1, "A" }), '
        '__print_symbolic(REC->reason, { 0, "N" }, { 11, "CLOSE" })'
    )
    assert symbols(text, "reason") == {0: "N", 11: "CLOSE"}
    assert symbols(text, "state") == {1: "A"}
    assert symbols(text, "family") == {}
