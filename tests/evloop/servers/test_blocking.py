"""The article's servers, each on real sockets in a thread of the test: who is answered, and who waits."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import threading

import pytest

from evloop.address import Inet, UnixPath
from evloop.kernel import Kernel
from evloop.protocols import PROTOCOLS
from evloop.servers import blocking, conversation, once, sequential, threaded
from evloop.servers.blocking import Line, wait_for_call, wait_for_letter
from evloop.signals import Stopped
from evloop.socket_state import accept_queue
from evloop.testing import failure

SECONDS = 20
ANYWHERE = Inet("127.0.0.1", 0)
STREAMS = {"once": once, "conversation": conversation, "sequential": sequential, "threaded": threaded}


class Running:
    """A server in a thread. Nothing raises `Stopped` into that: `stop` makes the next accept do so."""

    def __init__(self, serve, address, **options):
        self.kernel = StoppableKernel(blocking=True)
        self.said = []
        self.ended = None  # what it raised, if anything
        self.armed = contextlib.nullcontext
        self._opened = threading.Event()
        self._line = Line(**{
            "kernel": self.kernel, "address": address, "backlog": 5, "recv_size": 1024,
            "respond": PROTOCOLS["upper"], "opened": self._on_opened, "report": self.said.append,
            "armed": self._armed, **options,
        })  # fmt: skip
        self._thread = threading.Thread(target=self._run, args=(serve,))
        self._thread.start()
        assert self._opened.wait(SECONDS), self.ended

    def _on_opened(self, sock):
        self.sock = sock
        self.address = sock.getsockname()
        self._opened.set()

    def _armed(self):
        return self.armed()

    def _run(self, serve):
        try:
            serve(self._line)
        except BaseException as error:  # noqa: BLE001 - `Stopped` is one
            self.ended = error
        finally:
            self._opened.set()

    def connect(self):
        """A client."""
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        client = socket.socket(family)
        client.settimeout(SECONDS)
        try:
            client.connect(self.address)
        except BaseException:
            client.close()
            raise
        return client

    def stop(self):
        """As a signal would: out of the call in which the main thread sleeps."""
        self.kernel.stopping = True
        with contextlib.suppress(OSError):  # on UDP it fails, and wakes all the same
            self.sock.shutdown(socket.SHUT_RDWR)
        self.join()

    def join(self):
        """It has ended."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


class StoppableKernel(Kernel):
    """One whose calls raise `Stopped` when they were woken up for that."""

    stopping = False

    def accept(self, listener):
        """As `Kernel`."""
        try:
            accepted = super().accept(listener)
        except OSError:
            if self.stopping:
                raise Stopped("SIGTEST") from None
            raise
        if self.stopping:
            accepted[0].close()
            raise Stopped("SIGTEST")
        return accepted

    def datagram_calls(self, sock, size):
        """As `Kernel`."""
        recvfrom, sendto = super().datagram_calls(sock, size)

        def receive(size):
            data, peer = recvfrom(size)
            if self.stopping:
                raise Stopped("SIGTEST")
            return data, peer

        return receive, sendto


@pytest.fixture
def run(short_dir):
    """Start a server; whatever still runs at the end is stopped, and only then its folder is removed."""
    made = []

    def start(serve, address=ANYWHERE, **options):
        made.append(Running(serve, address, **options))
        return made[-1]

    yield start
    for server in made:
        server.stop()


@pytest.fixture(params=["tcp", "unix"])
def address(request, short_dir):
    """One of each kind of stream."""
    return UnixPath(f"{short_dir}/s") if request.param == "unix" else Inet("127.0.0.1", 0)


def receive(client, size):
    """So many bytes."""
    data = b""
    while len(data) < size:
        piece = client.recv(size - len(data))
        assert piece, f"the stream ended after {len(data)} bytes"
        data += piece
    return data


def exchange(client, message):
    """Say something; the answer."""
    client.sendall(message)
    return receive(client, len(message))


