"""TCP options, and the Multipath TCP connections that they make."""

from __future__ import annotations

from hashlib import sha256

import pytest
from evloop_trace.packets.options import NO_SCALE, Tokens, options, scale


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"\2\4\5\xb4\1\3\3\7", [(2, b"\2\4\5\xb4"), (3, b"\3\3\7")]),
        (b"\1\1\0\3\3\7", []),
        (b"\3\3\7\2", [(3, b"\3\3\7")]),
        (b"\3\3\7\2\1", [(3, b"\3\3\7")]),
        (b"\2\4\5", []),
    ],
)
def test_options_as_far_as_they_hold(data, found):
    """A length of less than two, or past the end, ends them; so does the end of options."""
    assert list(options(data)) == found


@pytest.mark.parametrize(
    ("data", "shift"),
    [(b"", NO_SCALE), (b"\3\3\7", 7), (b"\3\3\x63", 14), (b"\3\2", NO_SCALE), (b"\3\3\0", 0)],
)
def test_window_scale(data, shift):
    """At most 14 (RFC 7323)."""
    assert scale(data) == shift


def test_connections_of_one_token(wire):
    """Who knows a key's token joins; who has another key does not."""
    tokens = Tokens()
    first = tokens.see(None, wire.multipath(0, b"\x81" + wire.KEYS[0]))
    assert tokens.see(None, wire.multipath(1, b"\0" + wire.JOINS[0] + b"rand")) is first
    assert tokens.see(None, wire.multipath(1, b"\0" + wire.JOINS[1] + b"rand")) is not first
    assert first.kinds == 3
    assert tokens.see(None, b"\1\1\1\1") is None
    assert tokens.see(None, wire.multipath(0, b"\x81", 1)) is None


def test_version_1_has_both_keys_in_the_last_ack(wire):
    """And another hash."""
    tokens = Tokens()
    second = tokens.see(None, wire.multipath(0, b"\x81" + wire.KEYS[0] + wire.KEYS[1], 1))
    for key in wire.KEYS[:2]:
        token = sha256(key).digest()[:4]
        assert tokens.see(None, wire.multipath(1, b"\0" + token + b"rand")) is second
