"""What is rare in real logs: other ends, gaps, inherited sockets, our own loop, moments in the middle.

`tests/outside/test_why.py` asks the same rules about programs that were recorded for real.
"""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.model.diagnosis import Diagnosis, Finding, Present, Seen, Task, Verdict
from evloop_trace.model.diagnosis.words import moment, rate

from evloop.events.reader import Problem
from evloop.events.schema import (
    SCHEMA,
    Accept,
    Bind,
    Block,
    Call,
    Clock,
    Close,
    Connect,
    End,
    Error,
    Event,
    Gap,
    Header,
    Inherit,
    Interest,
    Limit,
    Listen,
    Poll,
    Prepare,
    Queue,
    Recv,
    Recvfrom,
    Refuse,
    Send,
    Sendto,
    Setsockopt,
    Shutdown,
    Socket,
    Unknown,
    Unseen,
)

SERVER, CLIENT = "127.0.0.1:8080", "127.0.0.1:40000"
SECOND = 1_000_000_000
MS = 1_000_000


class Log:
    """Events of one process, a millisecond apart; `t` can be set."""

    def __init__(self, label: str = "", model: str = "run") -> None:
        self.label = label
        self.t = 0
        self.header = Header(0, 0, 0, SCHEMA, 0, 0, 0, 1, [], {}, "epoll", "upper", "prefix", 64, model=model)
        self.events: list[Any] = [self.header]

    def add(self, cls: type[Event], *args: Any, dur: int = 100, **fields: Any) -> Any:
        """The next event."""
        self.t += MS
        took = (dur,) if issubclass(cls, Call) else ()
        event = cls(len(self.events), self.t, 0, *took, *args, **fields)
        self.events.append(event)
        return event

    def listen(self, sock: str = "tcp-1", backlog: int = 5, address: str = SERVER, **fields: Any) -> Any:
        """A listener."""
        return self.add(Listen, sock, 3, "tcp", address, backlog, **fields)

    def accept(self, conn: str = "tcp-2", peer: str = CLIENT, queued: int | None = 0, **fields: Any) -> Any:
        """A connection of the listener."""
        return self.add(Accept, "tcp-1", conn, 4, peer, fields.pop("local", SERVER), queued, **fields)

    def connect(self, conn: str = "tcp-1", local: str = CLIENT, peer: str = SERVER, **fields: Any) -> Any:
        """A connection that we asked for."""
        return self.add(Connect, 4, conn, None, peer, local, **fields)

    def recv(self, conn: str, n: int | None, off: int = 0, size: int = 10, **fields: Any) -> Any:
        """Bytes came."""
        return self.add(Recv, conn, 4, size, n, None if n is None else (off, off + n), **fields)

    def send(self, conn: str, n: int | None, off: int = 0, size: int | None = None, **fields: Any) -> Any:
        """Bytes went."""
        size = n if size is None else size
        return self.add(Send, conn, 4, size, n, None if n is None else (off, off + n), **fields)

    def block(self, awaits: str, conn: str | None = None, sock: str | None = None, **fields: Any) -> Any:
        """A call sleeps."""
        return self.add(Block, awaits, conn, sock, **fields)

    def poll(self, *ready: tuple[str, str], timeout: int | None = None, **fields: Any) -> Any:
        """A poll returned."""
        return self.add(Poll, timeout, "select", list(ready), **fields)

    def watch(self, name: str, old: str = "", new: str = "READ", reason: str = "register") -> Any:
        """A selector was told."""
        conn, sock = (None, name) if name.endswith("-1") else (name, None)
        return self.add(Interest, conn, sock, old, new, reason)

    def end(self, reason: str = "exit") -> Any:
        """The last line."""
        return self.add(End, reason, len(self.events) + 1)


def ask(*logs: Log, at: int | None = None, size: int = 1000) -> Verdict:
    """The verdict, the logs being fed in the order of the events' times."""
    diagnosis = Diagnosis([(log.label, log.header) for log in logs], at)
    lines = sorted(
        (
            (event.t + getattr(event, "dur", 0), number, event)
            for number, log in enumerate(logs)
            for event in log.events
        ),
        key=lambda line: line[:2],
    )
    if len(logs) == 1:
        for start in range(0, len(lines), size):
            diagnosis.feed(0, [event for _, _, event in lines[start : start + size]])
    else:
        for _, number, event in lines:
            diagnosis.feed(number, [event])
    return diagnosis.verdict()


def one(kind: str, *logs: Log, at: int | None = None) -> Finding:
    """The finding of a kind, which must be there."""
    found = [finding for finding in ask(*logs, at=at).findings if finding.kind == kind]
    assert found, [finding.kind for finding in ask(*logs, at=at).findings]
    return found[0]


def kinds(*logs: Log, at: int | None = None) -> list[str]:
    """The kinds of all findings."""
    return [finding.kind for finding in ask(*logs, at=at).findings]


# -- the order of things -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_blocks_do_not_matter(size: int) -> None:
    """However a log is cut into blocks, the answer is the same; what is no event is passed over."""
    log = Log()
    log.listen()
    log.accept()
    log.add(Clock, 0, 0, 0)
    log.add(Setsockopt, 4, "SOL_SOCKET", "SO_REUSEADDR", "1", "tcp-2")
    log.block("recv", "tcp-2")
    verdict = ask(log, size=size)
    assert [(finding.kind, finding.since) for finding in verdict.findings] == [("recv-silent", 5 * MS)]
    assert verdict.summary == ["1 thing hangs; the log has no end (killed, crashed, or still running)"]


def test_lines_that_are_no_events() -> None:
    """A block of broken lines changes nothing, and unknown kinds have no thread."""
    log = Log()
    diagnosis = Diagnosis([("", log.header)])
    diagnosis.feed(0, [Problem(2, "broken", "is not an event")])
    diagnosis.feed(0, [log.header, Unknown(1, 5, 0, "wink", {})])
    verdict = diagnosis.verdict()
    assert (verdict.stuck, verdict.findings) == (False, [])
    assert ask().findings == []


def test_missing_events_are_counted() -> None:
    """Numbers that are left out, and what a gap stands for, are in the summary."""
    log = Log()
    log.listen()
    del log.events[-1:]
    log.events += [
        Listen(3, 10, 0, 1, "tcp-1", 3, "tcp", SERVER, 5),
        Gap(6, 20, 0, 3, "the disk was full"),
        End(7, 30, 0, "exit", 8),
    ]
    assert ask(log).summary == [
        "nothing hangs: the program ended at 0.000 s, and left open: tcp-1 (5 events missing)"
    ]


def test_threads_that_have_nothing_are_forgotten() -> None:
    """A thread for each of a thousand connections does not stay for ever; who waits or holds one does."""
    log = Log()
    log.listen()
    log.block("accept", None, "tcp-1", thread="listens")
    log.accept("tcp-2", thread="holds")
    for number in range(1000):
        conn = f"tcp-{number + 3}"
        log.accept(conn)
        log.recv(conn, 0, thread=f"worker-{number}")
        log.add(Close, 4, "close", conn, thread=f"worker-{number}")
    diagnosis = Diagnosis([("", log.header)])
    diagnosis.feed(0, log.events)
    threads = diagnosis._processes[0].threads
    assert {"", "listens", "holds"} <= set(threads)
    assert len(threads) < 200


# -- waits -------------------------------------------------------------------------------------------


def test_a_handler_in_the_middle_of_a_wait() -> None:
    """What a signal's handler does while its thread sleeps does not end the sleep."""
    log = Log()
    log.accept("tcp-2")
    block = log.block("recv", "tcp-2")
    log.send("tcp-3", 1)
    assert one("recv-silent", log).since == block.t


def test_waits_with_a_timeout() -> None:
    """A call that gave up and is made again has waited since the first time."""
    log = Log()
    log.accept("tcp-2")
    first = log.recv("tcp-2", None, errno="timeout", dur=0)
    log.recv("tcp-2", None, errno="timeout", dur=0)
    log.block("recv", "tcp-2", timeout=SECOND)
    finding = one("recv-silent", log)
    assert finding.since == first.t
    assert finding.sentence.endswith("It has asked 3 times. It gives up after 1.0 s.")


