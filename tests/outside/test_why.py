"""Programs that hang, and the same programs when they do not: each recorded for real, and asked why.

A program's log goes through a pipe, so a test knows that the program has come to a point as soon as it has:
it reads the event.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.diagnosing import as_json, diagnose
from evloop_trace.replay import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Event = dict[str, Any]

SECONDS = 30.0

RECORD = """
import runpy, signal, sys
from evloop.events.recorder import DirectRecorder
from evloop.header import make_header
from evloop.recording import LogOptions
from evloop.events.sinks import FileSink, open_log
from evloop.instrument import install

log, sys.argv = sys.argv[1], sys.argv[2:]
sink = FileSink(open_log(log), log, print)
recorder = DirectRecorder(make_header(LogOptions(log, "prefix", 64), {}, model="run"), sink)
sink.begin()
install(recorder, 64)
reason = "exit"
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except KeyboardInterrupt:
    reason = "KeyboardInterrupt"
recorder.close(reason)
"""


class Program:
    """A recorded Python program, and the events that it has written so far."""

    def __init__(self, folder: Path, name: str, text: str, arguments: tuple[str, ...]) -> None:
        script, self.pipe, self.log = (folder / f"{name}.{end}" for end in ("py", "pipe", "jsonl"))
        script.write_text(text)
        os.mkfifo(self.pipe)
        # Both ways, so that the program finds a reader, and we no end before it has opened its side.
        self.fd = os.open(self.pipe, os.O_RDWR)
        self.popen = subprocess.Popen(
            [sys.executable, "-c", RECORD, str(self.pipe), script.name, *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
        )
        self.events: list[Event] = []
        self._lines: list[bytes] = []
        self._begun = b""

    def until(self, ev: str, **fields: Any) -> Event:
        """Read on, up to an event with these fields."""
        deadline, looked_at = time.monotonic() + SECONDS, 0
        while True:
            for event in self.events[looked_at:]:
                if event["ev"] == ev and all(event.get(key) == value for key, value in fields.items()):
                    return event
            looked_at = len(self.events)
            assert select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0], self.events
            self._read()

    def blocks(self, awaits: str, **fields: Any) -> Event:
        """Read on, until a call sleeps."""
        return self.until("block", awaits=awaits, **fields)

    def past(self, seq: int) -> None:
        """Read on, up to an event with this number or a higher one: of a flood the pipe does not hold all."""
        while self.events[-1]["seq"] < seq:
            assert select.select([self.fd], [], [], SECONDS)[0]
            self._read()

    def go(self) -> None:
        """Let the program go on that waits for a line."""
        self.popen.stdin.write(b"\n")
        self.popen.stdin.flush()

    def so_far(self) -> str:
        """The path of a log with the events that were read until now."""
        self.log.write_bytes(b"".join(self._lines))
        return str(self.log)

    def finish(self) -> str:
        """Wait for its end; the path of its log."""
        while self.popen.poll() is None or select.select([self.fd], [], [], 0)[0]:
            if select.select([self.fd], [], [], 0.01)[0]:
                self._read()
        return self.so_far()

    def _read(self) -> None:
        *lines, self._begun = (self._begun + os.read(self.fd, 65536)).split(b"\n")
        self._lines += [line + b"\n" for line in lines]
        self.events += [json.loads(line) for line in lines]

    def close(self) -> None:
        """Leave nothing behind."""
        self.popen.kill()
        self.popen.wait(SECONDS)
        self.popen.stdin.close()
        os.close(self.fd)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start a recorded program, and have it ended with the test."""
    programs: list[Program] = []

    def start(text: str, *arguments: str, name: str = "") -> Program:
        programs.append(Program(tmp_path, name or f"program{len(programs)}", text, arguments))
        return programs[-1]

    yield start
    for started in programs:
        started.close()


class Answer:
    """What `evloop-trace why` says of logs."""

    def __init__(self, *logs: str, at: int | None = None) -> None:
        problems: list[str] = []
        answer = diagnose(logs, at, Problems(problems.append), kernel=False)
        assert not problems
        self.stuck = answer.verdict.stuck
        self.findings = json.loads(as_json(answer))
        self.kinds = [finding["kind"] for finding in self.findings]

    def __getitem__(self, kind: str) -> Event:
        return next(finding for finding in self.findings if finding["kind"] == kind)


