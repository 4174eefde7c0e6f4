"""The kernel's counters, and what a log says that they must be."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.audit.counters import Account, made_up, parse
from evloop_trace.audit.strace import Reader

from evloop.events.schema import (
    Accept,
    Bind,
    Connect,
    Inherit,
    Listen,
    Queue,
    Recv,
    Recvfrom,
    Sendto,
)

SNMP = """\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: ActiveOpens PassiveOpens MaxConn
Tcp: 5 7 -1
Udp: InDatagrams NoPorts
Udp: 3 1
UdpLite: InDatagrams NoPorts
UdpLite: 9 9
TcpExt: ListenOverflows
TcpExt: 2
Udp6InDatagrams                 	4
Ip6InReceives                   	99
"""


def test_the_kernels_tables() -> None:
    """Names and numbers stand on two lines, or on one; UDP's are those of both versions of IP."""
    assert parse(SNMP) == {
        "ActiveOpens": 5, "PassiveOpens": 7, "MaxConn": -1, "InDatagrams": 7, "NoPorts": 1,
        "ListenOverflows": 2,
    }  # fmt: skip


EVENTS: list[Any] = [
    Listen(1, 0, 0, 1, "listen-1", 3, "tcp", "a:1", 5),
    Listen(2, 0, 0, 1, "listen-2", 4, "unix", "/s", 5),
    Bind(3, 0, 0, 1, "udp-1", 5, "udp", "a:1"),
    Accept(4, 1, 1, 1, "listen-1", "tcp-1", 6, queued=2),
    Accept(5, 1, 1, 1, "listen-1", errno="EAGAIN"),
    Accept(6, 1, 1, 1, "listen-2", "unix-1", 7),
    Recv(7, 2, 1, 1, "tcp-1", 6, 9, errno="ECONNRESET"),
    Recv(8, 2, 1, 1, "tcp-1", 6, 9, errno="ECONNRESET"),
    Recvfrom(9, 2, 1, 1, "udp-1", 5, 0, "p"),
    Recvfrom(10, 2, 1, 1, "udp-1", 5, 3, "p", flags="MSG_PEEK"),
    Sendto(11, 2, 1, 1, "udp-1", 5, "p", 3),
    Sendto(12, 2, 1, 1, "udp-1", 5, "p", errno="EAGAIN"),
    Inherit(13, 2, 1, "tcp-2", 8, "tcp"),
    Connect(14, 2, 1, 1, 8, "tcp-2", errno="ECONNREFUSED"),
    Connect(15, 2, 1, 1, 8, "tcp-2", errno="EBADF"),
    Queue(16, 2, 1, "listen-1", 1, 5),
]


@pytest.mark.parametrize(
    ("passive", "datagrams", "agree"),
    [(1, 1, True), (2, 5, True), (3, 1, False), (0, 1, False), (1, 0, False)],
)
def test_what_must_be(passive: int, datagrams: int, agree: bool) -> None:
    """PassiveOpens are the accepts and who still waits; of what clients count as well there may be more."""
    account = Account()
    account.feed(EVENTS)
    grown = {"PassiveOpens": passive, "InDatagrams": datagrams, "OutDatagrams": 1, "ActiveOpens": 1}
    balances = account.balances({**grown, "EstabResets": 1})
    assert [it.log for it in balances] == [1, 1, 1, 1, 1]
    assert all(it.agrees for it in balances) == agree


def test_what_nobody_did_is_not_listed() -> None:
    """A counter that stood still, and of which the log says nothing."""
    assert Account().balances({"PassiveOpens": 0}) == []


@pytest.mark.parametrize(
    ("call", "counter"),
    [
        ("recvfrom(9<TCP:[1]>, 0x7f, 9, 0, NULL, NULL) = -1 ECONNRESET (Reset)", "EstabResets"),
        ("write(9<TCPv6:[1]>, 0x7f, 9) = -1 ECONNRESET (Reset)", "EstabResets"),
        ("connect(9<TCP:[1]>, {sa_family=AF_INET}, 16) = -1 ECONNREFUSED (Refused)", "ActiveOpens"),
        ("connect(9<TCP:[1]>, {sa_family=AF_INET}, 16) = 0", "ActiveOpens"),
        ("recvfrom(9<UDP:[1]>, 0x7f, 9, 0, NULL, NULL) = 5", "InDatagrams"),
        ("sendto(9<UDP:[1]>, 0x7f, 9, 0, NULL, 0) = 9", "OutDatagrams"),
        ("recvfrom(9<UNIX-STREAM:[1]>, 0x7f, 9, 0, NULL, NULL) = -1 ECONNRESET (Reset)", ""),
        ("recvfrom(9<TCP:[1]>, 0x7f, 9, 0, NULL, NULL) = -1 ENOMEM (No memory)", ""),
        ("connect(9<TCP:[1]>, {sa_family=AF_INET}, 16) = -1 ENETUNREACH (No way)", ""),
        ("accept4(9<TCP:[1]>, NULL, NULL, 0) = -1 ECONNABORTED (Aborted)", ""),
    ],
)
def test_what_strace_made_up(call: str, counter: str) -> None:
    """What the log has of it was never done, and so the kernel has not counted it; else it stays compared."""
    reader = Reader()
    reader.feed([f"7 1.000001 {call}", f"7 1.000002 {call} (INJECTED)", f"7 1.000003 {call} (INJECTED)"])
    assert made_up(reader.calls) == ({counter: 2} if counter else {})