def test_what_was_said_before_a_recv() -> None:
    """Whose turn it is: each order of recv and send has its words, of a server and of a client."""
    told = {}
    for name, moves in {
        "got": [("recv", 5)],
        "got last": [("send", 3), ("recv", 5)],
        "answered": [("recv", 5), ("send", 3)],
        "greeted": [("send", 3)],
    }.items():
        log = Log()
        log.accept("tcp-2")
        for call, n in moves:
            getattr(log, call)("tcp-2", n)
        log.block("recv", "tcp-2")
        told[name] = one("recv-more", log).sentence
    assert "We have sent nothing." in told["got"]
    assert "We have sent 3 B" in told["got last"]
    assert "we have answered: 3 B" in told["answered"]
    assert "We have sent 3 B, the last at 0.002 s; nothing has ever come" in told["greeted"]
    client = Log()
    client.connect()
    client.recv("tcp-1", 5)
    client.send("tcp-1", 3)
    client.block("recv", "tcp-1", call="recv_into")
    assert "and wait for the answer" in one("recv-reply", client).sentence
    assert "recv_into()" in one("recv-reply", client).sentence


def test_waits_that_no_rule_knows() -> None:
    """A call of another kind, or on a socket of which the log knows nothing, is told as it is."""
    log = Log()
    log.block("sendto", None, "udp-1", thread="writer")
    log.block("recv", "tcp-9")
    log.block("wait", thread="third")
    sentences = [finding.sentence for finding in ask(log).findings]
    assert sentences == [
        "Thread writer has been blocked in sendto() on udp-1 since 0.001 s (for 2.0 ms).",
        "The main thread has been blocked in recv() on tcp-9 since 0.002 s (for 1.0 ms).",
        "Thread third has been blocked in wait() since 0.003 s.",
    ]


def test_a_wait_in_the_middle_of_a_log() -> None:
    """At a moment in a call, it is told when the call returned."""
    log = Log()
    log.accept("tcp-2")
    block = log.block("recv", "tcp-2")
    log.events.append(Recv(3, block.t, 0, 5 * SECOND, "tcp-2", 4, 10, 5, (0, 5)))
    finding = one("recv-silent", log, at=block.t + SECOND)
    assert "(for 1.0 s)" in finding.sentence
    assert finding.sentence.endswith("It returned at 5.002 s.")
    assert ask(log, at=block.t + SECOND).summary == ["1 thing hangs at 1.002 s"]
    assert kinds(log, at=block.t - 1) == []


def test_a_moment_before_or_within_a_quick_call() -> None:
    """A thread that has not begun is nowhere; a call that was answered at once is no wait."""
    log = Log()
    log.accept("tcp-2", thread="worker")
    quick = log.recv("tcp-2", 5, thread="worker", dur=100)
    assert kinds(log, at=0) == []
    assert kinds(log, at=quick.t + 50) == []


def test_a_send_that_sleeps() -> None:
    """The bytes of the call and those before it are told, as far as the log has them."""
    log = Log()
    log.accept("tcp-2")
    log.send("tcp-2", 7)
    log.block("send", "tcp-2")
    assert "and the bytes of this call do not fit. 7 B were sent before." in one("send-full", log).sentence


def test_datagrams_that_are_answered_elsewhere() -> None:
    """The log of the other side says whether it arrived; a connected socket would hear of a closed port."""
    server, client = Log("server"), Log("client")
    server.add(Bind, "udp-1", 3, "udp", SERVER)
    client.add(Socket, "udp-1", 4, "udp")
    client.add(Connect, 4, None, "udp-1", SERVER)
    client.add(Connect, 4, None, "udp-1", SERVER, None, "ECONNREFUSED")
    client.add(Sendto, "udp-1", 4, SERVER, None, errno="EAGAIN")
    client.add(Sendto, "udp-1", 4, SERVER, 5)
    client.add(Recvfrom, "udp-1", 4, errno="timeout")
    client.block("recvfrom", None, "udp-1", timeout=SECOND)
    finding = one("datagram-unanswered", client, server)
    assert "There udp-1 has received nothing." in finding.sentence
    assert "ECONNREFUSED: the datagram or its answer was lost" in finding.sentence
    assert "It has asked 2 times." in finding.sentence
    server.t = client.t
    server.add(Recvfrom, "udp-1", 3, 5, CLIENT)
    assert "There udp-1 last received at" in one("datagram-unanswered", client, server).sentence


def test_a_datagram_for_which_there_is_no_room() -> None:
    """A Unix datagram is put into its receiver's own queue, which holds a few; UDP's has left soon."""
    log = Log()
    log.add(Bind, "unix-dgram-1", 3, "unix-dgram", "u.sock")
    log.add(Socket, "unix-dgram-2", 4, "unix-dgram")
    log.block("sendto", None, "unix-dgram-2")
    full = (
        "ither the receiver's queue is full, or our send buffer is, with datagrams that nobody has read yet."
    )
    assert f"E{full}" in one("datagram-full", log).sentence
    log.add(Sendto, "unix-dgram-2", 4, "u.sock", 5)
    log.block("sendto", None, "unix-dgram-2")
    finding = one("datagram-full", log)
    assert finding.stuck
    assert finding.sentence.endswith(
        f"E{full} The last before went to u.sock, at 0.004 s. There unix-dgram-1 has received nothing."
    )
    assert [it.event.seq for it in finding.evidence] == [1, 2, 4, 5]
    log.add(Connect, 4, None, "unix-dgram-2", "v.sock")
    log.block("sendto", None, "unix-dgram-2")
    finding = one("datagram-full", log)
    assert "v.sock does not read: either its queue is full, or our send buffer is, with" in finding.sentence
    assert "There" not in finding.sentence
    log.add(Socket, "unix-dgram-3", 5, "unix-dgram", "unix-dgram-4")
    log.add(Sendto, "unix-dgram-3", 5, None, 5)
    log.block("sendto", None, "unix-dgram-3")
    assert one("datagram-full", log).sentence.endswith(f"E{full}")
    log = Log()
    log.add(Bind, "udp-1", 3, "udp", SERVER)
    log.block("sendto", None, "udp-1")
    assert "Our send buffer is full" in one("datagram-full", log).sentence


@pytest.mark.parametrize("awaits", ["recvfrom", "poll", "wait"])
def test_a_receiver_that_reads_is_not_said_not_to(awaits: str) -> None:
    """A datagram is charged to its sender until it is read, whoever has it: unix(7), SO_SNDBUF."""
    server, client = Log("server"), Log("client")
    server.add(Bind, "unix-dgram-1", 3, "unix-dgram", "u.sock")
    sock = "unix-dgram-1" if awaits == "recvfrom" else None
    watched = [("unix-dgram-1", "READ")] if awaits == "poll" else []
    server.block(awaits, None, sock, watched=watched)
    client.add(Socket, "unix-dgram-2", 4, "unix-dgram")
    client.add(Connect, 4, None, "unix-dgram-2", "u.sock")
    client.block("sendto", None, "unix-dgram-2")
    sentence = one("datagram-full", client, server).sentence
    assert ("u.sock does not read" in sentence) == (awaits == "wait")
    assert ("Either the receiver's queue is full" in sentence) == (awaits != "wait")


def test_an_inherited_datagram_socket_is_idle() -> None:
    """A child that was handed a bound socket waits as its parent did."""
    log = Log()
    log.add(Inherit, "udp-1", 3, "udp", SERVER, CLIENT)
    log.add(Recvfrom, "udp-1", 3, 5)
    log.block("recvfrom", None, "udp-1")
    assert "since that of an unnamed socket" in one("datagram-idle", log).sentence
    assert not ask(log).stuck


def test_an_inherited_listener() -> None:
    """So does one that was handed a listener; its backlog is not known."""
    log = Log()
    log.add(Inherit, "tcp-1", 3, "tcp", SERVER, listens=True)
    log.accept("tcp-2", queued=2, peer="")
    log.block("recv", "tcp-2")
    finding = one("recv-silent", log)
    assert (
        "Meanwhile 2 finished handshakes wait in tcp-1's queue, counted at the last accept"
        in finding.sentence
    )
    log.add(Inherit, "tcp-9", 9, "tcp", CLIENT, SERVER)
    log.block("recv", "tcp-9", thread="other")
    assert kinds(log) == ["recv-silent", "recv-silent"]


