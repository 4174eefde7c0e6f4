"""The blocking client, against servers that answer well, badly, in pieces, or not at all."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from evloop.address import Inet, UnixPath
from evloop.clients import conversation
from evloop.clients.conversation import ClientOptions, parse_target, run
from evloop.errors import AddressError, EvloopError
from evloop.kernel import Kernel

LINGER_RESET = b"\1\0\0\0\0\0\0\0"


class Server:
    """Listens; for each connection one of `acts` is called with the socket, in a thread."""

    def __init__(self, sock, acts):
        self.sock = sock
        self.heard = []
        self.errors = []
        self._acts = acts
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        for act in self._acts:
            try:
                peer = self.sock if self.sock.type == socket.SOCK_DGRAM else self.sock.accept()[0]
                with peer if peer is not self.sock else contextlib.nullcontext():
                    peer.settimeout(10)
                    self.heard.append(act(peer))
            except OSError as error:
                self.errors.append(error)

    def join(self):
        """Wait until it has done all that it was to do."""
        self._thread.join(10)
        assert not self._thread.is_alive()
        assert self.errors == []
        return self.heard


@pytest.fixture
def serve(short_dir):
    """Start such a server; gives it and what to call it on a command line."""
    made = []

    def start(*acts, kind="tcp"):
        family = {"unix": socket.AF_UNIX}.get(kind, socket.AF_INET)
        sock = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        sock.settimeout(10)
        sock.bind(f"{short_dir}/s" if kind == "unix" else ("127.0.0.1", 0))
        if kind != "udp":
            sock.listen(5)
        made.append(Server(sock, acts))
        target = sock.getsockname() if kind == "unix" else f"{kind}:127.0.0.1:{sock.getsockname()[1]}"
        return made[-1], target

    yield start
    for server in made:
        server.join()
        server.sock.close()


def read_all(peer, answer=bytes.upper):
    """Answer until the end of the stream; what was heard, or how it ended."""
    heard = b""
    try:
        while data := peer.recv(1 << 16):
            heard += data
            peer.sendall(answer(data))
    except ConnectionResetError:
        return heard, "reset"
    return heard, "eof"


def hear_one(peer):
    """One message, without an answer; then close."""
    return peer.recv(1 << 16)


def reset(peer):
    """One message, then a reset."""
    data = peer.recv(1 << 16)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    return data


# -- talking ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_messages_and_replies(serve, capsys, kind):
    """Each message is sent when the one before is answered; then the stream ends."""
    server, target = serve(read_all, kind=kind)
    assert run(target, ("hello", "la 哈"), ClientOptions(repeat=2)) == 0
    assert capsys.readouterr().out == "HELLO\nLA 哈\n" * 2
    assert server.join() == [("hellola 哈hellola 哈".encode(), "eof")]


def test_a_reply_in_pieces(serve, capsys):
    """One send is not one recv, and a piece may end within a character."""

    def drip(peer):
        data = peer.recv(1 << 16)
        for n in range(len(data)):
            peer.sendall(data[n : n + 1])
        return data, peer.recv(1)

    server, target = serve(drip)
    assert run(target, ("a哈b",), ClientOptions()) == 0
    assert capsys.readouterr().out == "a哈b\n"
    assert server.join() == [("a哈b".encode(), b"")]


def test_a_large_message(serve, capsys):
    """More than one send takes."""
    server, target = serve(lambda peer: read_all(peer, bytes))
    text = "0123456789" * 100_000
    assert run(target, (text,), ClientOptions()) == 0
    assert capsys.readouterr().out == text + "\n"
    assert server.join() == [(text.encode(), "eof")]


def test_partial_sends(monkeypatch):
    """The kernel takes some bytes at a time, and none is sent twice."""
    taken, answer = [], [b"AB", b"CDE"]

    def send(data):
        taken.append(bytes(data[:2]))
        return len(taken[-1])

    class Partial(Kernel):
        """A kernel that takes two bytes at a time."""

        def connect(self, *_, **__):
            return None

        def stream_calls(self, sock):
            return (lambda _size: answer.pop(0)), send

        def close(self, *_):
            pass

    monkeypatch.setattr(conversation, "Kernel", Partial)
    talk = conversation.Conversation("tcp", Inet("127.0.0.1", 1), ClientOptions())
    assert talk.exchange("abcde") == "ABCDE"
    assert taken == [b"ab", b"cd", b"e"]


def test_what_a_terminal_would_obey(serve, capsys):
    """Control characters of the reply are shown, bytes that are no text too."""

    def hostile(peer):
        data = peer.recv(1 << 16)
        peer.sendall(b"\x1b[2J\xff\x9b\n"[: len(data)])
        return data

    _, target = serve(hostile)
    run(target, ("1234567",), ClientOptions())
    assert capsys.readouterr().out == "\\x1b[2J\\xff\\x9b\n\n"


def test_an_argument_that_is_no_text(serve):
    """Its bytes are sent as they were typed."""
    server, target = serve(read_all)
    run(target, (os.fsdecode(b"\xff\xfe"),), ClientOptions())
    assert server.join() == [(b"\xff\xfe", "eof")]


def test_nothing_to_say(serve, capsys):
    """An empty message puts nothing on a stream: it is not sent, and that is said."""
    server, target = serve(read_all)
    assert run(target, ("", "x"), ClientOptions()) == 0
    out, err = capsys.readouterr()
    assert (out, err.count("an empty line is not sent")) == ("X\n", 1)
    assert server.join() == [(b"x", "eof")]


def test_datagrams(serve, capsys):
    """One of length 0 is sent and answered like the others."""
    server, target = serve(answer_one, answer_one, answer_one, kind="udp")
    assert run(target, ("a", "", "b"), ClientOptions(end="half")) == 0
    assert capsys.readouterr().out == "A\n\nB\n"
    assert server.join() == [b"a", b"", b"b"]


def test_a_datagram_that_is_too_large(serve):
    """A sentence with the limit."""
    _, target = serve(kind="udp")
    with pytest.raises(EvloopError, match="at most 65507 bytes"):
        run(target, ("x" * 65508,), ClientOptions())


# -- asking a person ---------------------------------------------------------------------------


def test_it_asks(serve, capsys, monkeypatch):
    """Until the end of input; an empty line is explained and not sent."""
    lines = iter(["hello", "", "  ", " world "])
    asked = []

    def read(prompt):
        asked.append(prompt)
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    server, target = serve(read_all)
    assert run(target, (), ClientOptions()) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line for line in out if line.isupper()] == ["HELLO", "WORLD"]
    assert sum("an empty line is not sent" in line for line in out) == 2
    assert asked == ["message to send: "] * 5
    assert server.join() == [(b"helloworld", "eof")]


def test_an_empty_line_on_udp(serve, capsys, monkeypatch):
    """It is a datagram."""
    lines = ["", None]

    def read(_prompt):
        if (line := lines.pop(0)) is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", read)

    def answer(sock):
        data, peer = sock.recvfrom(100)
        sock.sendto(b"nothing", peer)
        return data

    server, target = serve(answer, kind="udp")
    assert run(target, (), ClientOptions()) == 0
    assert capsys.readouterr().out == "nothing\n"
    assert server.join() == [b""]


# -- ending ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("end", "ended"), [("fin", "eof"), ("reset", "reset"), ("half", "eof")])
def test_how_it_ends(serve, end, ended):
    """The server reads the end of the stream, or is told of a reset."""
    server, target = serve(read_all)
    assert run(target, ("x",), ClientOptions(end=end)) == 0
    assert server.join() == [(b"x", ended)]


def test_half_closed_it_reads_on(serve, capsys):
    """What the server says after the client's end is printed."""

    def late(peer):
        data = peer.recv(100)
        peer.sendall(b"X")
        end = peer.recv(100)
        peer.sendall(b"and an")
        peer.sendall("other 哈".encode())
        return data, end

    server, target = serve(late)
    assert run(target, ("x",), ClientOptions(end="half")) == 0
    assert capsys.readouterr().out.replace("\n", "") == "Xand another 哈"
    assert server.join() == [(b"x", b"")]


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_half_closed_and_the_server_says_nothing(serve, kind):
    """It waits as long as for a reply, and then says what the server keeps open."""
    done = threading.Event()

    def keeps_open(peer):
        data = peer.recv(100)
        peer.sendall(data)
        done.wait(10)
        return data

    server, target = serve(keeps_open, kind=kind)
    with pytest.raises(EvloopError, match="kept its half of the connection open"):
        run(target, ("x",), ClientOptions(end="half", timeout=0.05))
    done.set()
    assert server.join() == [b"x"]


