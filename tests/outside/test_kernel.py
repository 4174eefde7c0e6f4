"""`--kernel` from outside: what the kernel says of real connections, and nothing left in it afterwards.

Each test has a network of its own, but tracepoints are of the whole machine: so its ports are its own, too.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from evloop_trace.packeting import analyse
from evloop_trace.packets.summary import summarize
from evloop_trace.states.lifelines import Lifeline, lifelines
from evloop_trace.states.reader import TransitionLog, read_transitions
from evloop_trace.tracepoints.tracefs import open_tracefs

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from conftest import Process

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.needs("tracefs", "nsenter", "unshare", "ip")

EVLOOP = (sys.executable, "-P", "-m", "evloop")
CAPTURE = (sys.executable, "-P", "-m", "evloop_trace", "capture")
PORT = 10_000 + os.getpid() % 1000 * 20  # below those that clients get


class Net:
    """A network of its own, in which root is root of the machine."""

    def __init__(self, begin: Callable[..., Process], run: Run) -> None:
        self.keeper = begin("unshare", "-n", "sh", "-c", "ip link set lo up; echo up >&2; exec sleep 1000")
        self.keeper.expect("up")
        self.inside = ("nsenter", f"-t{self.keeper.pid}", "-n", "--")
        self._begin, self._run = begin, run

    def begin(self, *command: str, **how: object) -> Process:
        """Start a command."""
        return self._begin(*self.inside, *command, **how)

    def run(self, *command: str, **how: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self._run(*self.inside, *command, **how)

    def python(self, script: str) -> None:
        """Run a script to its end."""
        done = self.run(sys.executable, "-c", script)
        assert done.returncode == 0, done.stderr

    def capture(self, *options: str, **how: object) -> Process:
        """A capture that is ready."""
        process = self.begin(*CAPTURE, *options, **how)
        process.expect("^capturing on ")
        return process


@pytest.fixture
def net(begin: Callable[..., Process], run: Run) -> Net:
    """A network of the test's own."""
    return Net(begin, run)


def read(path: Path) -> TransitionLog:
    """A recording."""
    with path.open("rb") as file:
        return read_transitions(file, path.name)


@contextmanager
def tracefs() -> Iterator[str]:
    """The folder of all trace instances."""
    root = open_tracefs()
    try:
        yield f"/proc/self/fd/{root}/instances"
    finally:
        os.close(root)


def instances() -> set[str]:
    """Those that are there."""
    with tracefs() as folder:
        return set(os.listdir(folder))


def guard_of(process: Process) -> int:
    """A descriptor of the one process that it has started, which is readable when that has ended."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        return os.pidfd_open(int(file.read()))


def ended(pidfd: int) -> bool:
    """Whether it ends."""
    try:
        return bool(select.select([pidfd], [], [], 20)[0])
    finally:
        os.close(pidfd)


# -- what the kernel says, and what follows from the packets ----------------------------------

BEGIN = """
import struct, sys, time
from socket import *

def listen(host="127.0.0.1", family=AF_INET, buffer=0):
    sock = socket(family)
    sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    if buffer:
        sock.setsockopt(SOL_SOCKET, SO_RCVBUF, buffer)
    sock.bind((host, port))
    sock.listen()
    return sock

def pair(host="127.0.0.1", family=AF_INET, target="", buffer=0):
    listener = listen(host, family, buffer)
    client = socket(AF_INET6 if ":" in (target or host) else AF_INET)
    if buffer:
        client.setsockopt(SOL_SOCKET, SO_RCVBUF, buffer)
    client.connect((target or host, port))
    server, _ = listener.accept()
    listener.close()
    return client, server

def until(state):
    # The kernel's number of a state that no descriptor shows any more; see include/net/tcp_states.h.
    while not any(f":{port:04X} {state}" in " ".join(line.split()[2:4]) for line in open("/proc/net/tcp")):
        pass

def abort(sock):
    sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()

