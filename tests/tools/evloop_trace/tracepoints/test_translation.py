"""What the kernel's events are in a recording."""

from __future__ import annotations

import socket
import struct

import pytest
from evloop_trace.states.schema import ReceiveReset, Retransmit, RetransmitSynAck, SendReset, Transition
from evloop_trace.tracepoints.translation import Translation, kernel_filter

ENDS = {"sport": "H", "dport": "H", "saddr_v6": "16s", "daddr_v6": "16s"}
STATE, AGAIN, SYN_ACK, SENT, CAME = range(1, 6)
HOST = bytes(10) + b"\xff\xff\x7f\0\0\1"
HOST6 = bytes(15) + b"\1"
CLOSE, LISTEN, SYN_SENT, ESTABLISHED, SYN_RECV, NEW_SYN_RECV, TIME_WAIT = 7, 10, 2, 1, 3, 12, 6
A, B = "127.0.0.1:5", "127.0.0.1:80"


@pytest.fixture
def formats(memory):
    """Of a late kernel."""
    reason = ', __print_symbolic(REC->reason, { 1, "NO_SOCKET" }, { 11, "TCP_ABORT_ON_CLOSE" })'
    addresses = {"saddr": "28s", "daddr": "28s"}
    return {
        "sock/inet_sock_set_state": memory.form(
            STATE, skaddr="Q", oldstate="i", newstate="i", protocol="H", **ENDS
        ),
        "tcp/tcp_retransmit_skb": memory.form(AGAIN, skaddr="Q", state="i", **ENDS),
        "tcp/tcp_retransmit_synack": memory.form(SYN_ACK, skaddr="Q", **ENDS),
        "tcp/tcp_send_reset": memory.form(SENT, skaddr="Q", state="i", reason="i", **addresses) + reason,
        "tcp/tcp_receive_reset": memory.form(CAME, skaddr="Q", **ENDS),
    }


@pytest.fixture
def translate(memory, formats):
    """Translate an event, of port 80 or 81 only."""
    translation = Translation(formats.items(), [80, 81])

    def run(number, layout, *values):
        data = memory.record(number, layout, *values)
        return translation.event(9, data, 0, len(data))

    return run


def change(translate, old, new, sock=100, ends=(5, 80, HOST, HOST), protocol=6):
    """A transition."""
    return translate(STATE, "QiiHHH16s16s", sock, old, new, protocol, *ends)


def sockaddr(host, port):
    """A sockaddr_in or sockaddr_in6, as long as the latter."""
    if ":" in host:
        return struct.pack("=H", socket.AF_INET6) + struct.pack(">HI16sI", port, 0, HOST6, 0)
    return (struct.pack("=H", socket.AF_INET) + struct.pack(">H4s", port, HOST[12:])).ljust(28, b"?")


def test_a_transition(translate):
    """In the RFC's words; addresses as event logs have them."""
    assert change(translate, CLOSE, SYN_SENT) == Transition(9, A, B, 1, "CLOSED", "SYN-SENT")
    found = change(translate, SYN_SENT, ESTABLISHED, ends=(80, 5, HOST6, HOST6))
    assert found == Transition(9, "[::1]:80", "[::1]:5", 1, "SYN-SENT", "ESTABLISHED")


def test_what_is_not_wanted(translate, memory, formats):
    """Another protocol, another port, a state that is not known, another event, one that is too short."""
    assert change(translate, CLOSE, LISTEN, protocol=132) is None
    assert change(translate, CLOSE, LISTEN, ends=(8080, 0, HOST, HOST)) is None
    assert change(translate, 0, LISTEN) is None
    assert change(translate, CLOSE, 13) is None
    assert translate(77, "Q", 1) is None
    assert translate(STATE, "Q", 1) is None
    everything = Translation(formats.items(), [])
    data = memory.record(CAME, "QHH16s16s", 7, 1, 2, HOST, HOST)
    assert everything.event(9, data, 0, len(data)) == ReceiveReset(9, "127.0.0.1:1", "127.0.0.1:2", 1)


def test_sockets_are_numbered(translate):
    """The kernel uses the memory of one for the next, and a copy of a listener is not the listener."""
    steps = [
        (100, CLOSE, LISTEN, 1), (200, LISTEN, SYN_RECV, 2), (200, SYN_RECV, ESTABLISHED, 2),
        (200, ESTABLISHED, CLOSE, 2), (200, LISTEN, SYN_RECV, 3), (100, LISTEN, CLOSE, 1),
        (100, CLOSE, LISTEN, 4),
    ]  # fmt: skip
    for sock, old, new, number in steps:
        assert change(translate, old, new, sock).sock == number


def test_retransmissions(translate):
    """Of a segment, and of the answer to a SYN."""
    assert translate(AGAIN, "QiHH16s16s", 100, ESTABLISHED, 5, 80, HOST, HOST) == Retransmit(
        9, A, B, 1, "ESTABLISHED"
    )
    assert translate(AGAIN, "QiHH16s16s", 100, 99, 5, 80, HOST, HOST) is None
    assert translate(SYN_ACK, "QHH16s16s", 100, 80, 5, HOST, HOST) == RetransmitSynAck(9, B, A, 1)


def test_resets(translate):
    """From a socket, with its reason, or from none: in a handshake and in TIME-WAIT there is none, either."""
    ends = sockaddr("127.0.0.1", 80), sockaddr("127.0.0.1", 5)
    change(translate, ESTABLISHED, CLOSE)
    for sock, state, reason, expected in (
        (100, CLOSE, 11, SendReset(9, B, A, 1, "CLOSED", "TCP_ABORT_ON_CLOSE")),
        (0, 0, 1, SendReset(9, B, A, None, None, "NO_SOCKET")),
        (500, NEW_SYN_RECV, 99, SendReset(9, B, A, None, "SYN-RECEIVED")),
        (500, TIME_WAIT, 1, SendReset(9, B, A, None, "TIME-WAIT", "NO_SOCKET")),
    ):
        assert translate(SENT, "Qii28s28s", sock, state, reason, *ends) == expected
    ends = sockaddr("::1", 80), sockaddr("::1", 5)
    assert translate(SENT, "Qii28s28s", 0, 0, 1, *ends).local == "[::1]:80"
    ends = sockaddr("127.0.0.1", 90), sockaddr("127.0.0.1", 5)
    assert translate(SENT, "Qii28s28s", 0, 0, 1, *ends) is None


def test_a_reset_of_an_earlier_kernel(memory):
    """It says ports as all others do, and no reason."""
    translation = Translation(
        [("tcp/tcp_send_reset", memory.form(SENT, skaddr="Q", state="i", **ENDS))], [80]
    )
    data = memory.record(SENT, "QiHH16s16s", 100, CLOSE, 80, 5, HOST, HOST)
    assert translation.event(9, data, 0, len(data)) == SendReset(9, B, A, 1, "CLOSED", "")


def test_the_kernels_filter(formats):
    """By protocol and ports, where the event has them."""
    state, reset = formats["sock/inet_sock_set_state"], formats["tcp/tcp_send_reset"]
    ports = "(sport == 80 || dport == 80 || sport == 81 || dport == 81)"
    assert kernel_filter(state, [80, 81]) == f"protocol == 6 && {ports}"
    assert kernel_filter(state, []) == "protocol == 6"
    assert kernel_filter(formats["tcp/tcp_receive_reset"], [80, 81]) == ports
    assert kernel_filter(reset, [80]) == "0"