# -- connections -------------------------------------------------------------------------------------


def pair() -> tuple[Log, Log]:
    """A server and its client, connected."""
    server, client = Log("server"), Log("client")
    server.listen()
    client.t = server.t
    client.connect()
    server.t = client.t
    server.accept()
    return server, client


def test_the_other_end_was_closed() -> None:
    """The close of the other end is told, where its log has it."""
    server, client = pair()
    server.add(Close, 4, "close", "tcp-2")
    client.t = server.t
    client.block("recv", "tcp-1")
    # The two logs name their sockets alike, so they would be labelled; here the addresses are enough.
    assert "The other end, tcp-2, was closed at" in one("recv-silent", client, server).sentence


def test_the_other_end_has_bytes() -> None:
    """What one end has sent and the other has not read, in both directions, and what its thread does."""
    server, client = pair()
    server.recv("tcp-2", 2)
    server.send("tcp-2", 4)
    client.t = server.t
    client.send("tcp-1", 5)
    client.block("recv", "tcp-1")
    sentence = one("recv-reply", client, server).sentence
    assert "The other end has read 2 B of our 5 B." in sentence
    assert "The other end has sent 4 B, of which we have read 0 B." in sentence
    assert (
        "At the other end the main thread of server is in no socket's call: its last was send()" in sentence
    )


def both_in_recv(to_server: int, to_client: int) -> tuple[Log, Log]:
    """A server that has read a byte, a client that has, and both wait; so many more have been sent."""
    server, client = pair()
    client.send("tcp-1", 1 + to_server)
    server.t = client.t
    server.recv("tcp-2", 1)
    server.send("tcp-2", 1 + to_client)
    client.t = server.t
    client.recv("tcp-1", 1)
    client.block("recv", "tcp-1")
    server.block("recv", "tcp-2")
    return server, client


@pytest.mark.parametrize(("to_server", "to_client"), [(0, 0), (2, 0), (0, 3)])
def test_bytes_that_are_on_their_way_are_no_deadlock(to_server: int, to_client: int) -> None:
    """Both are in recv(), and one of them is about to be woken; the same of a moment in the middle."""
    logs = both_in_recv(to_server, to_client)
    is_deadlock = to_server == to_client == 0
    at = max(log.t for log in logs) + 1
    for log in logs:
        log.t = 5 * SECOND
        log.add(Clock, 0, 0, 0)
    for moment_ in (None, at):
        found = [it for it in ask(*logs, at=moment_).findings if it.kind.startswith("recv")]
        assert len(found) == 2
        assert [it.kind == "recv-deadlock" for it in found] == [is_deadlock] * 2
        assert all(("neither will speak" in it.sentence) == is_deadlock for it in found)


def test_who_was_answered_later_was_in_no_deadlock() -> None:
    """Of a moment in the middle it is known how it went on: another thread has spoken, or nobody has."""
    for fields, is_deadlock in (
        ({"n": 1, "off": (1, 2)}, False),
        ({"n": 0, "off": (1, 1)}, True),
        ({"errno": "interrupted"}, True),
    ):
        server, client = both_in_recv(0, 0)
        at = max(server.t, client.t) + 1
        wait = client.events[-1]
        client.events.append(
            Recv(len(client.events), wait.t, 0, SECOND, "tcp-1", 4, 10, **fields)  # type: ignore[arg-type]
        )
        found = [it.kind for it in ask(server, client, at=at).findings]
        assert found.count("recv-deadlock") == 2 * is_deadlock


@pytest.mark.parametrize("types", [True, False])
def test_another_thread_speaks_for_a_thread_that_reads(types: bool) -> None:
    """As in a chat: one thread reads, and the one that has sent is in input(), where it is in no deadlock."""
    server, client = pair()
    client.send("tcp-1", 1)
    client.block("recv", "tcp-1", thread="reader")
    if not types:
        client.block("recv", "tcp-1")
    server.t = client.t
    server.recv("tcp-2", 1, flags="MSG_WAITALL")
    server.block("recv", "tcp-2")
    found = kinds(client, server)
    assert ("recv-deadlock" in found) != types
    assert ("recv-reply" in found) == types


def test_what_was_read_before_a_socket_was_inherited() -> None:
    """A child that goes on with a connection counts from where its parent was."""
    client, child = Log("client"), Log("child")
    client.connect()
    client.send("tcp-1", 5)
    client.block("recv", "tcp-1")
    child.t = client.t
    child.add(Inherit, "tcp-2", 4, "tcp", SERVER, CLIENT, received=5, sent=0)
    child.block("recv", "tcp-2")
    assert kinds(client, child) == ["recv-deadlock", "recv-deadlock"]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ("READ", "sleeps in poll() and watches tcp-2 for READ."),
        ("", "sleeps in poll() and does not watch tcp-2."),
    ],
)
def test_the_other_end_is_in_a_loop(new: str, words: str) -> None:
    """Whether the poll there watches the connection."""
    server, client = pair()
    server.watch("tcp-2", "", new)
    server.block("poll")
    client.t = server.t
    client.block("recv", "tcp-1")
    assert words in one("recv-silent", client, server).sentence


def test_the_other_end_has_no_thread() -> None:
    """An inherited end that nobody has touched has only its bytes."""
    server, client = Log("server"), Log("client")
    client.connect()
    server.add(Inherit, "tcp-2", 4, "tcp", SERVER, CLIENT)
    client.t = server.t
    client.block("recv", "tcp-1")
    assert "At the other end" not in one("recv-silent", client, server).sentence


def test_a_socketpair() -> None:
    """Two threads at the ends of a pair wait for each other."""
    log = Log()
    log.add(Socket, "unix-1", 3, "unix", "unix-2")
    log.add(Socket, "unix-2", 4, "unix", "unix-1")
    log.block("recv", "unix-1")
    log.block("recv", "unix-2", thread="other")
    assert kinds(log) == ["recv-deadlock", "recv-deadlock"]
    assert "Nothing has ever come from unix-2" in one("recv-deadlock", log).sentence


def test_the_end_of_a_pair_that_is_only_written() -> None:
    """A loop that wakes itself watches one end; the other is told only if it has something to read."""
    log = Log()
    log.add(Socket, "unix-3", 3, "unix", "unix-2")
    log.add(Socket, "unix-2", 4, "unix", "unix-3")
    log.send("unix-2", 1)
    log.recv("unix-3", 1)
    log.watch("unix-3")
    log.block("poll")
    assert kinds(log) == ["poll-idle"]
    log.send("unix-3", 1)
    log.block("poll")
    assert kinds(log) == ["unwatched", "poll-idle"]


def test_sockets_that_are_nothing_yet() -> None:
    """A socket that failed, one of another kind, one that is only made, one that could not be bound."""
    log = Log()
    log.add(Socket, None, None, "tcp", errno="EMFILE")
    log.add(Socket, "other-1", 3, "other")
    log.add(Socket, "tcp-1", 3, "tcp")
    log.add(Bind, "tcp-1", 3, "tcp", SERVER)
    log.add(Bind, "udp-1", 3, "udp", SERVER, errno="EADDRINUSE")
    log.listen(errno="EADDRINUSE")
    log.connect("tcp-1", errno="ECONNREFUSED", local=None)
    log.add(Recv, "tcp-1", 3, 10, errno="ENOTCONN")
    log.add(Socket, "udp-1", 4, "udp")
    log.add(Connect, 4, None, None, SERVER)
    log.add(Refuse, "udp-1", SERVER, "it is ours")
    log.add(Close, 9, "close", sock="other-1")
    log.watch("fd-1")
    log.add(Socket, "unix-3", 5, "unix")
    log.add(Close, 5, "close", "unix-3")
    log.block("poll")
    assert kinds(log) == ["poll-nothing"]