def fill(sock):
    sock.setblocking(False)
    try:
        while True:
            sock.send(bytes(65536))
    except BlockingIOError:
        sock.shutdown(SHUT_WR)

def drain(*socks):
    ends = set()
    while len(ends) < len(socks):
        for sock in socks:
            try:
                if not sock.recv(1 << 20):
                    ends.add(sock)
            except BlockingIOError:
                pass
"""

OPENED = "SYN-SENT ESTABLISHED"
ACCEPTED = "SYN-RECEIVED ESTABLISHED"
FIRST, SECOND = "FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT", "CLOSE-WAIT LAST-ACK CLOSED"

# What happens, and the states of the client and of the server.
KINDS: dict[str, tuple[str, str, str]] = {
    "the client closes": (
        "c, s = pair(); c.send(b'x'); s.recv(9); c.close(); s.recv(9); s.close()",
        f"{OPENED} {FIRST}",
        f"{ACCEPTED} {SECOND}",
    ),
    "the server closes": (
        "c, s = pair(); c.send(b'x'); s.recv(9); s.close(); c.recv(9); c.close()",
        f"{OPENED} {SECOND}",
        f"{ACCEPTED} {FIRST}",
    ),
    "over IPv6": (
        "c, s = pair('::1', AF_INET6); c.close(); s.close()",
        f"{OPENED} {FIRST}",
        f"{ACCEPTED} {SECOND}",
    ),
    "IPv4 on an IPv6 socket": (
        "c, s = pair('::', AF_INET6, '127.0.0.1'); c.close(); s.close()",
        f"{OPENED} {FIRST}",
        f"{ACCEPTED} {SECOND}",
    ),
    "half a close": (
        "c, s = pair(); c.shutdown(SHUT_WR); s.recv(9); s.send(b'abc'); c.recv(9); s.close(); c.close()",
        f"{OPENED} {FIRST}",
        f"{ACCEPTED} {SECOND}",
    ),
    "a close that is answered late": (
        "c, s = pair(); c.close(); s.recv(9); until('05'); s.close()",
        f"{OPENED} {FIRST}",
        f"{ACCEPTED} {SECOND}",
    ),
    "a close that is never answered": (
        "c, s = pair(); c.close(); s.recv(9); until('05'); kept.append(s)",
        f"{OPENED} FIN-WAIT-1 FIN-WAIT-2",
        f"{ACCEPTED} CLOSE-WAIT",
    ),
    "unread at the server": (
        "c, s = pair(); c.send(b'x'); s.close(); c.close()",
        f"{OPENED} CLOSED",
        f"{ACCEPTED} CLOSED",
    ),
    "unread at the client": (
        "c, s = pair(); s.send(b'x'); c.close(); s.close()",
        f"{OPENED} CLOSED",
        f"{ACCEPTED} CLOSED",
    ),
    "the client aborts": ("c, s = pair(); abort(c)", f"{OPENED} CLOSED", f"{ACCEPTED} CLOSED"),
    "a RST after a FIN": (
        "c, s = pair(); c.shutdown(SHUT_WR); s.recv(9); until('05'); abort(s)",
        f"{OPENED} FIN-WAIT-1 FIN-WAIT-2 CLOSED",
        f"{ACCEPTED} CLOSE-WAIT CLOSED",
    ),
    "never accepted": (
        "l = listen(); c = create_connection(('127.0.0.1', port)); l.close()",
        f"{OPENED} CLOSED",
        f"{ACCEPTED} CLOSED",
    ),
    "refused": ("socket().connect_ex(('127.0.0.1', port))", "SYN-SENT CLOSED", ""),
}
# A FIN that waits behind data is sent as far as the socket is concerned; on the wire it is not.
BEHIND_DATA = "c, s = pair(buffer=4096); fill(c); fill(s); drain(c, s); c.close(); s.close()"


def derived(path: Path) -> dict[int, tuple[str, str]]:
    """The states of client and server by the packets, by the server's port."""
    capture, analysis = analyse(str(path), stories=len(KINDS))
    assert not capture.problems
    found = {}
    for conn in analysis.connections():
        assert conn.marks is not None
        words: tuple[list[str], list[str]] = ([], [])
        for mark in [*conn.marks, *(conn.more or ())]:
            for states, state in zip(words, mark.states, strict=True):
                if state not in {*states[-1:], "LISTEN"}:
                    states.append(state)
        assert (words[0][-1:], words[1][-1:]) == ([conn.a.state], [conn.b.state])
        found[summarize(conn).server[1]] = (" ".join(words[0]), " ".join(words[1]))
    return found