def reset(client):
    """Hang up with a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


# -- streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model", STREAMS)
def test_a_client_is_answered(run, model, address):
    """Each model answers the first one, over TCP and over a Unix socket; the path is gone afterwards."""
    server = run(STREAMS[model].serve, address)
    with server.connect() as client:
        assert exchange(client, "hello la 哈".encode()) == "HELLO LA 哈".encode()
    if model in {"sequential", "threaded"}:
        server.stop()
    server.join()
    if isinstance(address, UnixPath):
        assert not os.path.exists(address.path)


def test_once_answers_once(run):
    """One recv of at most --recv-size, one answer; then it hangs up, and the program is over."""
    server = run(once.serve, recv_size=4)
    with server.connect() as client:
        client.sendall(b"hello")
        assert receive(client, 4) == b"HELL"
        with pytest.raises(ConnectionResetError):  # the o was never read
            client.recv(1)
    server.join()
    assert server.ended is None


def test_conversation_ends_with_its_client(run):
    """As many messages as it likes; then nobody is served any more."""
    server = run(conversation.serve)
    with server.connect() as client:
        assert [exchange(client, text) for text in (b"one", b"two")] == [b"ONE", b"TWO"]
    server.join()
    assert server.ended is None
    with pytest.raises(ConnectionRefusedError):
        server.connect()


@pytest.mark.parametrize("model", ["conversation", "sequential", "threaded"])
def test_a_large_message(run, model, address):
    """A mebibyte is answered whole, in the pieces in which it comes."""
    server = run(STREAMS[model].serve, address)
    said = b"0123456789abcdef" * (1 << 16)
    with server.connect() as client:
        sender = threading.Thread(target=client.sendall, args=(said,))
        sender.start()
        assert receive(client, len(said)) == said.upper()
        sender.join(SECONDS)


@pytest.mark.parametrize("model", STREAMS)
def test_a_client_that_says_nothing(run, model):
    """The end of the stream at once is no reason for anything."""
    server = run(STREAMS[model].serve)
    server.connect().close()
    if model in {"sequential", "threaded"}:
        with server.connect() as client:
            assert exchange(client, b"next") == b"NEXT"
    else:
        server.join()
        assert server.ended is None


@pytest.mark.parametrize("model", STREAMS)
def test_a_client_that_resets(run, model):
    """It is one that has hung up; the next is served, where there is a next."""
    server = run(STREAMS[model].serve)
    reset(server.connect())
    if model in {"sequential", "threaded"}:
        with server.connect() as client:
            assert exchange(client, b"next") == b"NEXT"
    else:
        server.join()
        assert server.ended is None


@pytest.mark.parametrize("model", STREAMS)
def test_a_client_that_does_not_wait_for_its_answer(run, model, address):
    """The answer meets nobody: EPIPE, or a reset."""
    began, go = threading.Event(), threading.Event()

    def respond(data):
        began.set()
        assert go.wait(SECONDS)
        return data

    server = run(STREAMS[model].serve, address, respond=respond)
    client = server.connect()
    client.sendall(b"x" * 1000)
    assert began.wait(SECONDS)
    if isinstance(address, UnixPath):
        client.close()
    else:
        reset(client)
    go.set()
    if model in {"sequential", "threaded"}:
        with server.connect() as other:
            assert exchange(other, b"next") == b"next"
    else:
        server.join()
        assert server.ended is None


# -- who waits -------------------------------------------------------------------------------


def test_the_second_caller_of_a_sequential_server(run):
    """It is connected, it may speak, and nobody answers until the first hangs up."""
    server = run(sequential.serve)
    with server.connect() as first, server.connect() as second:
        assert exchange(first, b"first") == b"FIRST"
        second.sendall(b"second")
        assert accept_queue(server.sock) == (1, 5)
        assert exchange(first, b"again") == b"AGAIN"
        assert is_silent(second)
        assert accept_queue(server.sock) == (1, 5)
        first.close()
        assert receive(second, 6) == b"SECOND"
        assert accept_queue(server.sock) == (0, 5)


def test_callers_beyond_the_queue_hang(run):
    """One is served, backlog + 1 are queued; the next is not refused: its SYN is dropped."""
    server = run(sequential.serve, backlog=2)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(server.connect())
        assert exchange(first, b"x") == b"X"
        for _ in range(3):
            stack.enter_context(server.connect())
        assert accept_queue(server.sock) == (3, 2)
        late = stack.enter_context(socket.socket())
        late.setblocking(False)
        assert late.connect_ex(server.address) == errno.EINPROGRESS
        assert tcp_state(late) == SYN_SENT  # on loopback it would be connected before connect returned
        assert accept_queue(server.sock) == (3, 2)


def test_nobody_waits_for_a_threaded_server(run):
    """Each has a thread of its own, named after it."""
    server = run(threaded.serve)
    with server.connect() as first, server.connect() as second, server.connect() as third:
        clients = (third, first, second)
        assert [exchange(client, b"x") for client in clients] == [b"X"] * 3
        names = {thread.name for thread in threading.enumerate()}
        assert {f"tcp 127.0.0.1:{client.getsockname()[1]}" for client in clients} <= names


def test_threads_of_unix_clients(run, short_dir):
    """They have no address, and get a number."""
    server = run(threaded.serve, UnixPath(f"{short_dir}/s"))
    with server.connect() as first, server.connect() as second:
        assert [exchange(client, b"x") for client in (first, second)] == [b"X"] * 2
        assert {"unix 1", "unix 2"} <= {thread.name for thread in threading.enumerate()}


SYN_SENT = 2  # tcp(7), linux/tcp.h


def tcp_state(sock):
    """TCP_INFO's first byte."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def is_silent(sock):
    """Whether nothing has come."""
    return not select.select([sock], [], [], 0)[0]


# -- ending ----------------------------------------------------------------------------------


def test_a_threaded_server_lets_its_threads_end(run):
    """What has arrived is answered, and then every connection ends."""
    server = run(threaded.serve)
    with server.connect() as first, server.connect() as second:
        assert [exchange(client, b"x") for client in (first, second)] == [b"X"] * 2
        server.stop()
        assert [client.recv(1) for client in (first, second)] == [b"", b""]
    assert server.said == ["stopping: waiting at most 2 s for 2 open connections to end"]