def test_a_connect_that_came_through() -> None:
    """SO_ERROR told that the handshake is over: nothing is to be said of it."""
    log = Log()
    log.connect(errno="EINPROGRESS", local=None)
    log.connect()
    log.block("poll", watched=[("tcp-1", "READ")])
    assert kinds(log) == ["poll-idle"]


def test_a_client_whose_server_is_known() -> None:
    """The queue of the listener says why a SYN has no answer."""
    server, client = Log("server"), Log("client")
    server.listen("tcp-1", backlog=0, address="0.0.0.0:8080")
    server.add(Queue, "tcp-1", 1, 0)
    server.block("recv", "tcp-8", thread="busy")
    client.t = server.t
    client.add(Socket, "tcp-1", 3, "tcp")
    client.block("connect", "tcp-1", peer=SERVER)
    sentence = one("connect-unanswered", client, server).sentence
    assert "127.0.0.1:8080 has not answered the SYN: 1 finished handshake waits" in sentence
    assert "It is full: the SYNs of others are dropped." in sentence
    lost = Log()
    lost.block("connect", "tcp-1")
    lost.add(Socket, "tcp-2", 3, "tcp")
    lost.block("connect", "tcp-2", thread="second")
    assert (
        "The other side has not answered the SYN: its accept queue is full"
        in one("connect-unanswered", lost).sentence
    )


@pytest.mark.parametrize("is_known", [True, False])
def test_a_unix_socket_has_no_packets(is_known: bool) -> None:
    """Its connect(2) sleeps for want of room in the listener's queue, and for nothing else."""
    log = Log()
    if is_known:
        log.add(Listen, "unix-1", 3, "unix", "s.sock", 0)
    log.add(Socket, "unix-2", 4, "unix")
    log.block("connect", "unix-2", peer="s.sock", thread="caller")
    finding = one("connect-unanswered", log)
    assert "s.sock has no room in its accept queue." in finding.sentence
    assert "SYN" not in finding.sentence
    assert [it.event.seq for it in finding.evidence] == ([1, 2, 3] if is_known else [1, 2])


def test_a_queue_is_told_once() -> None:
    """Who calls its own listener is the one who would have to accept."""
    log = Log()
    log.listen(backlog=0)
    log.connect("tcp-2")
    log.add(Socket, "tcp-3", 5, "tcp")
    log.block("connect", "tcp-3", peer=SERVER)
    finding = one("connect-unanswered", log)
    assert finding.sentence.count("1 finished handshake waits in tcp-1's queue (backlog 0): tcp-2.") == 1
    assert finding.sentence.count("It is full") == 1
    assert "Meanwhile" not in finding.sentence
    assert finding.stuck


def test_callers_that_are_known_by_name() -> None:
    """More than three are a number."""
    logs = [Log("server")]
    logs[0].listen()
    logs[0].accept("tcp-2", peer="127.0.0.1:39999")
    for number in range(5):
        client = Log(f"client-{number}")
        client.t = logs[0].t
        client.connect(local=f"127.0.0.1:{40000 + number}")
        logs.append(client)
    logs[0].t = logs[1].t
    logs[0].block("recv", "tcp-2")
    assert "5 finished handshakes wait in tcp-1's queue (backlog 5): tcp-1, tcp-1, tcp-1 and 2 more." in (
        one("recv-silent", *logs).sentence
    )


def test_a_caller_of_an_idle_listener() -> None:
    """It is about to be accepted: the client says that it is in the queue, and the server nothing."""
    server, client = Log("server"), Log("client")
    server.listen()
    server.block("accept", None, "tcp-1")
    client.t = server.t
    client.connect()
    client.block("recv", "tcp-1")
    sentence = one("recv-silent", client, server).sentence
    assert "Nobody has accepted it: it waits in tcp-1's queue." in sentence


def test_who_was_accepted_and_closed_before_its_connect_was_told() -> None:
    """A connect that goes on by itself is told of late; its other end is no more, and it is in no queue."""
    log = Log()
    log.listen()
    log.connect("tcp-2", errno="EINPROGRESS", local=None)
    log.accept("tcp-3", thread="server")
    log.add(Close, 5, "close", "tcp-3", thread="server")
    log.connect("tcp-2")
    log.block("recv", "tcp-2")
    (found,) = [it for it in ask(log).findings if it.stuck]
    assert found.kind == "recv-silent"
    assert "The other end, tcp-3, was closed at" in found.sentence
    assert "queue" not in found.sentence
    log.recv("tcp-2", 0)
    log.add(Close, 4, "close", "tcp-2")
    log.connect("tcp-4")  # the same addresses, and another connection
    log.block("recv", "tcp-4")
    assert "it waits in tcp-1's queue" in one("recv-silent", log).sentence


@pytest.mark.parametrize(("begun", "is_queued"), [(4, True), (1, False)])
def test_who_calls_after_one_with_its_addresses_was_closed(begun: int, is_queued: bool) -> None:
    """The one before has no log: who began to call behind its close waits in the queue."""
    server, client = Log("server"), Log("client")
    server.listen()
    server.accept()
    server.add(Close, 4, "close", "tcp-2")
    server.block("recv", "tcp-9")
    client.t = begun * MS
    client.connect(dur=4 * MS)
    client.t = 10 * MS
    client.block("recv", "tcp-1")
    sentence = one("recv-silent", client, server).sentence
    assert ("Nobody has accepted it: it waits in tcp-1's queue" in sentence) == is_queued
    assert ("The other end, tcp-2, was closed" in sentence) != is_queued


def test_few_of_those_are_kept_who_were_closed() -> None:
    """A server whose clients have no log has a million of them."""
    log = Log()
    log.listen()
    for number in range(3000):
        log.accept(f"tcp-{number + 2}", peer=f"127.0.0.1:{number + 2}")
        log.add(Close, 4, "close", f"tcp-{number + 2}")
    diagnosis = Diagnosis([("", log.header)])
    diagnosis.feed(0, log.events)
    assert len(diagnosis._folds[0]._ends._closed) == 1000


@pytest.mark.parametrize("n", [3, 0])
def test_who_has_received_anything_is_in_no_queue(n: int) -> None:
    """Somebody has accepted it: who did has no log here."""
    log = Log()
    log.listen()
    log.connect("tcp-2")
    log.recv("tcp-2", n)
    log.block("recv", "tcp-2")
    (found,) = [it for it in ask(log).findings if it.stuck]
    assert found.kind == ("recv-more" if n else "recv-silent")
    assert "Nobody has accepted it" not in found.sentence
    assert "1 finished handshake" not in found.sentence


def test_a_queue_that_nobody_serves() -> None:
    """Accepts that came later tell who waited; a queue sampled by the loop and a limit tell why."""
    log = Log(model="loop")
    log.listen()
    log.watch("tcp-1")
    log.add(Limit, "connections", True)
    log.add(Limit, "descriptors", True)
    log.add(Limit, "descriptors", False)
    log.watch("tcp-1", "READ", "")
    asleep = log.poll(timeout=SECOND, dur=SECOND)
    log.t = asleep.t + 2 * SECOND
    log.accept("tcp-3", queued=None, waited=3 * SECOND)
    log.accept("tcp-4", queued=None, waited=1)
    log.add(Accept, "listen-9", "tcp-5", 4, waited=3 * SECOND)
    finding = one("queue", log, at=asleep.t + 1)
    assert finding.sentence == (
        "1 finished handshake waits in tcp-1's queue (backlog 5), as their later accepts tell. The poll does "
        "not watch tcp-1. A limit holds since 0.003 s: connections."
    )
    assert finding.since is None
    log = Log(model="loop")
    log.listen()
    log.add(Queue, "tcp-1", 2, 5)
    log.add(Queue, "listen-9", 2, 5)
    log.add(Prepare, None, "nothing is due")
    assert one("queue", log).sentence == (
        "2 finished handshakes wait in tcp-1's queue (backlog 5), counted when it was looked at, at 0.002 s."
        " The poll does not watch tcp-1."
    )


