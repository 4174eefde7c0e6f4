"""Addresses: what people type, what the kernel gives, and what the log shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evloop.address import (
    MAX_UNIX_PATH,
    Inet,
    UnixPath,
    format_sockaddr,
    is_loopback,
    parse_inet,
    parse_unix,
    why_unscoped,
)
from evloop.errors import AddressError


@pytest.mark.parametrize(
    ("text", "inet"),
    [
        ("127.0.0.1:8080", Inet("127.0.0.1", 8080)),
        ("8080", Inet("127.0.0.1", 8080)),
        (":8080", Inet("127.0.0.1", 8080)),
        ("localhost:0", Inet("localhost", 0)),
        ("[::1]:65535", Inet("::1", 65535)),
        ("[fe80::1%eth0]:1", Inet("fe80::1%eth0", 1)),
        ("0.0.0.0:08080", Inet("0.0.0.0", 8080)),
    ],
)
def test_host_and_port(text, inet):
    """Every form of a TCP address that the help names."""
    assert parse_inet(text) == inet


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "host", "host:", "host:-1", "host:65536", "host:80x", "host:+80", "host:８０", "host:²",
        "::1", "::1:80", "[::1]", "[::1", "[[a]]:80", "a]:80", "a b:80", "a\n:80", "\x1b[31m:80", "a\0:80",
        "host: 80", "host:" + "9" * 5000, "[fe80::1%]:80", "[%eth0]:80", "127.0.0.1%lo:80",
        "localhost%lo:80", "%:80", "[fe80::1%a:b]:80", "[fe80::1%a/b]:80",
    ],
)  # fmt: skip
def test_what_is_no_address(text):
    """A sentence that says so, whatever was typed."""
    with pytest.raises(AddressError, match="address") as failure:
        parse_inet(text)
    assert "\n" not in str(failure.value)
    assert "\x1b" not in str(failure.value)


@given(st.text())
def test_any_text_parses_or_is_refused(text):
    """No text makes it raise anything else, and what it accepts has a port and a host."""
    try:
        inet = parse_inet(text)
    except AddressError:
        return
    assert 0 <= inet.port <= 0xFFFF
    assert inet.host


@given(
    st.sampled_from(["127.0.0.1", "::1", "localhost", "fe80::1", "fe80::1%eth0", "fe80::1%2"]),
    st.integers(0, 0xFFFF),
)
def test_printed_and_read_again(host, port):
    """What an address is shown as can be typed again."""
    inet = Inet(host, port)
    assert parse_inet(str(inet)) == inet


def test_unix_paths():
    """A path, an abstract name, and the longest of them."""
    assert parse_unix("/tmp/x") == UnixPath("/tmp/x")
    assert str(parse_unix("@name")) == "@name"
    assert parse_unix("x" * MAX_UNIX_PATH).path == "x" * MAX_UNIX_PATH


@pytest.mark.parametrize("text", ["", "a\0b", "x" * (MAX_UNIX_PATH + 1), "哈" * 35])
def test_what_is_no_unix_path(text):
    """Empty, with a NUL, or of more bytes than a socket address holds."""
    with pytest.raises(AddressError, match="path"):
        parse_unix(text)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        (("fe80::1", 80, 0, 2), "[fe80::1%2]:80"),
        (("fe80::1%eth0", 80, 0, 2), "[fe80::1%eth0]:80"),
        (("fe80::1%2", 80), "[fe80::1%2]:80"),
        ("/tmp/x", "/tmp/x"),
        (b"\0name\xff", "@name\\xff"),
        ("\0name", "@name"),
        (b"/tmp/x\xff", "/tmp/x\\xff"),
        ("/tmp/x\udcff", "/tmp/x\\xff"),
        ("", ""),
        (None, ""),
        (("\udcff", 80), "\\xff:80"),
        ((b"localhost", 80), "localhost:80"),
    ],
)
def test_what_the_kernel_gives(address, shown):
    """As accept(2) and getsockname(2) give it, or a program does, and as the log shows it."""
    assert format_sockaddr(address) == shown


def test_a_link_local_address_without_its_interface():
    """A sentence that shows how it is written; others, and those that name one, lack nothing."""
    assert why_unscoped(Inet("fe80::1", 80)) == (
        "[fe80::1]:80 may be on any interface: say on which, as in [fe80::1%eth0]:80; `ip link` lists them"
    )
    assert why_unscoped(Inet("FEBF::1", 80))
    others = ("fe80::1%eth0", "::1", "fec0::1", "fe80.example", "127.0.0.1")
    assert not any(why_unscoped(Inet(host, 80)) for host in others)
    assert not why_unscoped(UnixPath("fe80::1"))


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("::2", False),
    ],
)  # fmt: skip
def test_loopback(host, answer):
    """Only loopback cannot be reached from elsewhere."""
    assert is_loopback(host) is answer