def states(line: Lifeline | None) -> str:
    """One after the other."""
    return " ".join([state for _, state in line.states]) if line else ""


def without_passing(words: str) -> str:
    """A FIN that brings the ACK of the other one leads through FIN-WAIT-2 at once."""
    return words.replace("FIN-WAIT-2 TIME-WAIT", "TIME-WAIT")


def play(net: Net, scripts: dict[int, str]) -> Process:
    """Run a script for each port, under a capture; sockets that it keeps are there until the test ends."""
    options = [f"--port={port}" for port in scripts]
    capture = net.capture("-w", "a.pcapng", "--snap", "128", "--kernel", "k.jsonl", *options)
    lines = [f"port = {port}; {script}" for port, script in scripts.items()]
    end = "print('done', file=sys.stderr, flush=True); time.sleep(1000)"
    net.begin(sys.executable, "-c", "\n".join([BEGIN, "kept = []", *lines, end])).expect("^done$")
    assert capture.stop() == 0
    return capture


def ends(lines: list[Lifeline], port: int) -> tuple[Lifeline, Lifeline | None]:
    """The client and the server of a port."""
    client = next(line for line in lines if line.peer.endswith(f":{port}"))
    both = (client.peer, client.local)
    return client, next((line for line in lines if (line.local, line.peer) == both), None)


def test_states_of_both_ends(net: Net, tmp_path: Path) -> None:
    """In all kinds of connections the kernel says what the RFC's machine makes of the packets."""
    ports = {PORT + index: kind for index, kind in enumerate(KINDS)}
    capture = play(net, {port: KINDS[kind][0] for port, kind in ports.items()})
    assert capture.said[0] == "capturing on lo"
    log = read(tmp_path / "k.jsonl")
    assert log.problems == []
    assert capture.said[-1] == f"evloop-trace: k.jsonl: {len(log.events)} events of the kernel's, none lost"
    assert log.header.ports == list(ports)
    lines, by_packets = lifelines(log.events), derived(tmp_path / "a.pcapng")
    found = {kind: tuple(map(states, ends(lines, port))) for port, kind in ports.items()}
    assert found == {kind: (client, server) for kind, (_, client, server) in KINDS.items()}
    for port, kind in ports.items():
        client, server = map(without_passing, found[kind])
        # Where nobody listens there is no socket that could have a state; the RFC's CLOSED is none, either.
        assert (client, server or "CLOSED") == tuple(map(without_passing, by_packets[port])), kind


def test_a_socket_connected_to_itself(net: Net, tmp_path: Path) -> None:
    """It opens and closes at once with itself: the kernel and the packets say so state by state."""
    play(net, {PORT: "s = socket(); s.bind(('127.0.0.1', port)); s.connect(s.getsockname()); s.close()"})
    (line,) = lifelines(read(tmp_path / "k.jsonl").events)
    assert states(line) == "SYN-SENT SYN-RECEIVED ESTABLISHED FIN-WAIT-1 CLOSING TIME-WAIT"
    _, analysis = analyse(str(tmp_path / "a.pcapng"), stories=1)
    (conn,) = analysis.connections()
    passed = [state for mark in conn.marks or () for state in mark.states]
    assert " ".join(dict.fromkeys(passed)) == states(line)