def test_a_queue_of_which_nothing_is_known() -> None:
    """A thread that has accepted and is busy: whether anybody waits is said to be unknown."""
    log = Log()
    log.listen()
    log.accept("tcp-2", queued=None)
    log.add(Accept, "tcp-1", errno="EAGAIN")
    log.block("recv", "tcp-2")
    assert (
        "Whether anybody waits in tcp-1's queue (backlog 5) is not in the log."
        in one("recv-silent", log).sentence
    )
    assert kinds(log) == ["recv-silent"]


def test_connections_that_need_nothing() -> None:
    """A shutdown that failed or closes the other half, a flag that leaves bytes, a peek: no rule holds."""
    log = Log()
    log.accept("tcp-2")
    log.add(Shutdown, "tcp-2", 4, "SHUT_RD")
    log.add(Shutdown, "tcp-2", 4, "SHUT_WR", errno="ENOTCONN")
    log.recv("tcp-2", 3, flags="MSG_PEEK")
    log.recv("tcp-2", 0, size=0)
    log.send("tcp-2", 0)
    log.watch("tcp-2")
    log.block("poll")
    assert kinds(log) == ["poll-idle"]


def test_a_send_that_failed_for_good() -> None:
    """EPIPE: the connection is broken, and nothing of it is to be sent any more."""
    log = Log()
    log.accept("tcp-2")
    log.send("tcp-2", None, size=9, errno="EAGAIN")
    log.send("tcp-2", None, size=9, errno="EPIPE")
    log.block("accept", None, "tcp-1")
    assert "send() failed with EPIPE" in one("broken", log).sentence


def test_nobody_reads_what_the_peer_sent() -> None:
    """A connection without a thread is stuck if its peer has spoken, as its log tells."""
    server, client = pair()
    server.block("recv", "tcp-9")
    client.t = server.t
    client.send("tcp-1", 5)
    client.block("recv", "tcp-1")
    finding = one("unattended", server, client)
    assert finding.stuck
    assert "Nobody waits for tcp-2" in finding.sentence


# -- polls and the loop ------------------------------------------------------------------------------


def test_our_loop_at_the_end_of_its_log() -> None:
    """Its poll is not in the log before it returns: it sleeps, until what it said before."""
    log = Log(model="loop")
    log.listen("listen-1")
    for number in range(6):
        log.accept(f"tcp-{number + 2}")
        log.watch(f"tcp-{number + 2}")
    log.poll(("listen-1", "IN"), ("evloop", "IN"))
    prepared = log.add(Prepare, None, "until something is ready: no timer is set")
    finding = one("poll-idle", log)
    assert "The loop has slept in poll()" in finding.sentence
    assert "until something is ready: no timer is set, and watches tcp-2 for READ" in finding.sentence
    assert "tcp-5 for READ and 2 more sockets." in finding.sentence
    assert finding.sentence.endswith("Or it hangs in the turn that came next: a turn is written at its end.")
    assert prepared.seq in [found.event.seq for found in finding.evidence]
    assert ask(Log(model="loop")).findings == []


def test_a_loop_that_watches_nothing() -> None:
    """Without a timer it never wakes; with one it does."""
    log = Log(model="loop")
    log.poll()
    assert one("poll-nothing", log).stuck
    log.add(Prepare, 5 * SECOND, "a timer")
    assert not one("poll-idle", log).stuck


