"""Which connect belongs to which accept, when addresses are used again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.correlate import pairs
from evloop_trace.correlate.ends import End, Joined, Origin
from evloop_trace.correlate.pairs import Pairs, plain, tcp_key, unix_key

if TYPE_CHECKING:
    import pytest

KEY = tcp_key("127.0.0.1:40000", "127.0.0.1:8080")


def end(t: int, *, accepted: bool = False) -> End:
    """An end that connected at this time, or was accepted."""
    return End(0, f"tcp-{t}", t, accepted=accepted)


def test_ipv4_on_an_ipv6_socket_is_ipv4() -> None:
    """RFC 4291, 2.5.5.2: a server that listens on [::] sees its clients in such a dress."""
    assert plain("[::ffff:127.0.0.1]:40000") == "127.0.0.1:40000"
    assert plain("[::1]:40000") == "[::1]:40000"
    assert tcp_key("[::ffff:127.0.0.1]:40000", "127.0.0.1:8080") == KEY


def test_an_interface_is_no_part_of_an_address() -> None:
    """Each machine has numbers of its own for its interfaces, and a packet has none; RFC 4007, 6."""
    assert tcp_key("[fe80::2%3]:40000", "[fe80::1%7]:80") == ("[fe80::2]:40000", "[fe80::1]:80")
    assert plain("/tmp/[a%b]") == "/tmp/[a%b]"


def test_the_same_addresses_again() -> None:
    """Each accept belongs to the last connect before it, and a connect to no accept that was before it."""
    both = Pairs(one_clock=True)
    lost, first = end(10), end(20)
    assert both.connected(KEY, lost) == both.connected(KEY, first) == (None, True)
    assert (lost.lone, first.lone) == (True, False)
    assert both.accepted(KEY, end(25, accepted=True)) == (first, True)
    before = end(30, accepted=True)
    assert both.accepted(KEY, before) == (None, True)
    assert both.connected(KEY, end(40)) == (None, True)
    assert before.lone
    assert both.accepted(KEY, end(35, accepted=True)) == (None, True)


def test_without_a_common_clock_the_order_decides() -> None:
    """And where the addresses were used twice, that is no certainty."""
    both = Pairs(one_clock=False)
    first, second = end(900), end(950)
    both.connected(KEY, first)
    both.connected(KEY, second)
    assert both.accepted(KEY, end(10, accepted=True)) == (first, False)
    assert both.accepted(KEY, end(20, accepted=True)) == (second, True)
    accepted = end(30, accepted=True)
    both.accepted(KEY, accepted)
    assert both.connected(KEY, end(970)) == (accepted, True)


def test_a_unix_client_is_never_certain() -> None:
    """Its clients stand in a queue, and only their order tells them apart."""
    both = Pairs(one_clock=True)
    key = unix_key("/run/some/sock", 7)
    assert key == unix_key("sock", 7) != unix_key("sock", 8)
    first, second = end(1), end(2)
    both.connected(key, first)
    both.connected(key, second)
    assert both.accepted(key, end(3, accepted=True)) == (first, False)
    assert both.accepted(key, end(4, accepted=True)) == (second, False)


def test_an_end_may_be_given_up() -> None:
    """It is found no more; and neither is one that does not wait."""
    both = Pairs(one_clock=True)
    key = unix_key("sock", 7)
    first, second = end(1, accepted=True), end(2, accepted=True)
    both.accepted(key, first)
    both.accepted(key, second)
    both.forget(key, first)
    both.forget(key, first)
    assert both.connected(key, end(0)) == (second, False)
    both.accepted(key, first)
    both.forget(key, first)
    both.forget(key, first)
    assert both.connected(key, end(0)) == (None, True)


def test_those_who_wait_are_not_more_than_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes."""
    monkeypatch.setattr(pairs, "LIMIT", 2)
    both = Pairs(one_clock=True)
    ends = [end(number) for number in range(3)]
    for number, it in enumerate(ends):
        both.connected(tcp_key(f"127.0.0.1:{number}", "127.0.0.1:8080"), it)
    assert [it.lone for it in ends] == [True, False, False]
    both.lose()
    assert all(it.lone for it in ends)


def test_an_origin_is_named_once() -> None:
    """Though its bytes came in two parts; the origins stand in the order of the stream."""
    joined = Joined(100, 9)
    late, early = Origin("send", "a", 2, 20, 5, 9), Origin("send", "a", 1, 10, 0, 5)
    for origin, size in ((late, 2), (early, 5), (late, 2)):
        joined.came(origin, size)
    assert (joined.origins, joined.missing, joined.way) == ([early, late], 0, 90)
