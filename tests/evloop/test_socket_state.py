"""What the system tells of sockets: real ones."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time

from evloop.address import Inet, UnixPath
from evloop.socket_state import (
    BitNames,
    _tcp_state,
    accept_queue,
    errno_name,
    peer_process,
    queue_wait,
    tcp_info,
    unread_bytes,
    unsent_bytes,
)


def test_bytes_unread_and_unsent(kernel, keep):
    """What a close would lose, of both sides."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 1))
    client = keep(kernel.connect(Inet(*listener.getsockname()), 1))
    accepted = keep(kernel.accept(listener)[0])
    client.sendall(b"seven!!")
    accepted.setblocking(True)
    assert accepted.recv(100, socket.MSG_PEEK) == b"seven!!"
    assert unread_bytes(accepted.fileno()) == 7
    assert unread_bytes(client.fileno()) == 0
    assert unsent_bytes(accepted.fileno()) == 0
    ours, theirs = (keep(sock) for sock in kernel.socket_pair())
    ours.send(b"12345")
    assert unread_bytes(theirs.fileno()) == 5
    client.close()
    assert unread_bytes(client.fileno()) is unsent_bytes(client.fileno()) is None


def test_the_accept_queue(kernel, keep, short_dir):
    """How many wait and how many may, of TCP; a Unix listener does not tell, nor a closed one."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    assert accept_queue(listener) == (0, 5)
    for _ in range(3):
        keep(kernel.connect(Inet(*listener.getsockname()), 1))
    assert accept_queue(listener) == (3, 5)
    assert accept_queue(keep(kernel.listen(UnixPath(f"{short_dir}/s"), 1))) is None
    listener.close()
    assert accept_queue(listener) is None


def test_names_of_errnos():
    """As man pages write them, and those that have no name."""
    assert errno_name(errno.ECONNRESET) == "ECONNRESET"
    assert errno_name(99999) == "E99999"
    assert errno_name(None) == "ENone"


def test_how_long_a_connection_waited(kernel, keep, short_dir):
    """The kernel counts in its own ticks, of at most 10 ms; bytes that came meanwhile change nothing."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    began = time.monotonic_ns()
    client = keep(kernel.connect(Inet(*listener.getsockname()), 1))
    while time.monotonic_ns() - began < 60_000_000:
        client.send(b"x")
    accepted = keep(kernel.accept(listener)[0])
    waited = queue_wait(accepted)
    assert 40_000_000 <= waited <= time.monotonic_ns() - began + 10_000_000
    accepted.close()
    assert queue_wait(accepted) is None
    path = keep(kernel.listen(UnixPath(f"{short_dir}/s"), 1))
    assert queue_wait(path) is None


def test_who_is_at_the_other_end(kernel, keep, short_dir):
    """Of a Unix connection; TCP does not tell."""
    address = UnixPath(f"{short_dir}/s")
    listener = keep(kernel.listen(address, 1))
    keep(kernel.connect(address, 1))
    accepted = keep(kernel.accept(listener)[0])
    assert peer_process(accepted) == os.getpid()
    accepted.close()
    assert peer_process(accepted) is None
    assert peer_process(keep(socket.socket())) is None


def test_what_tcp_says(kernel, keep, short_dir):
    """State, round trip and windows of a connection; of a closed or a Unix socket nothing."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    client = keep(kernel.connect(Inet(*listener.getsockname()), 1))
    accepted = keep(kernel.accept(listener)[0])
    accepted.setblocking(True)
    client.sendall(b"seven!!")
    accepted.recv(7)
    ours, theirs = tcp_info(client), tcp_info(accepted)
    assert ours is not None
    assert theirs is not None
    assert (ours.state, ours.bytes_acked, theirs.bytes_received) == ("ESTABLISHED", 8, 7)
    assert 0 < ours.rtt < 10**9
    assert ours.rtt % 1000 == ours.rttvar % 1000 == 0
    assert ours.snd_cwnd > 0
    assert ours.snd_mss > 500
    client.close()
    accepted.recv(1)
    theirs = tcp_info(accepted)
    assert theirs is not None
    assert (theirs.state, theirs.bytes_received) == ("CLOSE-WAIT", 8)
    assert tcp_info(client) is None
    assert tcp_info(keep(kernel.listen(UnixPath(f"{short_dir}/u"), 1))) is None


def test_a_window_that_is_closed(kernel, keep):
    """What could not be sent, why not, and for how long."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    client = keep(kernel.connect(Inet(*listener.getsockname()), 1))
    keep(kernel.accept(listener)[0])
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.send(bytes(1 << 20))
    while (info := tcp_info(client)) is not None and not (info.snd_wnd == 0 and info.rwnd_limited):
        pass
    assert info is not None
    assert info.notsent_bytes > 0


def test_older_kernels_give_less():
    """What they do not tell is absent; what is too short for anything is no answer."""
    told = bytearray(236)
    told[0] = 8
    for at, value in ((68, 45), (100, 3), (144, 7), (228, 100), (232, 200)):
        struct.pack_into("=I", told, at, value)

    def state(size):
        found = _tcp_state(bytes(told[:size]))
        assert found is not None
        return found

    whole = state(236)
    assert (whole.state, whole.rtt, whole.total_retrans) == ("CLOSE-WAIT", 45_000, 3)
    assert (whole.notsent_bytes, whole.snd_wnd, whole.rcv_wnd) == (7, 100, 200)
    assert state(232)[5:7] == (100, None)
    assert state(104) == whole._replace(notsent_bytes=0, snd_wnd=None, rcv_wnd=None)
    assert _tcp_state(bytes(103)) is None
    told[0] = 99
    assert state(236).state == "state 99"


def test_a_connection_that_never_was(keep):
    """Nothing was sent or received, and nothing says when it was."""
    client = keep(socket.socket())
    client.connect_ex(("127.0.0.1", 1))
    info = tcp_info(client)
    assert info is not None
    assert (info.state, info.rtt, info.last_data_sent, info.last_data_recv) == ("CLOSED", 0, 0, 0)


def test_elsewhere_nobody_is_asked(kernel, keep, monkeypatch):
    """The structure is Linux's."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    client = keep(kernel.connect(Inet(*listener.getsockname()), 1))
    monkeypatch.setattr("sys.platform", "darwin")
    assert tcp_info(client) is None


def test_the_names_of_bits():
    """In the order of the table, each combination put together once; what has no name is left out."""
    names = BitNames({"NONE": 0, "IN": 1, "BOTH": 6, "OUT": 4})
    assert [names[mask] for mask in (0, 1, 4, 7, 9)] == ["", "IN", "OUT", "IN|BOTH|OUT", "IN"]
    assert names[7] is names[7]