def test_our_loop_in_the_middle_of_its_log() -> None:
    """At a moment in a poll it sleeps; in a turn that took long it is in its own code; else it works."""
    log = Log(model="loop")
    log.listen("listen-1")
    log.watch("listen-1")
    asleep = log.poll(dur=SECOND)
    log.t = asleep.t + SECOND
    for_ever = log.poll(dur=SECOND)
    log.t = for_ever.t + 3 * SECOND
    log.poll()
    log.t += SECOND // 100
    log.poll()
    log.end()
    assert "sleeps" not in one("poll-idle", log, at=asleep.t + 5).sentence
    assert "until something is ready" in one("poll-idle", log, at=asleep.t + 5).sentence
    busy = one("own-code", log, at=for_ever.t + 2 * SECOND)
    assert busy.sentence.startswith("The loop has been in no socket's call since 2.004 s (for 1.0 s)")
    assert busy.sentence.endswith("It made its next call at 4.005 s.")
    assert kinds(log, at=for_ever.t + 3 * SECOND + MS + SECOND // 200) == []


def test_a_poll_with_a_timeout_tells_why() -> None:
    """Our loop's poll says what the timeout is for."""
    log = Log(model="loop")
    log.listen("listen-1")
    log.watch("listen-1")
    asleep = log.add(Poll, SECOND, "look at the queue", [], dur=SECOND)
    assert "for at most 1.0 s (look at the queue)" in one("poll-idle", log, at=asleep.t + 5).sentence


def test_spins_end() -> None:
    """Ten calls in vain are a spin, fewer are not; and it is over when the log goes on without it."""
    log = Log()
    log.accept("tcp-2")
    log.watch("tcp-2")
    for _ in range(9):
        log.poll(("tcp-2", "IN"))
    assert "spin-ready" not in kinds(log)
    log.poll(("tcp-2", "IN"))
    assert "spin-ready" in kinds(log)
    log.t += 2 * SECOND
    log.block("poll")
    assert "spin-ready" not in kinds(log)


def test_many_spin() -> None:
    """Who stands behind eight others may be named once more, and so on: that is no spin yet."""
    log = Log()
    names = [f"tcp-{at}" for at in range(2, 102)]
    for name in names:
        log.accept(name)
        log.watch(name)
    for _ in range(9 + 12):
        log.poll(*[(name, "IN") for name in names])
    assert "spin-ready" not in kinds(log)
    log.poll(*[(name, "IN") for name in names])
    assert kinds(log).count("spin-ready") == 100


def test_polls_that_do_not_wait() -> None:
    """A thousand a second and more are a spin; a program that sleeps in between only looks now and then."""
    log = Log()
    for _ in range(20):
        log.poll(timeout=0)
        log.t -= MS // 2
    assert "spin-poll" in kinds(log)
    log = Log()
    for _ in range(20):
        log.poll(timeout=0)
        log.t += MS
    assert kinds(log) == ["own-code"]


# -- threads and ends --------------------------------------------------------------------------------


def test_threads_without_a_call() -> None:
    """The main thread in join() while its workers wait is no hang; an idle worker is not told at all."""
    log = Log()
    log.add(Unseen, "ssl", "it calls the system by itself")
    log.listen()
    log.add(Close, 3, "close", sock="tcp-1")
    log.accept("tcp-2", thread="done")
    log.add(Close, 4, "close", "tcp-2", thread="done")
    assert "What ssl does is not in the log" in (alone := one("own-code", log)).sentence
    assert alone.stuck
    log.block("recv", "tcp-9", thread="worker")
    finding = one("own-code", log)
    assert not finding.stuck
    assert kinds(log) == ["blocked", "own-code"]
    for number in range(20):
        log.add(Unseen, f"module-{number}", "it calls the system by itself")
    assert "module-5" not in one("own-code", log).sentence


TLS = "what {0} sends and receives is encrypted by OpenSSL, which calls the system itself"


def over_tls() -> Log:
    """A server and a client in one program, each in a thread, both past the log from their handshakes on."""
    log = Log()
    log.listen()
    log.accept("tcp-3", thread="srv")
    log.add(Unseen, "tcp-3", TLS.format("tcp-3"), thread="srv", where="talk.py:7")
    log.connect("tcp-2")
    log.add(Unseen, "tcp-2", TLS.format("tcp-2"), where="talk.py:12")
    return log


def test_what_goes_on_past_the_log_is_no_call() -> None:
    """Of a connection over TLS the log has nothing: only what the kernel says of it, and of it alone."""
    verdict = now(over_tls(), client=Seen("ESTABLISHED", 7, 0), accepted=OPEN)
    ours, theirs = [it for it in verdict.findings if it.kind == "own-code"]
    assert (ours.conn, theirs.conn) == ("tcp-2", "tcp-3")
    assert ours.sentence.startswith("The main thread has made no call that is in the log since 0.005 s")
    assert f"The last that is there, at talk.py:12: {TLS.format('tcp-2')}." in ours.sentence
    assert "But the kernel, now: 7 B to read, ESTABLISHED." in ours.sentence
    assert f"The last that is there, at talk.py:7: {TLS.format('tcp-3')}." in theirs.sentence
    assert "The kernel, now: nothing to read" in theirs.sentence
    for found, other in ((ours, "tcp-3"), (theirs, "tcp-2")):
        assert "unseen()" not in found.sentence
        assert other not in found.sentence
        assert {it.event.seq for it in found.evidence} == {5 if found is ours else 3}


def test_the_other_end_is_past_the_log() -> None:
    """Who waits for it reads that, and of no call that there is not."""
    log = over_tls()
    log.block("recv", "tcp-2")
    (found,) = [it for it in ask(log).findings if it.kind == "recv-silent"]
    assert (
        f"At the other end thread srv does what is not in the log: {TLS.format('tcp-3')}." in found.sentence
    )


def test_what_a_thread_has_over_tls_is_told_when_it_has_done_something_else() -> None:
    """The socket's note stays, whatever the thread called last; a module's is for every thread."""
    log = over_tls()
    log.add(Unseen, "zmq", "it calls the system by itself")
    log.add(Setsockopt, 9, "SOL_SOCKET", "SO_REUSEADDR", "1", "tcp-9")
    verdict = now(log)
    ours, theirs = [it for it in verdict.findings if it.kind == "own-code"]
    assert "Its last was setsockopt() on tcp-9" in ours.sentence
    notes = f" {TLS.format('tcp-2').replace('what', 'What')}. What zmq does is not in the log: it calls"
    assert notes in ours.sentence
    assert "tcp-3" not in ours.sentence
    assert "What zmq does" in theirs.sentence


def test_a_program_that_ended() -> None:
    """Nothing hangs; what was open is named, the first few, and an exception that ended it."""
    log = Log()
    log.listen()
    log.accept("tcp-2")
    log.block("recv", "tcp-2", thread="daemon")
    log.add(Error, "server.py:3", "OSError: gone")
    log.add(Close, 4, "exit", "tcp-2")
    log.end("OSError")
    verdict = ask(log)
    assert not verdict.stuck
    by, left = "by OSError: gone (server.py:3)", "and left open: tcp-2, tcp-1"
    assert verdict.summary == [f"nothing hangs: the program ended at 0.006 s {by}, {left}"]
    log = Log()
    for number in range(9):
        log.add(Close, 4, "exit", f"tcp-{number}")
    log.accept("tcp-99")
    log.end()
    assert ask(log).summary[0].endswith("left open: tcp-0, tcp-1, tcp-2, tcp-3, tcp-4 and 5 more")
    log = Log()
    log.add(Error, "server.py:3", "OSError: gone")
    log.end()
    assert ask(log).summary == ["nothing hangs: the program ended at 0.002 s, and left nothing open"]


def test_interrupted_and_ended() -> None:
    """How it hung is told of the moment before, whatever its end closed."""
    log = Log()
    log.accept("tcp-2")
    block = log.block("recv", "tcp-2")
    log.events.append(Recv(3, block.t, 0, SECOND, "tcp-2", 4, 10, errno="interrupted"))
    log.t = block.t + SECOND
    log.add(Close, 4, "exit", "tcp-2")
    log.end("SIGTERM")
    verdict = ask(log)
    assert verdict.summary == ["1 thing hung when it was interrupted at 1.002 s"]
    assert "(for 1.0 s)" in verdict.findings[0].sentence


def test_interrupted_and_gone_on() -> None:
    """A program that waits again after a signal lives with signals: it ended by itself."""
    log = Log()
    log.accept("tcp-2")
    for _ in range(150):
        block = log.block("recv", "tcp-2")
        log.events.append(Recv(len(log.events), block.t, 0, 10, "tcp-2", 4, 10, errno="interrupted"))
    log.block("recv", "tcp-2")
    log.recv("tcp-2", 5)
    log.end()
    assert ask(log).summary[0].startswith("nothing hangs: the program ended")


def test_interrupted_outside_of_a_call() -> None:
    """Ctrl-C in input(): the main thread was in its own code, and nothing else was wrong."""
    log = Log()
    log.connect()
    log.recv("tcp-1", 5)
    log.add(Close, 4, "exit", "tcp-1")
    log.end("KeyboardInterrupt")
    assert kinds(log) == ["own-code"]
    log = Log()
    log.end("KeyboardInterrupt")
    assert ask(log).summary == ["nothing hung when it was interrupted at 0.001 s"]


def test_two_things_hang() -> None:
    """The summary counts."""
    log = Log()
    log.block("recv", "tcp-2")
    log.block("recv", "tcp-3", thread="other")
    assert ask(log).summary[0].startswith("2 things hang;")


def test_resets_are_kept_for_examples() -> None:
    """Of many connections that ended badly the last few are told."""
    log = Log()
    for number in range(30):
        log.accept(f"tcp-{number + 2}")
        log.add(Close, 4, "close", f"tcp-{number + 2}", unread=7)
    log.end()
    verdict = ask(log)
    assert not verdict.stuck
    assert [finding.conn for finding in verdict.findings] == [f"tcp-{number}" for number in range(22, 32)]


def test_who_has_reset_the_connection_is_sent_no_reset() -> None:
    """send() has told us that the peer did: what lies unread then is no end in disorder of ours."""
    log = Log()
    log.accept()
    log.add(Send, "tcp-2", 4, size=5, errno="ECONNRESET")
    log.add(Close, 4, "close", "tcp-2", unread=7)
    log.end()
    assert ask(log).findings == []


def test_a_rate_of_one_moment() -> None:
    """Calls that took no time have a rate all the same."""
    assert rate(2, 0).endswith("times a second")


# -- programs that still run -------------------------------------------------------------------------


UNKNOWN = Task()
OPEN = Seen("ESTABLISHED", 0, 0)


def now(log: Log, ns: int = SECOND, task: Task = UNKNOWN, **seen: Seen) -> Verdict:
    """The verdict `ns` after the last event, when the program is there and the kernel knows these sockets."""
    ends = {"listener": (SERVER, ""), "accepted": (SERVER, CLIENT), "client": (CLIENT, SERVER)}
    diagnosis = Diagnosis([("", log.header)])
    diagnosis.feed(0, log.events)
    diagnosis.look(0, Present(log.t + ns, {ends[name]: it for name, it in seen.items()}, task))
    return diagnosis.verdict()


def test_a_wait_until_now() -> None:
    """How long is told up to the present; a wait that has only just begun is no hang."""
    log = Log()
    log.listen()
    log.accept()
    log.block("recv", "tcp-2")
    verdict = now(log, 33 * SECOND, accepted=OPEN)
    assert verdict.summary == ["1 thing hangs; still running (pid 1) at 33.003 s"]
    (found,) = verdict.findings
    assert "(for 33.0 s)" in found.sentence
    assert "The kernel, now: nothing to read, ESTABLISHED." in found.sentence
    young = now(log, MS, accepted=OPEN)
    assert (young.stuck, [finding.kind for finding in young.findings]) == (False, ["recv-silent"])


def test_the_kernel_does_not_tell_the_interface() -> None:
    """/proc/net/tcp6 has a link-local address without it, and the log with it."""
    log = Log()
    log.accept(peer="[fe80::2%3]:40000", local="[fe80::1%3]:80")
    log.recv("tcp-2", 5)
    diagnosis = Diagnosis([("", log.header)])
    diagnosis.feed(0, log.events)
    seen = {("[fe80::1]:80", "[fe80::2]:40000"): Seen("CLOSE-WAIT", 7, 0)}
    diagnosis.look(0, Present(log.t + SECOND, seen, UNKNOWN))
    (found,) = diagnosis.verdict().findings
    assert "7 B to read, CLOSE-WAIT (the peer has closed)" in found.sentence


def test_a_program_that_is_gone() -> None:
    """It was killed or crashed; who has an end has ended, whatever is there."""
    log = Log()
    diagnosis = Diagnosis([("", log.header)])
    diagnosis.look(0, None)
    assert diagnosis.verdict().summary == ["nothing hangs; the log has no end (killed or crashed)"]
    log.end()
    assert now(log).summary == ["nothing hangs: the program ended at 0.001 s, and left nothing open"]


@pytest.mark.parametrize(
    ("queued", "words"),
    [
        (0, "Nobody waits in tcp-1's queue (backlog 1), as the kernel counts now, at 1.003 s."),
        (1, "Meanwhile 1 finished handshake waits in tcp-1's queue (backlog 1), as the kernel counts now"),
        (2, "at 1.003 s. It is full: the SYNs of others are dropped."),
    ],
)
def test_the_queue_now(queued: int, words: str) -> None:
    """The kernel's count replaces what the last accept saw."""
    log = Log()
    log.listen(backlog=1)
    log.accept(queued=1)
    log.block("recv", "tcp-2")
    (found,) = now(log, listener=Seen("LISTEN", queued, 0)).findings
    assert words in found.sentence


def test_who_is_in_the_queue_now() -> None:
    """If as many are known by name, they are named."""
    server, client = Log("server"), Log("client")
    server.listen()
    client.connect("tcp-1", "127.0.0.1:40009")
    diagnosis = Diagnosis([(log.label, log.header) for log in (server, client)])
    diagnosis.feed(0, server.events)
    diagnosis.feed(1, client.events)
    diagnosis.look(0, Present(SECOND, {(SERVER, ""): Seen("LISTEN", 1, 0)}))
    (found,) = [finding for finding in diagnosis.verdict().findings if finding.kind == "queue"]
    assert found.sentence.endswith("queue (backlog 5), as the kernel counts now, at 1.000 s: tcp-1.")


def test_who_accepts_is_only_busy() -> None:
    """Callers for a moment are no hang, while the program works."""
    log = Log()
    log.listen()
    log.accept()
    log.recv("tcp-2", 5)
    seen = {"listener": Seen("LISTEN", 1, 0), "accepted": Seen("ESTABLISHED", 0, 0)}
    assert now(log, MS, **seen).findings == []
    assert [finding.kind for finding in now(log, **seen).findings] == ["own-code", "queue"]


def test_bytes_that_the_program_does_not_read() -> None:
    """In its own code, with bytes in the kernel: the sentence has them."""
    log = Log()
    log.accept()
    log.send("tcp-2", 5)
    (found,) = now(log, accepted=Seen("CLOSE-WAIT", 7, 3)).findings
    assert found.kind == "own-code"
    assert (
        "But the kernel, now: 7 B to read, 3 B of ours not acknowledged, CLOSE-WAIT (the peer has closed)."
        in found.sentence
    )


def one_thread_polls() -> Log:
    """A server that starts a thread for each caller, as socketserver does, with one that is at work."""
    log = Log()
    log.listen()
    log.accept(thread="srv")
    log.recv("tcp-2", 5, thread="worker")
    log.block("poll", watched=[("tcp-1", "READ")], thread="srv")
    return log


@pytest.mark.parametrize("waits", [False, True])
def test_a_poll_of_another_thread_does_not_watch_what_a_thread_has(waits: bool) -> None:
    """Who serves a connection in a thread of its own needs no poll for it."""
    log = one_thread_polls()
    if waits:
        log.block("recv", "tcp-9", thread="worker")
    verdict = now(log, accepted=Seen("ESTABLISHED", 0, 0))
    found = {(it.kind, it.thread): it.stuck for it in verdict.findings if it.thread}
    last = {("blocked", "worker"): True, ("unattended", "worker"): False}
    assert found == {("poll-idle", "srv"): False, **(last if waits else {("own-code", "worker"): True})}


def test_a_connection_of_nobody_that_no_poll_watches() -> None:
    """The thread that polls had it last, or the one that did is gone."""
    log = one_thread_polls()
    log.recv("tcp-2", 5, thread="srv")
    log.block("poll", watched=[("tcp-1", "READ")], thread="srv")
    assert "thread srv sleeps in poll()" in one("unwatched", log).sentence


@pytest.mark.parametrize(
    ("state", "asked", "inherited"),
    [
        ("ESTABLISHED", SECOND, True),
        ("FIN-WAIT-2", SECOND, True),
        ("CLOSE-WAIT", SECOND, False),
        ("ESTABLISHED", -2 * MS, False),
    ],
)
def test_a_close_that_has_closed_nothing(state: str, asked: int, inherited: bool) -> None:
    """A FIN goes when the last descriptor is closed; a child may have inherited one."""
    server, client = pair()
    client.block("recv", "tcp-1")
    server.t = client.t + 2 * MS
    server.add(Close, 4, "close", "tcp-2")
    diagnosis = Diagnosis([(log.label, log.header) for log in (server, client)])
    diagnosis.feed(0, server.events)
    diagnosis.feed(1, client.events)
    diagnosis.look(1, Present(server.t + asked, {(CLIENT, SERVER): Seen(state, 0, 0)}))
    (found,) = [it for it in diagnosis.verdict().findings if it.log == "client"]
    assert "The other end, tcp-2, was closed at 0.006 s" in found.sentence
    words = (
        "but no FIN has come: something else may have it open: another descriptor of the program, or a child "
        "that inherited it."
    )
    assert (words in found.sentence) == inherited


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Task("R"), "The kernel, now: it runs."),
        (Task("S", "futex_do_wait"), "it waits for a lock, or for another thread (futex_do_wait)."),
        (Task("S", "anon_pipe_read"), "it waits for something to read from a pipe (anon_pipe_read)."),
        (Task("S", "wait_woken"), "The kernel, now: it sleeps (wait_woken)."),
        (Task("S"), "or is in a call such as sleep()"),
        (UNKNOWN, "or is in a call such as sleep()"),
    ],
)
def test_what_a_thread_does_that_is_in_no_call(task: Task, words: str) -> None:
    """The kernel knows in what it sleeps, if we may ask; else nobody does."""
    log = Log()
    log.accept()
    log.recv("tcp-2", 5)
    (found,) = now(log, task=task).findings
    assert found.kind == "own-code"
    assert words in found.sentence
    assert found.sentence.count("own code") == (words == "or is in a call such as sleep()")
    assert "Its last was recv() on tcp-2" in found.sentence