def test_time_wait_begins_with_the_other_fin(net: Net, tmp_path: Path) -> None:
    """The kernel says CLOSED when it puts a closed socket away; its FIN is answered only later."""
    play(net, {PORT: KINDS["a close that is answered late"][0]})
    client, server = ends(lifelines(read(tmp_path / "k.jsonl").events), PORT)
    assert server
    (when, state), last = client.states[-1], client.events[-1]
    assert state == "TIME-WAIT"
    assert (last.old, last.new) == ("FIN-WAIT-2", "CLOSED")
    assert last.t < when == dict(map(reversed, server.states))["LAST-ACK"]


def test_a_fin_behind_data_is_not_seen(net: Net, tmp_path: Path) -> None:
    """Here the kernel necessarily knows more: both closed at once, and on the wire one was first."""
    play(net, {PORT: BEHIND_DATA})
    client, server = ends(lifelines(read(tmp_path / "k.jsonl").events), PORT)
    assert all("FIN-WAIT-1" in states(end) and "CLOSE-WAIT" not in states(end) for end in (client, server))
    assert "CLOSING" in states(client) + states(server)
    assert sum("CLOSE-WAIT" in words for words in derived(tmp_path / "a.pcapng")[PORT]) == 1


def test_a_reset_and_its_reason(net: Net, tmp_path: Path) -> None:
    """Who sent it, from which socket, why; and who got it. On loopback it is told when it has arrived."""
    play(net, {PORT: KINDS["unread at the server"][0], PORT + 1: KINDS["refused"][0]})
    found = [
        (type(it).__name__, it.local.partition(":")[2], it.sock is not None, getattr(it, "reason", ""))
        for it in read(tmp_path / "k.jsonl").events
        if "Reset" in type(it).__name__
    ]
    client = found[0][1]
    assert found[:2] == [
        ("ReceiveReset", client, True, ""),
        ("SendReset", str(PORT), True, "TCP_ABORT_ON_CLOSE"),
    ]
    assert found[2][:3] == ("SendReset", str(PORT + 1), False)
    assert found[2][3] == "NO_SOCKET"
    assert found[3][:1] == ("ReceiveReset",)


def test_retransmissions(net: Net, tmp_path: Path) -> None:
    """A queue that is full drops SYNs: the kernel says that it sends one again, and from which state."""
    capture = net.capture("--kernel", "k.jsonl", "--port", str(PORT), "--duration", "30s")
    assert capture.said == ["capturing on the kernel's tracepoints"]
    script = (
        f"port = {PORT}; l = listen(); l.listen(0); a = create_connection(l.getsockname()); b = socket()\n"
        "b.connect(l.getsockname())"
    )
    net.begin(sys.executable, "-c", BEGIN + script)
    file = tmp_path / "k.jsonl"
    while b'"retransmit"' not in file.read_bytes():  # after a second
        pass
    assert capture.stop() == 0
    again = [it for it in read(file).events if type(it).__name__ == "Retransmit"]
    assert {(it.peer, it.state) for it in again} == {(f"127.0.0.1:{PORT}", "SYN-SENT")}
    assert not again[0].local.endswith(":0")


# -- how it ends ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it(net: Net, tmp_path: Path, number: signal.Signals) -> None:
    """With all that there was; and nothing of it remains in the kernel, nor was anything mounted."""
    mounts = Path("/proc/mounts").read_text(encoding="utf-8").count("tracefs")
    capture = net.capture("--kernel", "k.jsonl", "--port", str(PORT))
    name = f"evloop-{capture.pid}"
    assert name in instances()
    assert Path("/proc/mounts").read_text(encoding="utf-8").count("tracefs") == mounts
    net.python(f"from socket import *; socket().connect_ex(('127.0.0.1', {PORT}))")
    assert capture.stop(number) == 0
    assert name not in instances()
    log = read(tmp_path / "k.jsonl")
    assert log.end is not None
    assert (log.problems, log.end.lost, log.end.events) == ([], 0, 4)


