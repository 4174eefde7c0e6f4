"""What a server answers, and which datagrams it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evloop.protocols import PROTOCOLS, why_unanswered


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


@pytest.mark.parametrize(
    ("sender", "why"),
    [
        (("127.0.0.1", 1024), None),
        (("127.0.0.1", 1023), "port 1023 may be a service"),
        (("::1", 7, 0, 0), "port 7 may be a service"),
        (("127.0.0.1", 8080), "this server itself"),
        (("fe80::1", 8080, 0, 2), "this server itself"),
        (("fe80::1", 8080, 0, 3), None),
        (("203.0.113.1", 8080), None),
    ],
)
def test_who_is_not_answered(sender, why):
    """Ourselves, and services that would answer the answer."""
    said = why_unanswered(sender, {8080}, {"127.0.0.1", "::1", "fe80::1%2"}.__contains__)
    assert said is None if why is None else why in said