@pytest.mark.parametrize("again", [False, True])
def test_a_thread_that_does_not_end(run, monkeypatch, again):
    """Its client does not read: at the deadline, or at a second signal, it is broken off."""

    @contextlib.contextmanager
    def second_signal():
        if server.kernel.stopping:
            raise Stopped("SIGINT")
        yield

    monkeypatch.setattr(threaded, "DRAIN", 1000.0 if again else 0.01)
    server = run(threaded.serve, respond=lambda data: data * 100_000)
    if again:
        server.armed = second_signal
    with server.connect() as client:
        client.sendall(b"x" * 1000)
        assert receive(client, 1) == b"x"  # its thread sends, more than any buffer holds
        server.stop()
    assert ("SIGINT again: stopping at once" in server.said) == again


def test_a_thread_too_many(run, monkeypatch):
    """The system gives no more threads: that caller is hung up on, and the others are served."""
    server = run(threaded.serve)
    with server.connect() as first:
        assert exchange(first, b"x") == b"X"
        with monkeypatch.context() as patch:
            patch.setattr(threaded.threading.Thread, "start", no_thread)
            with server.connect() as second:
                assert second.recv(1) == b""
        assert exchange(first, b"y") == b"Y"
    assert [sentence for sentence in server.said if "cannot be served" in sentence] == server.said


def no_thread(_thread):
    """As `Thread.start` where the limit is reached."""
    raise RuntimeError("can't start new thread")


# -- accepting -------------------------------------------------------------------------------


def test_accept_is_made_again(monkeypatch):
    """A caller that gave up is skipped, a want of descriptors is waited for, a broken listener is not."""
    answers = [
        failure(errno.ECONNABORTED), failure(errno.EMFILE), ("conn", "caller"), failure(errno.EBADF),
    ]  # fmt: skip
    slept = []

    class Scripted(Kernel):
        """Answers from the list."""

        def accept(self, listener):
            answer = answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer

    monkeypatch.setattr(blocking.time, "sleep", slept.append)
    line = Line(
        Scripted(blocking=True), ANYWHERE, 5, 1024, bytes.upper, print, print, contextlib.nullcontext
    )  # fmt: skip
    assert wait_for_call(line, None) == ("conn", "caller")
    assert slept == [blocking.RETRY_AFTER]
    with pytest.raises(OSError, match="Bad file"):
        wait_for_call(line, None)


def test_a_letter_that_does_not_come(monkeypatch):
    """ICMP's answer to an earlier one: the next. A shortage: the next, a little later. Else nothing comes."""
    errors = [errno.ECONNREFUSED, errno.ENOMEM, errno.ENOBUFS, None, errno.EBADF]
    slept = []

    def recvfrom(size):
        assert size == 1024
        if (number := errors.pop(0)) is not None:
            raise failure(number)
        return b"data", "sender"

    monkeypatch.setattr(blocking.time, "sleep", slept.append)
    assert wait_for_letter(recvfrom, 1024) == (b"data", "sender")
    assert slept == [blocking.RETRY_AFTER] * 2
    with pytest.raises(OSError, match="Bad file"):
        wait_for_letter(recvfrom, 1024)


@pytest.mark.parametrize("model", ["once", "conversation", "sequential"])
def test_a_mailbox_that_is_broken(run, model):
    """The server ends, instead of asking again and again."""

    class Broken(StoppableKernel):
        """One whose datagram sockets are no sockets."""

        def datagram_calls(self, sock, size):
            def recvfrom(_size):
                raise failure(errno.ENOTSOCK)

            return recvfrom, super().datagram_calls(sock, size)[1]

    server = run(STREAMS[model].serve_datagrams, kernel=Broken(blocking=True))
    server.join()
    assert isinstance(server.ended, OSError)


# -- datagrams -------------------------------------------------------------------------------


def postcard(server, data, sock=None):
    """Send a datagram and get one."""
    with sock or socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.settimeout(SECONDS)
        sender.sendto(data, server.address)
        return sender.recv(65535)


def test_one_datagram(run):
    """It is answered, and the program is over; what is longer than --recv-size is cut."""
    server = run(once.serve_datagrams, recv_size=3)
    assert postcard(server, b"abcdef") == b"ABC"
    server.join()
    assert server.ended is None


@pytest.mark.parametrize("model", ["conversation", "sequential"])
def test_datagrams_of_everybody(run, model):
    """Nobody waits for anybody, and one of length 0 is one."""
    server = run(STREAMS[model].serve_datagrams)
    assert [postcard(server, data) for data in (b"a", b"", b"b")] == [b"A", b"", b"B"]


def test_an_answer_that_cannot_be_sent(run):
    """It is lost, and the next is not."""
    answers = [b"x" * 70_000, b"short"]
    server = run(conversation.serve_datagrams, respond=lambda _data: answers.pop(0))
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(b"one", server.address)
    assert postcard(server, b"two") == b"short"
