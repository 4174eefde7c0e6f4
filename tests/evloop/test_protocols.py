"""What the server answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evloop.protocols import PROTOCOLS


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@given(data=st.binary(), at=st.integers(min_value=0))
def test_however_the_stream_was_cut(name, data, at):
    """The answer to two halves is the two answers, wherever it was cut, and a byte answers a byte."""
    respond = PROTOCOLS[name]
    cut = at % (len(data) + 1)
    assert respond(data[:cut]) + respond(data[cut:]) == respond(data)
    assert len(respond(data)) == len(data)


@given(st.text())
def test_upper_breaks_no_character(text):
    """Text in UTF-8 is still text when the ASCII letters in it are great ones."""
    answer = PROTOCOLS["upper"](text.encode()).decode()
    assert answer == "".join(c.upper() if c.isascii() else c for c in text)


def test_echo_copies_nothing():
    """It gives the same object back."""
    data = b"x" * 1000
    assert PROTOCOLS["echo"](data) is data