def test_sigkill_leaves_nothing(net: Net, tmp_path: Path) -> None:
    """What was seen is in the file, which says that it was cut off; the guard removes the buffer."""
    capture = net.capture("--kernel", "k.jsonl", "--port", str(PORT))
    guard, name = guard_of(capture), f"evloop-{capture.pid}"
    net.python(f"from socket import *; socket().connect_ex(('127.0.0.1', {PORT}))")
    file = tmp_path / "k.jsonl"
    while file.read_bytes().count(b"\n") < 5:
        pass
    assert name in instances()
    assert capture.stop(signal.SIGKILL) == -signal.SIGKILL
    assert ended(guard)
    assert name not in instances()
    log = read(file)
    assert len(log.events) == 4
    assert log.problems == ["has no end: the recording was cut off, what came later is not there"]


def test_what_is_left_over_is_removed_by_the_next(net: Net) -> None:
    """Somebody killed the guard, too."""
    first = net.capture("--kernel", "a.jsonl", "--port", str(PORT))
    guard = guard_of(first)
    signal.pidfd_send_signal(guard, signal.SIGKILL)
    assert ended(guard)
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    assert f"evloop-{first.pid}" in instances()
    second = net.capture("--kernel", "b.jsonl", "--port", str(PORT))
    assert f"evloop-{first.pid}" not in instances()
    assert second.stop() == 0


def test_an_error_leaves_nothing(net: Net) -> None:
    """What comes after the buffer fails: one line, and no buffer."""
    capture = net.begin(*CAPTURE, "--kernel", "k.jsonl", "-w", "nowhere/a.pcapng")
    assert capture.end() == 2
    assert capture.said == ["evloop-trace: nowhere/a.pcapng cannot be written: No such file or directory"]
    assert f"evloop-{capture.pid}" not in instances()


def test_what_there_was_no_room_for(net: Net, tmp_path: Path) -> None:
    """A recorder that cannot read loses events: the file says how many, and where they are missing."""
    capture = net.capture("--kernel", "k.jsonl", "--port", str(PORT))
    capture.send(signal.SIGSTOP)
    net.python(
        "from socket import *; import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        f"for _ in range(10_000): socket().connect_ex(('127.0.0.1', {PORT}))"
    )
    capture.send(signal.SIGCONT)
    assert capture.stop() == 0
    log = read(tmp_path / "k.jsonl")
    assert log.end is not None
    lost = [it for it in log.events if type(it).__name__ == "Lost"]
    assert sum(it.count for it in lost) == log.end.lost > 0
    # Of resets elsewhere some may be among those that are lost: which ports they have the kernel cannot see.
    assert 40_000 <= len(log.events) - len(lost) + log.end.lost < 50_000
    assert log.problems == []
    assert f"there was no room for {log.end.lost:,} that are not among them" in capture.said[-1]


def test_a_full_disk_ends_it(net: Net, tmp_path: Path) -> None:
    """It says how much is in the file, which ends in a whole line."""
    full = 'mount -t tmpfs -o size=16k none full; "$@"; code=$?; cp full/k.jsonl .; exit $code'
    (tmp_path / "full").mkdir()
    wrapped = ("unshare", "-m", "sh", "-c", full, "sh", *CAPTURE, "--kernel", "full/k.jsonl")
    capture = net.begin(*wrapped, "--port", str(PORT))
    capture.expect("^capturing on ")
    net.python(f"from socket import *\nfor _ in range(100): socket().connect_ex(('127.0.0.1', {PORT}))")
    assert capture.end() == 1
    log = read(tmp_path / "k.jsonl")
    assert 0 < len(log.events) < 200
    assert log.problems == ["has no end: the recording was cut off, what came later is not there"]
    assert capture.said[-1] == (
        "evloop-trace: full/k.jsonl cannot be written: No space left on device; "
        f"it has {len(log.events)} events of the kernel's"
    )


