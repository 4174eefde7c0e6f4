"""Bytes that wait to be sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evloop.net.buffers import SendBuffer


@given(st.lists(st.one_of(st.binary(max_size=20), st.integers(0, 20)), max_size=60))
def test_a_queue_of_bytes(steps):
    """Bytes come out once and in order, whatever is appended and however little is taken."""
    buffer, model, taken = SendBuffer(), b"", b""
    everything = b"".join(step for step in steps if isinstance(step, bytes))
    for step in steps:
        if isinstance(step, bytes):
            buffer.append(step)
            model += step
        elif buffer:
            n = min(step, len(buffer.first()))
            taken += bytes(buffer.first()[:n])
            buffer.consume(n)
            model = model[n:]
        assert len(buffer) == buffer.size == len(model)
        assert not model or model.startswith(bytes(buffer.first()))
    assert taken + model == everything


def test_nothing_is_copied():
    """A piece is a view of the bytes that were appended, also after a part of it was sent."""
    data = b"x" * 1000
    buffer = SendBuffer()
    buffer.append(data)
    buffer.consume(10)
    assert buffer.first().obj is data
    buffer.consume(900)
    assert buffer.first().obj is data
    assert len(buffer.first()) == 90


def test_empty_pieces_are_not_kept():
    """An empty piece would be sent as nothing, for ever."""
    buffer = SendBuffer()
    buffer.append(b"")
    buffer.append(memoryview(b""))
    assert not buffer
    with pytest.raises(IndexError):
        buffer.first()


@pytest.mark.parametrize("n", [-1, 4])
def test_no_more_is_consumed_than_there_is(n):
    """A kernel that says it took more than it was offered is a fault, and not a wrong size."""
    buffer = SendBuffer()
    buffer.append(b"abc")
    with pytest.raises(ValueError, match="cannot consume"):
        buffer.consume(n)
    assert len(buffer) == 3