def test_another_thread_is_not_the_one_that_the_kernel_was_asked_for() -> None:
    """The log has no number of it."""
    log = Log()
    log.accept(thread="one")
    log.recv("tcp-2", 5, thread="one")
    (found,) = now(log, task=Task("R")).findings
    assert found.sentence.startswith("Thread one has been in no socket's call since")
    assert "it runs its own code, or" in found.sentence


def test_a_program_that_is_stopped() -> None:
    """What its threads wait for would come to nothing."""
    log = Log()
    log.listen()
    log.accept()
    over = moment(log.t)
    log.block("recv", "tcp-2")
    verdict = now(log, task=Task("T", "do_signal_stop"), accepted=OPEN)
    assert verdict.summary == [f"1 thing hangs; stopped by a signal (pid 1) at {moment(log.t + SECOND)}"]
    (found,) = verdict.findings
    assert (found.kind, found.thread, found.since) == ("stopped", None, None)
    assert "until `kill -CONT 1`, or `fg`" in found.sentence
    assert found.sentence.endswith(f"Its last call was over at {over}.")


def test_the_other_end_is_stopped() -> None:
    """Whoever waits for it is in no deadlock: it may go on, and speak."""
    server, client = both_in_recv(0, 0)
    diagnosis = Diagnosis([(log.label, log.header) for log in (server, client)])
    diagnosis.feed(0, server.events)
    diagnosis.feed(1, client.events)
    diagnosis.look(0, Present(SECOND, {}, Task("T")))
    diagnosis.look(1, Present(SECOND, {}))
    found = {it.log: it for it in diagnosis.verdict().findings}
    assert {log: it.kind for log, it in found.items()} == {"server": "stopped", "client": "recv-more"}
    assert "At the other end server is stopped by a signal." in found["client"].sentence
    assert "neither will speak" not in found["client"].sentence