def test_half_closed_and_reset(serve):
    """An ending with a reason."""

    def act(peer):
        peer.sendall(peer.recv(100))
        assert peer.recv(100) == b""
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)

    _, target = serve(act)
    with pytest.raises(EvloopError, match="reset the connection"):
        run(target, ("x",), ClientOptions(end="half"))


def test_abandoned(serve):
    """It dies without closing anything; its kernel does that, and what was printed is not lost."""
    server, target = serve(read_all)
    code = (
        "from evloop.clients.conversation import ClientOptions, run\n"
        f"run({target!r}, ('x',), ClientOptions(end='abandon'))\n"
        "print('never reached')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)
    assert done.stdout == b"X\n"
    assert server.join() == [(b"x", "eof")]


def test_abandoned_closes_nothing(serve, monkeypatch):
    """The process ends there and then."""
    codes = []

    def end(code):
        codes.append(code)
        raise SystemExit

    monkeypatch.setattr(conversation.os, "_exit", end)
    _, target = serve(read_all)
    with pytest.raises(SystemExit):
        run(target, ("x",), ClientOptions(end="abandon"))
    assert codes == [0]


def test_delay_and_hold(serve, monkeypatch):
    """The one before the first message, the other before the end."""
    slept = []
    monkeypatch.setattr(conversation.time, "sleep", slept.append)
    _, target = serve(read_all)
    run(target, ("x",), ClientOptions(delay=1.5, hold=2.5))
    assert slept == [1.5, 2.5]


def test_interrupted(serve, monkeypatch):
    """The socket is given back (an unclosed one would be a warning, and the test fail)."""

    def interrupt(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(conversation.time, "sleep", interrupt)
    server, target = serve(read_all)
    with pytest.raises(KeyboardInterrupt):
        run(target, ("x",), ClientOptions())
    assert server.join() == [(b"", "eof")]


# -- what goes wrong ---------------------------------------------------------------------------


def test_closed_early(serve):
    """The server went before it had answered."""
    _, target = serve(hear_one)
    with pytest.raises(EvloopError, match="closed the connection before it had answered"):
        run(target, ("x",), ClientOptions())


def test_closed_in_the_middle_of_a_reply(serve):
    """A part of an answer is none."""

    def half(peer):
        data = peer.recv(100)
        peer.sendall(data[:2])
        return data

    _, target = serve(half)
    with pytest.raises(EvloopError, match="before it had answered"):
        run(target, ("abcd",), ClientOptions())


def test_reset_by_the_server(serve):
    """A sentence, not a traceback."""
    _, target = serve(reset)
    with pytest.raises(EvloopError, match=r"127\.0\.0\.1:\d+ reset the connection"):
        run(target, ("x",), ClientOptions())


def test_a_pipe_that_is_broken(serve):
    """A Unix server that has gone is told by the send."""
    gone = threading.Event()

    def leave(peer):
        peer.sendall(peer.recv(100))
        peer.close()
        gone.set()

    _, target = serve(leave, kind="unix")
    talk = conversation.Conversation("unix", UnixPath(target), ClientOptions())
    assert talk.exchange("x") == "x"
    assert gone.wait(10)
    with pytest.raises(EvloopError, match="nobody reads any more"):
        talk.exchange("y")
    talk.close()
    talk.close()


@pytest.mark.parametrize("kind", ["tcp", "unix", "udp"])
def test_no_answer(serve, kind):
    """It waits so long and no longer."""
    done = threading.Event()

    def silent(peer):
        data = peer.recv(100)
        done.wait(10)
        return data

    server, target = serve(silent, kind=kind)
    with pytest.raises(EvloopError, match=r"did not answer within 0\.05 s"):
        run(target, ("x",), ClientOptions(timeout=0.05))
    done.set()
    assert server.join() == [b"x"]


def test_nobody_there(short_dir):
    """Each kind says what to start, or what does not exist."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        with pytest.raises(EvloopError, match=f"evloop serve --tcp 127.0.0.1:{port}"):
            run(f"127.0.0.1:{port}", ("x",), ClientOptions())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        free = taken.getsockname()[1]
    with pytest.raises(EvloopError, match="no server has that UDP port"):
        run(f"udp:127.0.0.1:{free}", ("x",), ClientOptions())
    path = f"{short_dir}/s"
    with pytest.raises(EvloopError, match="does not exist"):
        run(path, ("x",), ClientOptions())
    Kernel().listen(UnixPath(path), 1).close()
    with pytest.raises(EvloopError, match=f"evloop serve --unix {path}"):
        run(path, ("x",), ClientOptions())
    with open(path + "file", "w"):
        pass
    with pytest.raises(EvloopError, match="refuses"):
        run(path + "file", ("x",), ClientOptions())


def test_a_link_local_address_that_names_no_interface():
    """The sentence shows how to name it."""
    for kind in ("tcp", "udp"):
        with pytest.raises(EvloopError, match=r"say on which, as in \[fe80::1%eth0\]:80"):
            run(f"{kind}:[fe80::1]:80", ("x",), ClientOptions())


def test_a_full_queue(short_dir):
    """A Unix server that does not accept: it really waits so long, and there are no packets to be dropped."""
    path = f"{short_dir}/s"
    listener = Kernel().listen(UnixPath(path), 0)
    filler = Kernel().connect(UnixPath(path), 1)
    began = time.monotonic()
    with pytest.raises(EvloopError, match=r"did not accept within 0\.05 s: its queue is full$"):
        run(path, ("x",), ClientOptions(timeout=0.05))
    assert time.monotonic() - began >= 0.04  # the kernel counts in ticks of its own
    filler.close()
    listener.close()


def test_a_handshake_that_nobody_answers(monkeypatch):
    """On TCP nothing tells whether the queue is full, or nobody is there."""

    class Silent(Kernel):
        """A kernel to whose SYN nobody answers."""

        def connect(self, *_, **__):
            raise TimeoutError("timed out")

    monkeypatch.setattr(conversation, "Kernel", Silent)
    with pytest.raises(EvloopError, match=r"within 5 s: its queue may be full, or packets are dropped"):
        run("127.0.0.1:1", ("x",), ClientOptions())


@pytest.fixture
def two_hosts(monkeypatch):
    """Every host has two addresses, as localhost may; which of them were tried."""
    tried = []

    class Two(Kernel):
        """A kernel that resolves so."""

        def resolve(self, address, **_):
            return [address._replace(host="127.0.0.2"), address._replace(host="127.0.0.1")]

        def connect(self, address, timeout, **options):
            tried.append(address.host)
            return super().connect(address, timeout, **options)

    monkeypatch.setattr(conversation, "Kernel", Two)
    return tried


def test_every_address_of_a_host_is_tried(serve, two_hosts):
    """The server may serve the second only."""
    server, target = serve(read_all)
    assert run(target, ("x",), ClientOptions()) == 0
    assert two_hosts == ["127.0.0.2", "127.0.0.1"]
    assert server.join() == [(b"x", "eof")]


def answer_one(sock):
    """One datagram, in upper case."""
    data, peer = sock.recvfrom(1 << 16)
    sock.sendto(data.upper(), peer)
    return data


def test_every_address_of_a_host_is_tried_on_udp(serve, capsys, two_hosts):
    """connect(2) asks nobody there: only the first datagram tells, and it goes to the next."""
    server, target = serve(answer_one, answer_one, kind="udp")
    assert run(target, ("x", "y"), ClientOptions()) == 0
    assert capsys.readouterr().out == "X\nY\n"
    assert two_hosts == ["127.0.0.2", "127.0.0.1"]
    assert server.join() == [b"x", b"y"]


def test_no_address_of_a_host_has_that_udp_port(two_hosts):
    """All were tried, and the sentence is that of one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        free = taken.getsockname()[1]
    with pytest.raises(EvloopError, match=f"127.0.0.1:{free} refuses: no server has that UDP port"):
        run(f"udp:127.0.0.1:{free}", ("x",), ClientOptions())
    assert two_hosts == ["127.0.0.2", "127.0.0.1"]


def test_a_udp_server_that_ends_is_not_sought_elsewhere(serve, monkeypatch):
    """Who has answered is the one; what was said to it is nobody else's."""
    server, target = serve(answer_one, kind="udp")
    tried = []

    class Two(Kernel):
        """A kernel to which every host has two addresses, the right one first."""

        def resolve(self, address, **_):
            return [address, address._replace(host="127.0.0.2")]

        def connect(self, address, timeout, **options):
            tried.append(address.host)
            return super().connect(address, timeout, **options)

    monkeypatch.setattr(conversation, "Kernel", Two)
    talk = conversation.Conversation(*parse_target(target), ClientOptions())
    try:
        assert talk.exchange("x") == "X"
        server.join()
        server.sock.close()
        with pytest.raises(EvloopError, match="no server has that UDP port"):
            talk.exchange("y")
    finally:
        talk.close()
    assert tried == ["127.0.0.1"]


def test_other_failures_have_the_systems_words(monkeypatch):
    """While connecting, sending and reading on."""
    number, failing = 101, []  # ENETUNREACH

    class Failing(Kernel):
        """A kernel that fails where the test says."""

        def connect(self, *_, **__):
            self._fail("connect")

        def stream_calls(self, sock):
            return (lambda _size: self._fail("recv") or b""), lambda data: self._fail("send") or len(data)

        def shutdown(self, sock):
            pass

        def close(self, *_):
            pass

        @staticmethod
        def _fail(what):
            if what in failing:
                raise OSError(number, os.strerror(number))

    monkeypatch.setattr(conversation, "Kernel", Failing)
    for where, words in [
        ("connect", "cannot be connected to: Network is unreachable"),
        ("send", "cannot be talked to: Network is unreachable"),
    ]:
        failing[:] = [where]
        with pytest.raises(EvloopError, match=words):
            run("127.0.0.1:1", ("x",), ClientOptions())
    failing[:] = ["recv"]
    talk = conversation.Conversation("tcp", Inet("127.0.0.1", 1), ClientOptions())
    with pytest.raises(EvloopError, match="Network is unreachable"):
        talk.half_close()


# -- targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("127.0.0.1:80", ("tcp", Inet("127.0.0.1", 80))),
        ("8080", ("tcp", Inet("127.0.0.1", 8080))),
        ("tcp:localhost:80", ("tcp", Inet("localhost", 80))),
        ("udp:[::1]:80", ("udp", Inet("::1", 80))),
        ("unix:name", ("unix", UnixPath("name"))),
        ("/tmp/s", ("unix", UnixPath("/tmp/s"))),
        ("./s", ("unix", UnixPath("./s"))),
        ("s.sock", ("unix", UnixPath("s.sock"))),
        ("@name", ("unix", UnixPath("@name"))),
    ],
)
def test_targets(text, target):
    """What the help names, each told from the others."""
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", "udp:host", "host:port", "unix:", "tcp:/tmp/s"])
def test_no_targets(text):
    """None of these."""
    with pytest.raises(AddressError):
        parse_target(text)