def test_a_full_disk_beside_packets(net: Net, tmp_path: Path) -> None:
    """It is told when it happens; the packets go on, and the exit code tells in the end."""
    full = 'mount -t tmpfs -o size=16k none full; exec "$@"'
    (tmp_path / "full").mkdir()
    options = ("-w", "a.pcapng", "--kernel", "full/k.jsonl", "--port", str(PORT))
    capture = net.begin("unshare", "-m", "sh", "-c", full, "sh", *CAPTURE, *options)
    capture.expect("^capturing on ")
    knock = f"from socket import *\nfor _ in range(100): socket().connect_ex(('127.0.0.1', {PORT}))"
    net.python(knock)
    told = "full/k.jsonl cannot be written: No space left on device; it has "
    capture.expect(told)
    net.python(knock)
    assert capture.stop() == 1
    assert sum(told in line for line in capture.said) == 1
    assert capture.said[-1] == "evloop-trace: a.pcapng: 400 packets, 25,600 bytes, none dropped"


# -- rights, and servers ------------------------------------------------------------------------

NOBODY = (
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    # Wherever Python may be: it can be read, and nothing else is allowed.
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize(
    "command",
    [(*CAPTURE, "--kernel", "k.jsonl"), (*EVLOOP, "serve", "--tcp", "127.0.0.1:0", "--kernel", "k.jsonl")],
)
def test_without_rights(net: Net, tmp_path: Path, command: tuple[str, ...]) -> None:
    """One sentence: it is root that it needs, and a lab is no help."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = net.run(*NOBODY, *command, env=plain)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.partition(": ")[2] == (
        "--kernel needs the rights of the whole machine's root, for tracefs: use sudo; "
        "evloop lab does not help, the root of a lab has no right to it"
    )
    assert not (tmp_path / "k.jsonl").exists()


@pytest.mark.parametrize("model", ["once", "conversation", "sequential", "threaded", "loop"])
def test_beside_a_server(net: Net, tmp_path: Path, model: str) -> None:
    """Of its port and no other, until its listener is closed, with every model; and how much it was."""
    address = f"127.0.0.1:{PORT}"
    options = ["--capture", "a.pcapng"] if model == "loop" else []
    server = net.begin(*EVLOOP, "serve", "--model", model, "--tcp", address, "--kernel", "k.jsonl", *options)
    server.expect("^listening ")
    net.python(
        "from socket import *; l = create_server(('127.0.0.1', 0)); create_connection(l.getsockname())"
    )
    assert net.run(*EVLOOP, "client", address, "x").stdout == "X\n"
    assert (server.end() if model in {"once", "conversation"} else server.stop()) == 0
    log = read(tmp_path / "k.jsonl")
    lines = lifelines(log.events)
    assert server.said[-1] == f"evloop: k.jsonl: {len(log.events)} events of the kernel's, none lost"
    assert len(lines) == 3  # a client, who serves it, and the listener
    client, served = ends(lines, PORT)
    assert served
    assert {states(client), states(served)} == {f"{OPENED} {SECOND}", f"{ACCEPTED} {FIRST}"} or {
        states(client),
        states(served),
    } == {f"{OPENED} {FIRST}", f"{ACCEPTED} {SECOND}"}
    (listener,) = (line for line in lines if line.peer == "0.0.0.0:0")
    assert (listener.local, listener.begin, states(listener)) == (address, "LISTEN", "CLOSED")
    assert (tmp_path / "a.pcapng").exists() == (model == "loop")


def test_a_recorder_that_dies_is_not_the_servers_end(net: Net) -> None:
    """It says since when something is missing, and of which file."""
    address = f"127.0.0.1:{PORT}"
    server = net.begin(*EVLOOP, "serve", "--tcp", address, "--kernel", "k.jsonl")
    server.expect("^listening ")
    with open(f"/proc/{server.pid}/task/{server.pid}/children", encoding="ascii") as file:
        recorder = int(file.read())
    os.kill(recorder, signal.SIGKILL)
    server.expect(
        r"\(signal 9\): k.jsonl lacks the kernel's events from \d\d:\d\d:\d\d on; the server was not"
    )
    assert net.run(*EVLOOP, "client", address, "x").stdout == "X\n"
    assert server.stop() == 0