@pytest.mark.parametrize(
    ("seen", "theirs", "after", "in_call"),
    [
        (Seen("ESTABLISHED", 0, 0), Seen("ESTABLISHED", 0, 0), SECOND, True),
        (Seen("ESTABLISHED", 0, 0), Seen("ESTABLISHED", 0, 0), MS, False),
        (Seen("ESTABLISHED", 0, 0), Seen("ESTABLISHED", 0, 8), SECOND, False),
        (Seen("ESTABLISHED", 0, 0), None, SECOND, False),
        (Seen("ESTABLISHED", 8, 0), Seen("ESTABLISHED", 0, 0), SECOND, False),
        (Seen("CLOSE-WAIT", 0, 0), Seen("FIN-WAIT-2", 0, 0), SECOND, False),
        (None, Seen("ESTABLISHED", 0, 0), SECOND, False),
    ],
)
@pytest.mark.parametrize(("before", "flags"), [(0, ""), (5, "MSG_NOSIGNAL"), (0, "MSG_OOB|MSG_NOSIGNAL")])
def test_what_has_come_and_was_not_returned(
    before: int, flags: str, seen: Seen | None, theirs: Seen | None, after: int, in_call: bool
) -> None:
    """With MSG_WAITALL the kernel gives the call what comes, and the program nothing before all is there.

    What is out of band is none of the stream, and stays where it is: tcp(7).
    """
    server, client = pair()
    client.send("tcp-1", before + 8, flags=flags)
    client.block("recv", "tcp-1")
    server.t = client.t
    if before:
        server.recv("tcp-2", before)
    wait = server.block("recv", "tcp-2", size=10)
    diagnosis = Diagnosis([(log.label, log.header) for log in (server, client)])
    diagnosis.feed(0, server.events)
    diagnosis.feed(1, client.events)
    diagnosis.look(0, Present(wait.t + after, {} if seen is None else {(SERVER, CLIENT): seen}))
    diagnosis.look(1, Present(wait.t + after, {} if theirs is None else {(CLIENT, SERVER): theirs}))
    (found,) = [it for it in diagnosis.verdict().findings if it.log == "server" and "recv" in it.kind]
    came = "5 B have been returned" if before else "Nothing has been returned"
    assert came in found.sentence
    assert "nothing has ever come" not in found.sentence.lower()
    assert "nothing since" not in found.sentence
    assert f"The other end has sent {before + 8} B, of which we have read {before} B." in found.sentence
    words = (
        "8 B of it have come and were not returned to this program: the call keeps them until it has all of "
        "its 10 B (MSG_WAITALL), or another process has read them."
    )
    assert (words in found.sentence) == (in_call and "MSG_OOB" not in flags)


def test_what_has_come_to_an_end_that_has_finished() -> None:
    """That we have said our last is told, and not that the peer is silent."""
    server, client = pair()
    client.add(Shutdown, "tcp-1", 4, "SHUT_WR")
    client.block("recv", "tcp-1")
    server.t = client.t
    server.send("tcp-2", 4)
    sentence = one("recv-end", client, server).sentence
    assert "Nothing has been returned. We have sent nothing, and have finished. The other end has" in sentence


def test_bytes_that_only_the_kernel_knows_of() -> None:
    """Something else may have sent them: the log of whoever did is not complete."""
    server, client = both_in_recv(0, 0)
    diagnosis = Diagnosis([(log.label, log.header) for log in (server, client)])
    diagnosis.feed(0, server.events)
    diagnosis.feed(1, client.events)
    diagnosis.look(0, Present(SECOND, {(SERVER, CLIENT): Seen("ESTABLISHED", 7, 0)}))
    assert [it.kind for it in diagnosis.verdict().findings] == ["recv-more", "recv-more"]


def test_who_calls_a_program_that_is_stopped() -> None:
    """They wait in its queue."""
    log = Log()
    log.listen()
    log.accept()
    verdict = now(log, task=Task("T"), listener=Seen("LISTEN", 2, 0))
    assert [found.kind for found in verdict.findings] == ["stopped", "queue"]


def test_a_program_that_is_stopped_before_it_has_done_anything() -> None:
    """There is no call to tell of."""
    (found,) = now(Log(), task=Task("T")).findings
    assert found.sentence.endswith("or `fg` in its terminal.")
    assert found.evidence == ()


@pytest.mark.parametrize(
    ("seen", "stuck", "words"),
    [
        (OPEN, False, "The kernel, now: nothing to read, ESTABLISHED."),
        (Seen("ESTABLISHED", 1, 0), True, "But the kernel, now: 1 B to read"),
        (Seen("CLOSE-WAIT", 0, 0), True, "But the kernel, now: nothing to read, CLOSE-WAIT"),
    ],
)
def test_a_connection_that_nobody_attends_to(seen: Seen, stuck: bool, words: str) -> None:
    """That its peer has spoken, or has closed, makes a hang of it; nobody's log is needed."""
    log = Log()
    log.listen()
    log.accept()
    log.block("accept", None, "tcp-1")
    verdict = now(log, accepted=seen)
    (found,) = [finding for finding in verdict.findings if finding.kind == "unattended"]
    assert (found.stuck, verdict.stuck) == (stuck, stuck)
    assert words in found.sentence


def test_an_end_that_was_read_is_no_news() -> None:
    """CLOSE-WAIT is what the rule says itself."""
    log = Log()
    log.accept()
    log.recv("tcp-2", 0)
    log.block("wait")
    found = now(log, accepted=Seen("CLOSE-WAIT", 0, 0)).findings[-1]
    assert found.kind == "close-wait"
    assert "The kernel, now: nothing to read, CLOSE-WAIT (the peer has closed)." in found.sentence
    assert "But" not in found.sentence


def test_whether_an_edge_left_something() -> None:
    """The kernel knows: nothing was left, or there it is."""
    log = Log()
    log.accept()
    log.watch("tcp-2", reason="edge-triggered")
    log.recv("tcp-2", 2, size=2)
    log.block("poll", watched=[("tcp-2", "READ")])
    kinds = [
        [finding.kind for finding in now(log, accepted=Seen("ESTABLISHED", unread, 0)).findings]
        for unread in (0, 3)
    ]
    assert kinds == [["poll-more", "poll-idle"], ["edge-left", "poll-idle"]]


def test_room_that_is_there_again() -> None:
    """Of a rest that was never sent it is told when the peer has taken all that was."""
    log = Log()
    log.connect()
    log.send("tcp-1", 5, size=9)
    log.block("poll", watched=[("tcp-1", "READ")])
    found = next(it for it in now(log, client=OPEN).findings if it.kind == "send-lost")
    assert "The kernel, now: nothing to read, 0 B of ours not acknowledged" in found.sentence


def test_there_is_one_present() -> None:
    """The kernel is asked before the log is read: what was written in between does not make it later."""
    log = Log()
    log.listen()
    log.accept(queued=1)
    log.block("recv", "tcp-2")
    log.add(Queue, "tcp-1", 1, 5)
    log.t = SECOND
    log.send("tcp-9", 1, thread="other")
    verdict = now(log, -SECOND // 2, listener=Seen("LISTEN", 1, 0))
    assert verdict.summary == ["1 thing hangs; still running (pid 1) at 0.501 s"]
    sentence = next(it for it in verdict.findings if it.kind == "recv-silent").sentence
    assert "(for 498 ms)" in sentence
    assert "as the kernel counts now, at 0.501 s" in sentence


def test_a_moment_of_the_log_is_not_the_present() -> None:
    """What is in the log is as old as it was when the kernel was asked."""
    log = Log()
    for _ in range(12):
        log.add(Poll, 0, "select", [])
    assert now(log, MS).findings[0].kind == "spin-poll"
    assert now(log, 2 * SECOND).findings[0].kind == "own-code"


def test_what_was_used_since_the_kernel_was_asked() -> None:
    """A log is read a little later: of a socket that was used in between the kernel's word is old."""
    log = Log()
    log.listen()
    log.accept()
    log.recv("tcp-2", 5)
    log.block("wait")
    found = next(it for it in now(log, -2 * MS, accepted=Seen("ESTABLISHED", 5, 0)).findings if it.conn)
    assert found.kind == "unattended"
    assert "kernel" not in found.sentence