@pytest.fixture
def call() -> Iterator[Callable[..., socket.socket]]:
    """A connection to a port, closed with the test."""
    with contextlib.ExitStack() as stack:

        def connect(port: int, said: bytes = b"") -> socket.socket:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), SECONDS))
            sock.sendall(said)
            return sock

        yield connect


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listener of ours, to which a program can connect."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as sock:
        sock.settimeout(SECONDS)
        yield sock


def hang_up(caller: socket.socket) -> None:
    """Close when the answer is read: bytes that nobody read would make a reset of the end of the stream."""
    assert caller.recv(100)
    caller.close()


def after(program: Program, ev: str, **fields: Any) -> int:
    """The number of the event that follows."""
    return int(program.until(ev, **fields)["seq"]) + 1


def port_of(program: Program, ev: str = "listen") -> int:
    """Where a recorded program listens."""
    return int(program.until(ev)["address"].rpartition(":")[2])


SEQUENTIAL = """
import socket
phone = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
phone.bind(('127.0.0.1', 0))
phone.listen(5)
while True:
    conn, client_addr = phone.accept()
    while True:
        data = conn.recv(1024)
        if len(data) == 0:
            break
        conn.send(data.upper())
    conn.close()
"""


def test_a_caller_who_says_nothing(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """Blocked in recv, and nothing was ever received; when it hangs up the server is idle: no hang."""
    server = program(SEQUENTIAL)
    caller = call(port_of(server))
    block = server.blocks("recv")
    hung = Answer(server.so_far())
    caller.close()
    server.blocks("accept", sock="tcp-1")
    server.until("close")
    server.until("block", seq=block["seq"] + 4)
    log = server.so_far()
    assert (hung.stuck, hung.kinds) == (True, ["recv-silent"])
    finding = hung["recv-silent"]
    assert (finding["thread"], finding["conn"], finding["since"]) == ("", "tcp-2", block["t"])
    assert "program0.py:9" in finding["sentence"]
    assert block["seq"] in finding["evidence"]
    then, idle = Answer(log, at=block["t"] + 1), Answer(log)
    assert (then.stuck, then.kinds) == (False, ["recv-silent"])  # it did not take long
    assert (idle.stuck, idle.kinds) == (False, ["accept-idle"])
    assert "Nobody has called 127.0.0.1:" in idle["accept-idle"]["sentence"]


def test_a_caller_who_was_answered(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """Blocked in recv after an answer: the sentence has both sides' bytes."""
    server = program(SEQUENTIAL)
    caller = call(port_of(server), b"hello")
    assert caller.recv(10) == b"HELLO"
    sent = server.until("send")
    server.until("block", seq=sent["seq"] + 1)
    hung = Answer(server.so_far())
    assert hung.kinds == ["recv-more"]
    assert "has sent 5 B" in hung["recv-more"]["sentence"]
    assert "we have answered: 5 B" in hung["recv-more"]["sentence"]
    assert sent["seq"] in hung["recv-more"]["evidence"]


def test_three_wait_while_one_is_served(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """The queue that the accept saw is told with the connection that keeps the server."""
    server = program(SEQUENTIAL.replace("while True:\n    conn,", "input()\nwhile True:\n    conn,", 1))
    port = port_of(server)
    callers = [call(port) for _ in range(4)]
    server.go()
    first = server.blocks("recv", conn="tcp-2")
    for caller in callers[:3]:
        caller.close()
    last = server.blocks("recv", conn="tcp-5")
    log = server.so_far()
    hung = Answer(log, at=first["t"] + 1)
    assert (
        "Meanwhile 3 finished handshakes wait in tcp-1's queue (backlog 5)" in hung["recv-silent"]["sentence"]
    )
    assert hung.kinds == ["recv-silent"]
    alone = Answer(log)
    assert alone["recv-silent"]["since"] == last["t"]
    assert "Nobody waited in tcp-1's queue" in alone["recv-silent"]["sentence"]


def test_a_client_waits_for_its_answer(program: Callable[..., Program], listener: socket.socket) -> None:
    """It has sent its request and sleeps in recv; a client that is answered ends, and leaves nothing."""
    text = """
import socket, sys
phone = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
phone.send(b'hello')
phone.recv(1024)
phone.close()
"""
    port = str(listener.getsockname()[1])
    client = program(text, port)
    client.blocks("recv")
    hung = Answer(client.so_far())
    assert hung.kinds == ["recv-reply"]
    assert "We have sent 5 B" in hung["recv-reply"]["sentence"]
    listener.accept()[0].close()
    other = program(text, port)
    with listener.accept()[0] as conn:
        assert conn.recv(10) == b"hello"
        conn.sendall(b"HELLO")
        log = other.finish()
    well = Answer(log)
    assert (well.stuck, well.findings) == (False, [])


def test_both_wait_for_the_other_to_begin(program: Callable[..., Program]) -> None:
    """With the logs of both ends a deadlock is told as one, and a client in the queue by its name."""
    server = program(SEQUENTIAL, name="server")
    port = str(port_of(server))
    text = """
import socket, sys
phone = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
phone.recv(1024)
"""
    client = program(text, port, name="client")
    client.blocks("recv")
    server.blocks("recv")
    queued = program(text, port, name="queued")
    queued.blocks("recv")
    logs = [one.so_far() for one in (server, client, queued)]
    hung = Answer(*logs)
    assert hung.kinds == ["recv-deadlock", "recv-deadlock", "recv-silent"]
    ours, theirs, third = hung.findings
    assert "Both wait in recv()" in ours["sentence"]
    assert (
        "Meanwhile 1 finished handshake waits in server:tcp-1's queue (backlog 5): queued:tcp-1"
        in ours["sentence"]
    )
    assert "the main thread of server is in recv() on server:tcp-2" in theirs["sentence"]
    assert list(ours["elsewhere"]) == ["client", "queued"]
    assert "in server:tcp-1's queue" in third["sentence"]
    alone = Answer(logs[0])
    assert alone.kinds == ["recv-silent"]


def test_a_peer_that_does_not_read(program: Callable[..., Program], listener: socket.socket) -> None:
    """A send that sleeps: the peer's window and our buffer are full. Read, and it returns."""
    text = """
import socket, sys
phone = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
phone.sendall(b'x' * 50_000_000)
phone.recv(1)
"""
    client = program(text, str(listener.getsockname()[1]))
    with listener.accept()[0] as conn:
        block = client.blocks("send")
        received = 0
        while received < 50_000_000:
            received += len(conn.recv(1 << 20))
        client.blocks("recv")
        log = client.so_far()
    hung = Answer(log, at=block["t"] + 1)
    assert hung.kinds == ["send-full"]
    assert "does not read" in hung["send-full"]["sentence"]
    assert "send-full" not in Answer(log).kinds


def test_a_datagram_without_an_answer(program: Callable[..., Program]) -> None:
    """Nobody tells an unconnected socket that the port is closed; a connected one is told, and ends."""
    text = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if len(sys.argv) > 2:
    client.connect(('127.0.0.1', int(sys.argv[1])))
    client.send(b'hello')
else:
    client.sendto(b'hello', ('127.0.0.1', int(sys.argv[1])))
try:
    client.recvfrom(1024)
except ConnectionRefusedError:
    pass
client.close()
"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = program(text, str(port))
    client.blocks("recvfrom")
    hung = Answer(client.so_far())
    assert hung.kinds == ["datagram-unanswered"]
    assert f"1 datagram to 127.0.0.1:{port}" in hung["datagram-unanswered"]["sentence"]
    assert "only a connected socket gets ECONNREFUSED" in hung["datagram-unanswered"]["sentence"]
    assert Answer(program(text, str(port), "connected").finish()).findings == []


def test_a_datagram_server_is_idle(program: Callable[..., Program]) -> None:
    """Bound, and no datagram has come: that is how it should be, before the first and after it."""
    server = program("""
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(('127.0.0.1', 0))
while True:
    data, client_addr = server.recvfrom(1024)
    server.sendto(data.upper(), client_addr)
""")
    port = port_of(server, "bind")
    block = server.blocks("recvfrom")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(SECONDS)
        client.send(b"hello")
        assert client.recv(10) == b"HELLO"
    sent = server.until("sendto")
    server.until("block", seq=sent["seq"] + 1)
    log = server.so_far()
    for answer in (Answer(log), Answer(log, at=block["t"] + 1)):
        assert (answer.stuck, answer.kinds) == (False, ["datagram-idle"])


def test_a_syn_that_nobody_answers(
    program: Callable[..., Program], call: Callable[..., Any], listener: socket.socket
) -> None:
    """The queue is full, so the SYN is dropped and connect() sleeps; with room it returns at once."""
    text = """
import socket, sys
phone = socket.socket()
phone.connect(('127.0.0.1', int(sys.argv[1])))
phone.close()
"""
    port = listener.getsockname()[1]
    assert Answer(program(text, str(port)).finish()).findings == []
    client = program(text, str(port))  # the first is still in the queue, which holds one
    client.blocks("connect")
    hung = Answer(client.so_far())
    assert hung.kinds == ["connect-unanswered"]
    assert f"127.0.0.1:{port} has not answered the SYN" in hung["connect-unanswered"]["sentence"]


def test_the_end_of_a_stream_read_again_and_again(
    program: Callable[..., Program], call: Callable[..., Any]
) -> None:
    """recv() = 0, and the program asks on: a spin, with its count. Who stops at the first has none."""
    spins = SEQUENTIAL.replace("            break", "            continue")
    server = program(spins)
    hang_up(call(port_of(server), b"hello"))
    server.past(after(server, "recv", n=0) + 100)
    hung = Answer(server.so_far())
    assert hung.kinds == ["spin-end"]
    assert "has closed, and the program keeps asking" in hung["spin-end"]["sentence"]
    well = program(SEQUENTIAL)
    hang_up(call(port_of(well), b"hello"))
    well.until("block", seq=well.until("close")["seq"] + 1)
    assert Answer(well.so_far()).kinds == ["accept-idle"]


def test_a_socket_that_is_asked_without_waiting(
    program: Callable[..., Program], call: Callable[..., Any]
) -> None:
    """EAGAIN, again and again."""
    server = program("""
import socket
with socket.create_server(('127.0.0.1', 0)) as phone:
    conn = phone.accept()[0]
    conn.setblocking(False)
    while True:
        try:
            conn.recv(10)
        except BlockingIOError:
            pass
""")
    call(port_of(server))
    server.past(after(server, "recv", errno="EAGAIN") + 100)
    hung = Answer(server.so_far())
    assert hung.kinds == ["spin-asking"]
    assert "EAGAIN" in hung["spin-asking"]["sentence"]


CLOSES = """
import socket
with socket.create_server(('127.0.0.1', 0)) as phone:
    conn = phone.accept()[0]
    %s
    phone.accept()
"""


def test_a_connection_that_is_never_closed(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """The peer has finished and we know it: CLOSE-WAIT, until we close."""
    kinds = []
    for then in ("conn.recv(10)", "conn.recv(10); conn.close()"):
        server = program(CLOSES % then)
        call(port_of(server)).close()
        server.until("recv", n=0)
        server.until("block", sock="tcp-1", seq=server.until("recv")["seq"] + 1 + 2 * ("close" in then))
        answer = Answer(server.so_far())
        kinds.append((answer.stuck, answer.kinds))
    assert kinds == [(True, ["close-wait", "accept-idle"]), (False, ["accept-idle"])]


def test_a_connection_closed_with_unread_bytes(
    program: Callable[..., Program], call: Callable[..., Any]
) -> None:
    """The peer gets a reset; that is told, and is no hang. Read before the close, nothing is told."""
    kinds = []
    for then in ("conn.recv(1); conn.close()", "conn.recv(5); conn.close()"):
        server = program(CLOSES % then)
        call(port_of(server), b"hello")
        server.until("block", sock="tcp-1", seq=server.until("close")["seq"] + 1)
        answer = Answer(server.so_far())
        kinds.append((answer.stuck, answer.kinds))
    assert kinds == [(False, ["accept-idle", "ended-badly"]), (False, ["accept-idle"])]


def test_a_half_that_is_closed(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """After shutdown() we wait for the peer's end: in recv(), or with nobody asking for it."""
    kinds = []
    for then in ("conn.shutdown(socket.SHUT_WR); conn.recv(1)", "conn.shutdown(socket.SHUT_WR)"):
        server = program(CLOSES % then)
        caller = call(port_of(server))
        assert caller.recv(1) == b""
        server.until("block", seq=server.until("shutdown")["seq"] + 1)
        answer = Answer(server.so_far())
        kinds.append((answer.stuck, answer.kinds))
    assert kinds == [(True, ["recv-end"]), (True, ["fin-wait", "accept-idle"])]


def test_bytes_that_are_never_sent(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """The kernel took a part, and nobody comes back for the rest; if it took all there is nothing to tell."""
    kinds = []
    for size in (50_000_000, 5):
        server = program(CLOSES % f"conn.setblocking(False); conn.send(b'x' * {size})")
        call(port_of(server))
        server.until("block", seq=server.until("send")["seq"] + 1 + (size > 5))
        answer = Answer(server.so_far())
        kinds.append((answer.stuck, answer.kinds))
    assert kinds == [(True, ["send-lost", "accept-idle"]), (False, ["accept-idle", "unattended"])]


def test_a_program_in_its_own_code(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """No call since the last: it computes, or sleeps where the log does not see it."""
    server = program(CLOSES % "conn.recv(5); input()")
    call(port_of(server), b"hello")
    received = server.until("recv")
    log = server.so_far()
    hung = Answer(log)
    assert hung.kinds == ["own-code"]
    assert "program0.py:5" in hung["own-code"]["sentence"]
    assert hung["own-code"]["evidence"] == [received["seq"]]


def test_threads_are_told_by_name(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """The main thread waits for callers, and that is well; a worker is stuck, another has ended."""
    server = program("""
import socket, threading
def serve(conn):
    while data := conn.recv(1024):
        conn.sendall(data)
    conn.close()
with socket.create_server(('127.0.0.1', 0)) as phone:
    for number in range(2):
        conn = phone.accept()[0]
        threading.Thread(target=serve, args=[conn], name=f'worker-{number}', daemon=True).start()
        del conn
    phone.listen(7)
    phone.accept()
""")
    port = port_of(server)
    call(port).close()
    server.until("close", thread="worker-0")
    call(port)
    server.blocks("recv", thread="worker-1")
    server.until("listen", backlog=7)
    server.blocks("accept", where="program0.py:13")
    hung = Answer(server.so_far())
    assert [(f["kind"], f["thread"]) for f in hung.findings] == [
        ("recv-silent", "worker-1"),
        ("accept-idle", ""),
    ]
    assert "Thread worker-1 has been blocked in recv()" in hung["recv-silent"]["sentence"]


def test_interrupted_by_the_keyboard(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """Ctrl-C ends the wait and the program, and the answer is how it hung until then."""
    server = program(SEQUENTIAL)
    call(port_of(server))
    server.blocks("recv")
    server.popen.send_signal(signal.SIGINT)
    log = server.finish()
    assert server.events[-1]["ev"] == "end"
    hung = Answer(log)
    assert (hung.stuck, hung.kinds) == (True, ["recv-silent"])
    idle = program(SEQUENTIAL)
    idle.blocks("accept")
    idle.popen.send_signal(signal.SIGINT)
    well = Answer(idle.finish())
    assert (well.stuck, well.kinds) == (False, ["accept-idle"])


@pytest.mark.parametrize(
    ("call", "raised", "ends"),
    [
        ('connect_ex(("::1", 1))', "OSError", "EAI_"),
        ('connect(("127.0.0.1", 99999))', "OverflowError", "OverflowError"),
    ],
)
def test_a_connect_that_was_never_made(
    program: Callable[..., Program], call: str, raised: str, ends: str
) -> None:
    """It was announced, and raised: nobody is asked to wait for an answer to a SYN that was not sent."""
    asks = program(f"""
import socket, sys
phone = socket.socket()
try:
    phone.{call}
except {raised}:
    sys.stdin.readline()
""")
    connect = asks.until("connect")
    assert connect["errno"].startswith(ends)
    assert Answer(asks.so_far()).kinds == ["own-code"]


def test_a_poll_that_was_interrupted(program: Callable[..., Program]) -> None:
    """Ctrl-C while it sleeps is how the program hung; of one that goes on nothing is left of it."""
    polls = program("""
import select, signal, socket, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
pair = socket.socketpair()
try:
    select.select([pair[0]], [], [])
except KeyboardInterrupt:
    sys.stdin.readline()
select.select([pair[0]], [], [])
""")
    polls.blocks("poll")
    polls.popen.send_signal(signal.SIGINT)
    assert polls.until("poll")["errno"] == "interrupted"
    assert Answer(polls.so_far()).kinds == ["own-code"]
    polls.go()
    polls.blocks("poll", seq=polls.events[-1]["seq"] + 1)
    polls.popen.send_signal(signal.SIGINT)
    hung = Answer(polls.finish())
    assert (hung.stuck, hung.kinds) == (False, ["poll-idle"])


# -- programs that poll ------------------------------------------------------------------------

LOOP = """
import selectors, socket
R, W = selectors.EVENT_READ, selectors.EVENT_WRITE
sel = selectors.DefaultSelector()
phone = socket.create_server(('127.0.0.1', 0))
sel.register(phone, R)
sel.select()
conn = phone.accept()[0]
conn.setblocking(False)
%s
while True:
    for key, bits in sel.select():
        if key.fileobj is conn:
            %s
"""


def slept(program: Program, seq: int) -> str:
    """The log, when the program sleeps in a call from an event's number on."""
    while not any(event["ev"] == "block" and event["seq"] >= seq for event in program.events):
        program.until("block", seq=len(program.events))
    return program.so_far()


@pytest.mark.parametrize(
    ("ready", "last", "stuck", "kinds"),
    [
        ("conn.send(conn.recv(10))", "send", False, ["poll-idle"]),
        ("conn.recv(10)", "recv", True, ["poll-more", "poll-idle"]),
        ("conn.send(conn.recv(10)); sel.unregister(conn)", "interest", True, ["unwatched", "poll-idle"]),
        ("conn.recv(10); sel.unregister(conn); conn.close()", "close", False, ["poll-idle"]),
    ],
    ids=["answered", "not answered", "forgotten", "closed"],
)
def test_a_connection_in_a_loop(
    program: Callable[..., Program],
    call: Callable[..., Any],
    ready: str,
    last: str,
    stuck: bool,
    kinds: list[str],
) -> None:
    """Watched and answered is well; received and never answered is told, and so is watched no more."""
    server = program(LOOP % ("sel.register(conn, R)", ready))
    call(port_of(server), b"hello")
    begun = after(server, "recv")
    server.until(last, seq=begun + {"recv": -1, "send": 0, "interest": 1, "close": 2}[last])
    answer = Answer(slept(server, begun))
    assert (answer.stuck, answer.kinds) == (stuck, kinds)
    assert "watches tcp-1 for READ" in answer["poll-idle"]["sentence"]


@pytest.mark.parametrize(
    ("first", "kind", "words"),
    [
        ("sel.register(conn, R | W)", "spin-write", "the interest in WRITE was left on"),
        ("sel.register(conn, R)", "spin-ready", "nobody reads it"),
        ("import select, sys\nwhile True: select.select([], [], [], 0)", "spin-poll", "without waiting"),
    ],
)
def test_a_poll_that_never_sleeps(
    program: Callable[..., Program], call: Callable[..., Any], first: str, kind: str, words: str
) -> None:
    """Writable with nothing to send, readable and not read, or never willing to sleep: it goes round."""
    server = program(LOOP % (first, "pass"))
    call(port_of(server), b"hello" if kind == "spin-ready" else b"")
    server.past(after(server, "accept") + 100)
    hung = Answer(server.so_far())
    assert hung.kinds == [kind]
    assert words in hung[kind]["sentence"]


def test_a_poll_of_nothing(program: Callable[..., Program]) -> None:
    """With nothing to watch and no timeout nothing wakes it; with a timeout it is only slow."""
    kinds = []
    for timeout in ("", ", 3600"):
        hung = program(f"import select\nselect.select([], [], []{timeout})")
        hung.blocks("poll")
        answer = Answer(hung.so_far())
        kinds.append((answer.stuck, answer.kinds))
    assert kinds == [(True, ["poll-nothing"]), (False, ["poll-idle"])]


CLIENT = """
import select, socket, sys
phone = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
phone.setblocking(False)
%s
"""


@pytest.mark.parametrize(
    ("text", "stuck", "kinds"),
    [
        ("phone.send(b'x'); select.select([phone], [], [])", True, ["poll-reply", "poll-idle"]),
        ("select.select([phone], [], [])", False, ["poll-idle"]),
        (
            "phone.send(b'x' * 50_000_000); select.select([phone], [phone], [])",
            True,
            ["send-full", "poll-idle"],
        ),
        ("phone.send(b'x' * 50_000_000); select.select([phone], [], [])", True, ["send-lost", "poll-idle"]),
    ],
    ids=["asked", "not asked", "watched for WRITE", "not watched for WRITE"],
)
def test_a_client_that_polls(
    program: Callable[..., Program], listener: socket.socket, text: str, stuck: bool, kinds: list[str]
) -> None:
    """It waits for an answer, for its peer to begin, or for room to send the rest."""
    client = program(CLIENT % text, str(listener.getsockname()[1]))
    conn = listener.accept()[0]
    with conn:
        client.blocks("poll")
        answer = Answer(client.so_far())
    assert (answer.stuck, answer.kinds) == (stuck, kinds)


@pytest.mark.parametrize(
    ("watched", "kind"),
    [("[], [phone], []", "connect-unanswered"), ("[], [], [], 3600", "connect-unwatched")],
)
def test_a_connect_that_goes_on(
    program: Callable[..., Program],
    call: Callable[..., Any],
    listener: socket.socket,
    watched: str,
    kind: str,
) -> None:
    """EINPROGRESS, and the queue is full: who watches for WRITE waits for an answer, others never learn."""
    port = listener.getsockname()[1]
    call(port)
    client = program(f"""
import select, socket
phone = socket.socket()
phone.setblocking(False)
phone.connect_ex(('127.0.0.1', {port}))
select.select({watched})
""")
    client.blocks("poll")
    hung = Answer(client.so_far())
    assert kind in hung.kinds
    assert f"has been connecting to 127.0.0.1:{port}" in hung[kind]["sentence"]


@pytest.mark.parametrize(
    ("mask", "size", "kinds"),
    [
        ("select.EPOLLIN | select.EPOLLET", 2, ["edge-left", "poll-idle"]),
        ("select.EPOLLIN | select.EPOLLET", 9, ["poll-more", "poll-idle"]),
        ("select.EPOLLIN | select.EPOLLONESHOT", 9, ["unwatched", "poll-idle"]),
    ],
)
def test_what_epoll_does_not_repeat(
    program: Callable[..., Program], call: Callable[..., Any], mask: str, size: int, kinds: list[str]
) -> None:
    """Edge-triggered and not read to the end, or armed for one readiness: epoll says no more."""
    server = program(f"""
import select, socket
phone = socket.create_server(('127.0.0.1', 0))
conn = phone.accept()[0]
epoll = select.epoll()
epoll.register(conn, {mask})
epoll.poll()
conn.recv({size})
epoll.poll()
""")
    call(port_of(server), b"hello")
    hung = Answer(slept(server, after(server, "recv")))
    assert hung.kinds == kinds


def test_no_descriptor_for_a_caller(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """accept() fails with EMFILE, the caller stays in the queue, and the listener is ready again."""
    server = program("""
import os, resource, select, socket
phone = socket.create_server(('127.0.0.1', 0))
resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 1, 4096))
while True:
    select.select([phone], [], [])
    try:
        phone.accept()
    except OSError:
        pass
""")
    call(port_of(server))
    server.past(after(server, "accept", errno="EMFILE") + 100)
    hung = Answer(server.so_far())
    assert hung.kinds == ["spin-accept"]
    assert "EMFILE" in hung["spin-accept"]["sentence"]


def test_both_send_and_neither_reads(program: Callable[..., Program]) -> None:
    """Two buffers full, two sends that sleep: each waits for the other to read."""
    server = program(CLOSES % "conn.sendall(b'x' * 50_000_000)", name="server")
    client = program(
        CLIENT.replace("False", "True") % "phone.sendall(b'x' * 50_000_000)", str(port_of(server))
    )
    server.blocks("send")
    client.blocks("send")
    hung = Answer(server.so_far(), client.so_far())
    assert hung.kinds == ["send-deadlock", "send-deadlock"]
    assert "Both wait in send(), and neither reads." in hung.findings[0]["sentence"]


def test_a_connection_that_broke(program: Callable[..., Program], call: Callable[..., Any]) -> None:
    """ECONNRESET, and it is kept open: it is told, though nothing hangs by it."""
    server = program(CLOSES % "\n    try: conn.recv(1)\n    except OSError: pass")
    caller = call(port_of(server))
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    caller.close()
    answer = Answer(slept(server, after(server, "recv")))
    assert (answer.stuck, answer.kinds) == (False, ["accept-idle", "broken"])
    assert "ECONNRESET" in answer["broken"]["sentence"]


# -- our own servers, and the tracer -----------------------------------------------------------


def await_line(log: Path, text: str) -> None:
    """Wait until a log that is being written has it."""
    deadline = time.monotonic() + SECONDS
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()


def test_our_loop_when_it_is_full(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    """The queue that the loop samples, the limit that holds, and after a good end: nothing."""
    server = serve(
        "--tcp",
        "127.0.0.1:0",
        "--max-connections",
        "1",
        "--backlog",
        "2",
        "--log",
        "a.jsonl",
        "--drain-timeout",
        "0.1",
    )
    first = call(server.port(), b"hello")
    assert first.recv(10) == b"HELLO"
    for _ in range(2):
        call(server.port())
    log = server.folder / "a.jsonl"
    await_line(log, '"queued":2')
    full = Answer(str(log))
    assert full.kinds == ["queue", "poll-idle"]
    assert "2 finished handshakes wait in listen-1's queue (backlog 2)" in full["queue"]["sentence"]
    assert "A limit holds" in full["queue"]["sentence"]
    assert "watches tcp-1 for READ" in full["poll-idle"]["sentence"]
    assert server.stop() == 0
    ended = Answer(str(log))
    assert (ended.stuck, ended.kinds) == (False, [])


def test_our_loop_and_a_client_that_does_not_read(
    serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    """It waits for room to answer, and watches for WRITE."""
    server = serve("--tcp", "127.0.0.1:0", "--mode", "echo", "--log", "a.jsonl")
    greedy, log = call(server.port()), server.folder / "a.jsonl"
    greedy.setblocking(False)
    deadline = time.monotonic() + SECONDS
    while "READ|WRITE" not in log.read_text() and time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            greedy.send(b"x" * 100_000)
    assert "READ|WRITE" in log.read_text()
    hung = Answer(str(log))
    assert hung["send-full"]["conn"] == "tcp-1"
    assert "does not read. The poll waits until there is room." in hung["send-full"]["sentence"]


def test_an_unchanged_program_under_the_tracer(
    begin: Callable[..., Any], tmp_path: Path, call: Callable[..., Any]
) -> None:
    """evloop-trace run, killed: the article's server hangs in recv() at its own line."""
    (tmp_path / "server.py").write_text(
        SEQUENTIAL.replace("phone.listen(5)", "phone.listen(5)\nprint(*phone.getsockname(), flush=True)")
    )
    command = [sys.executable, "-P", "-m", "evloop_trace", "run", "--log", "run.jsonl", "server.py"]
    server = begin(*command)
    call(int(server.popen.stdout.readline().split()[1]))
    log = tmp_path / "run.jsonl"
    await_line(log, '"awaits":"recv"')
    os.killpg(server.popen.pid, signal.SIGKILL)
    server.popen.wait(SECONDS)
    hung = Answer(str(log))
    assert hung.kinds == ["recv-silent"]
    assert "server.py:10." in hung["recv-silent"]["sentence"]
