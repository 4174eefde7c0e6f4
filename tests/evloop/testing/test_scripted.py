"""The fakes that programs on the loop are tested with."""

from __future__ import annotations

import errno

import pytest

from evloop.address import Inet, UnixPath
from evloop.kernel import IN, READ, WRITE
from evloop.loop.loop import Loop
from evloop.testing import Call, ScriptedKernel, ScriptEndError, failure


@pytest.fixture
def kernel():
    """One."""
    return ScriptedKernel()


def test_answers_in_order_each_once(kernel):
    """Then EAGAIN, as of a quiet socket; every call is noted, those that failed too."""
    sock = kernel.socket(recv=[b"a", failure(errno.ECONNRESET), b"b"], send=[2])
    recv, send = kernel.stream_calls(sock)
    assert recv(10) == b"a"
    with pytest.raises(ConnectionResetError):
        recv(11)
    assert kernel.unused() == {sock.fileno(): {"recv": [b"b"], "send": [2]}}
    assert send(memoryview(b"xyz")) == 2
    assert recv(12) == b"b"
    for call, given in ((recv, 13), (send, b"z")):
        with pytest.raises(BlockingIOError):
            call(given)
    assert kernel.unused() == {}
    fd = sock.fileno()
    assert kernel.calls == [
        Call("recv", fd, (10,)), Call("recv", fd, (11,)), Call("send", fd, (b"xyz",)),
        Call("recv", fd, (12,)), Call("recv", fd, (13,)), Call("send", fd, (b"z",)),
    ]  # fmt: skip


def test_descriptors_are_never_reused(kernel):
    """So that a test can name them."""
    socks = [kernel.socket() for _ in range(3)]
    kernel.close(socks[0], "eof")
    assert len({sock.fileno() for sock in (*socks, kernel.socket())}) == 4
    assert kernel.calls[-1] == Call("close", socks[0].fileno(), ("eof", 0, None))
    assert socks[0].closed


def test_shutdown_succeeds_unless_its_script_says_otherwise(kernel):
    """It is noted either way."""
    sock = kernel.socket(shutdown=[failure(errno.ENOTCONN)])
    with pytest.raises(OSError, match="not connected"):
        kernel.shutdown(sock)
    kernel.shutdown(sock)
    assert [call.name for call in kernel.calls] == ["shutdown", "shutdown"]
    assert kernel.unused() == {}


def test_opening(kernel):
    """What the test has laid out, else something quiet."""
    mine = kernel.socket("127.0.0.1:1")
    kernel.listeners.append(mine)
    address = Inet("127.0.0.1", 1)
    assert kernel.listen(address, 5) is mine
    other = kernel.bind(address)
    assert kernel.address_of(other) == "127.0.0.1:1"
    assert kernel.resolve(address) == [address]
    kernel.remove_path(UnixPath("/x"), kernel.inode_of(UnixPath("/x")))
    assert [call.name for call in kernel.calls] == ["listen", "bind", "unlink"]
    with pytest.raises(BlockingIOError):
        kernel.accept(mine)


def test_datagrams(kernel):
    """Their calls have scripts like the others."""
    sock = kernel.socket(recvfrom=[(b"a", ("::1", 5))], sendto=[1])
    recvfrom, sendto = kernel.datagram_calls(sock, 100)
    assert recvfrom(100) == (b"a", ("::1", 5))
    assert sendto(b"A", ("::1", 5)) == 1
    assert kernel.calls[-1].args == (b"A", ("::1", 5))
    assert kernel.is_local("::1")
    assert not kernel.is_local("203.0.113.1")


def test_the_clock(kernel):
    """It stands still unless it is turned on, or the loop sleeps."""
    loop = Loop(kernel, "epoll")
    start = kernel.now()
    loop.after(2, lambda: None, "")
    kernel.advance(0.5)
    assert kernel.now() - start == 500_000_000
    loop.tick()
    assert kernel.now() - start == 2_000_000_000
    with pytest.raises(ScriptEndError, match="sleep for ever"):
        loop.tick()


def test_a_selector_that_complains(kernel):
    """As epoll does of what is registered twice or not at all."""
    poller = kernel.poller("epoll")
    poller.register(5, READ)
    with pytest.raises(KeyError):
        poller.register(5, READ)
    poller.modify(5, WRITE)
    assert poller.registered == {5: WRITE}
    poller.unregister(5)
    for call in (lambda: poller.modify(5, READ), lambda: poller.unregister(5)):
        with pytest.raises(KeyError):
            call()
    kernel.ready = [[(5, IN)]]
    assert poller.poll(7) == [(5, IN)]
    assert poller.timeouts == [7]
    poller.close()
    assert poller.closed


def test_signals_of_the_test(kernel):
    """They arrive when it says so, once."""
    pipe = kernel.signals(["SIGINT"])
    pipe.arrive("SIGINT")
    assert pipe.drain() == (["SIGINT"], True)
    pipe.alive = False
    assert pipe.drain() == ([], False)
    pipe.close()
    assert pipe.closed
    assert kernel.pipes == [pipe]
