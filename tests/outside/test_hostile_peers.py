"""Peers that nobody wishes for: the server serves the others meanwhile, and its log tells what was done.

Every test asserts that the attack took place: by what the attacker says, the kernel counts, or the log has.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Lab, Process, Server

    Serve = Callable[..., Server]

SECONDS = 30
ROOT = Path(__file__).parents[2]
ATTACKERS = (sys.executable, str(ROOT / "tools/bench/attackers.py"))
CHECK = (sys.executable, "-P", "-m", "evloop_trace", "check")
PROBE = re.compile(r"Probe (TCP|UDP) \S+ q(.)(.*)\2")
PORT = 9000
ADDRESS = f"127.0.0.1:{PORT}"
PROBES = Path("/usr/share/nmap/nmap-service-probes")
SEGMENTS_OUT = 136  # where struct tcp_info has it
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close(2) sends a reset
MUCH = 100 << 20  # more than the buffers of both ends hold


def ask(sock: socket.socket, message: bytes) -> bytes:
    """A message and its answer."""
    sock.sendall(message)
    return whole(sock, len(message))


def whole(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or less at the end of the stream."""
    data = b""
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return data


def fill(sock: socket.socket) -> None:
    """Send until nothing is taken any more, and read nothing."""
    sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        sock.sendall(bytes(MUCH))


def connect(server: Server) -> socket.socket:
    """A client that behaves."""
    return socket.create_connection(("127.0.0.1", server.port()), SECONDS)


def reset(sock: socket.socket) -> None:
    """End a connection with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def closes(server: Server) -> list[dict[str, object]]:
    """How connections ended."""
    return [event for event in server.events("close") if "conn" in event]


@pytest.fixture
def attack(begin: Callable[..., Process]) -> Iterator[Callable[..., Process]]:
    """Start an attacker; it has begun when it is given."""

    def start(what: str, server: Server, *options: str) -> Process:
        process = begin(*ATTACKERS, what, server.address("tcp"), "--seconds", str(SECONDS), *options)
        process.expect("^ready")
        return process

    return start


def report(attacker: Process) -> dict[str, int]:
    """What it says that it did, when it has ended."""
    assert attacker.popen.wait(SECONDS * 2) == 0
    return json.loads(attacker.popen.stdout.read())


def is_whole(folder: Path) -> None:
    """The log agrees with itself."""
    done = subprocess.run([*CHECK, "log.jsonl"], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# -- slowloris ------------------------------------------------------------------------------------


def test_who_drips_is_ended_by_the_lifetime(
    serve: Serve, attack: Callable[..., Process], tmp_path: Path
) -> None:
    """An idle time-out never comes for whoever says a byte now and then; a lifetime does."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", "--lifetime", "1", "--idle-timeout", "60")
    dripping = attack("drip", server, "--clients", "50", "--every", "0.05")
    said = report(dripping)
    assert said["ended"] == 50
    assert said["bytes"] > 50
    with connect(server) as client:
        assert ask(client, b"still there") == b"STILL THERE"
    assert server.stop() == 0
    assert [it["reason"] for it in closes(server)].count("lifetime") >= 50
    is_whole(tmp_path)


def test_who_says_nothing_is_ended_by_the_idle_timeout(
    serve: Serve, attack: Callable[..., Process], tmp_path: Path
) -> None:
    """Places are taken by who says nothing, until their time is over: then it is the others' turn."""
    limits = ("--max-connections", "50", "--idle-timeout", "0.5")
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", *limits)
    idle = attack("drip", server, "--clients", "50", "--every", "3600")
    with connect(server) as client:  # it waits in the kernel's queue
        assert ask(client, b"my turn") == b"MY TURN"
    log = tmp_path / "log.jsonl"
    while len(re.findall('"ev":"close".*"reason":"idle-timeout"', log.read_text(encoding="utf-8"))) < 50:
        pass
    idle.send(signal.SIGTERM)
    assert report(idle)["connected"] == 50
    assert server.stop() == 0
    assert [it["reason"] for it in closes(server)].count("idle-timeout") >= 50
    assert any(event["active"] for event in server.events("limit"))
    is_whole(tmp_path)


def test_who_never_reads_keeps_nobody_waiting(
    serve: Serve, attack: Callable[..., Process], tmp_path: Path
) -> None:
    """The server holds what the high-water mark allows and a read more, and serves the others."""
    high = 100_000
    server = serve(
        "--tcp", "127.0.0.1:0", "--log", "log.jsonl", "--high-water", str(high), "--payload", "none"
    )
    with connect(server) as client:
        deaf = attack("deaf", server)
        assert ask(client, b"first") == b"FIRST"
        watched = '"reason":".* above the high-water mark'
        while not re.search(watched, (tmp_path / "log.jsonl").read_text(encoding="utf-8")):
            assert ask(client, b"meanwhile") == b"MEANWHILE"
        deaf.send(signal.SIGTERM)
        assert report(deaf)["bytes"] > high
        assert ask(client, b"last") == b"LAST"
    assert server.stop() == 0
    received = sent = most = 0
    for event in server.events("recv", "send"):
        if event["conn"] == "tcp-2":
            received += event.get("n", 0) if event["ev"] == "recv" else 0
            sent += event.get("n", 0) if event["ev"] == "send" else 0
            most = max(most, received - sent)
    assert high < most <= high + 120 * 1024
    is_whole(tmp_path)


@pytest.mark.needs("namespaces", "hping3", "ip", "ss")
def test_half_open(lab: Lab, tmp_path: Path) -> None:
    """Handshakes that nobody finishes are the kernel's: the server accepts those who do, and no other."""
    server = lab.begin(sys.executable, "-P", "-m", "evloop", "serve", "--tcp", ADDRESS, "--log", "log.jsonl")
    server.expect("^listening ")
    # Answers go to a network that is there, and in which nobody is.
    assert lab.run("ip", "route", "add", "10.0.0.0/8", "dev", "lo").returncode == 0
    knock = ("hping3", "-S", "-q", "-a", "10.1.2.3", "-p", str(PORT), "-i", "u500", "-c", "300", "127.0.0.1")
    lab.run(*knock)
    waiting = lab.run("ss", "-Htn", "state", "syn-recv").stdout.splitlines()
    assert len(waiting) >= 100, waiting
    asked = lab.python(
        f"s = create_connection(('127.0.0.1', {PORT}), {SECONDS}); s.sendall(b'hello'); print(s.recv(9))"
    )
    assert asked == "b'HELLO'\n"
    assert server.stop() == 0
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert sum(event["ev"] == "accept" and "conn" in event for event in events) == 1
    is_whole(tmp_path)


# -- crowds ---------------------------------------------------------------------------------------


@pytest.mark.needs("namespaces")
def test_a_burst_of_connects(lab: Lab, tmp_path: Path) -> None:
    """Never more than are allowed; who was there before loses no answer, and who comes after is served."""
    options = ("--tcp", ADDRESS, "--log", "log.jsonl", "--max-connections", "100", "--payload", "none")
    server = lab.begin(sys.executable, "-P", "-m", "evloop", "serve", *options)
    server.expect("^listening ")
    script = (
        f"s = create_connection(('127.0.0.1', {PORT}), {SECONDS})\n"
        "os.write(2, b'ready\\n')\n"
        "for number in range(100):\n"
        "    message = b'question %d' % number\n"
        "    s.sendall(message)\n"
        "    assert s.recv(len(message), MSG_WAITALL) == message.upper()\n"
        "    time.sleep(0.005)\n"
        "print('all answered')"
    )
    behaves = lab.begin(sys.executable, "-c", f"from socket import *; import os, time\n{script}")
    behaves.expect("ready")
    # Few places are left, besides that of who behaves: the limit is reached again and again.
    idle = lab.begin(*ATTACKERS, "drip", ADDRESS, "--clients", "90", "--every", "3600")
    idle.expect("ready")
    burst = ("burst", ADDRESS, "--connects", "3000", "--together", "800", "--seconds", "0.5")
    said = json.loads(lab.run(*ATTACKERS, *burst, seconds=2 * SECONDS).stdout)
    assert said["tried"] >= 3000
    assert said["answered"] > 100
    assert behaves.popen.wait(SECONDS) == 0
    assert behaves.popen.stdout.read() == b"all answered\n"
    idle.send(signal.SIGTERM)
    assert report(idle)["connected"] == 90
    after = lab.python(f"s = create_connection(('127.0.0.1', {PORT})); s.send(b'x'); print(s.recv(1))")
    assert after == "b'X'\n"
    assert server.stop() == 0
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    opened = most = 0
    for event in events:
        if event["ev"] in {"accept", "close"} and "conn" in event:
            opened += 1 if event["ev"] == "accept" else -1
            most = max(most, opened)
    # Who is let go of has its descriptor until the turn's end, while others come in: a batch at most.
    assert 100 <= most <= 116
    assert sum(event["ev"] == "accept" and "conn" in event for event in events) >= said["answered"]
    is_whole(tmp_path)


def probes() -> Iterator[tuple[str, bytes]]:
    """What nmap says to a port, to hear what answers: of TCP and of UDP."""
    for line in PROBES.read_text(encoding="latin-1").splitlines():
        if found := PROBE.match(line):
            yield found[1], found[3].encode("latin-1").decode("unicode_escape").encode("latin-1")


def dealt(ports: list[int]) -> Iterator[str]:
    """The same as nmap reads it: a part for each port, no answer is known, and it waits a moment for one."""
    lines = [it for it in PROBES.read_text(encoding="latin-1").splitlines() if PROBE.match(it)]
    for number, line in enumerate(lines):
        yield f"{line}\ntotalwaitms 100\nrarity 9\nports {ports[number % len(ports)]}\n"


@pytest.mark.needs("nmap")
def test_nmap(serve: Serve, begin: Callable[..., Process], tmp_path: Path) -> None:
    """All that `nmap -sV --version-all` says, by nmap and by us, is answered; and it goes on serving."""
    addresses = ["--tcp", "127.0.0.1:0"] * 8
    server = serve(*addresses, "--udp", "127.0.0.1:0", "--log", "log.jsonl")
    ports = [int(it.rpartition(":")[2]) for kind, it in server.addresses if kind == "tcp"]
    (tmp_path / "probes").write_text("".join(dealt(ports)), encoding="latin-1")
    scan = ("nmap", "-n", "-Pn", "-sV", "--version-intensity", "0", "--versiondb", "probes")
    nmap = begin(*scan, "-p", ",".join(map(str, ports)), "127.0.0.1")
    said = [*probes()]
    assert len(said) > 100
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(SECONDS)
        datagrams.connect(("127.0.0.1", server.port("udp")))
        for kind, probe in said:
            if kind == "UDP":
                datagrams.send(probe)
                assert datagrams.recv(65535) == probe.upper()
            elif probe:
                with connect(server) as client:
                    assert ask(client, probe) == probe.upper()
    assert nmap.end() == 0
    with connect(server) as client:
        assert ask(client, b"still there") == b"STILL THERE"
    assert server.stop() == 0
    assert server.complaints == []
    accepted = sum("conn" in event for event in server.events("accept"))
    ours = sum(kind == "TCP" and bool(probe) for kind, probe in said)
    assert accepted > 2 * ours
    is_whole(tmp_path)


# -- datagrams ------------------------------------------------------------------------------------

FORGED = """
import struct
out = socket(AF_INET, SOCK_RAW, IPPROTO_RAW)
here = inet_aton("127.0.0.1")
def forge(sport, dport, data):  # RFC 791 and 768; a checksum of 0 is none
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 1, 0, 64, IPPROTO_UDP, 0, here, here)
    return head + struct.pack("!4H", sport, dport, 8 + len(data), 0) + data
def counters():
    names, values = [line.split() for line in open("/proc/net/snmp") if line.startswith("Udp:")]
    return dict(zip(names[1:], map(int, values[1:])))
before = counters()
for sport in {sources}:
    for dport in {ports}:
        out.sendto(forge(sport, dport, b"to be answered?"), ("127.0.0.1", 0))
friend = socket(type=SOCK_DGRAM)
friend.settimeout(30)
for dport in {ports}:  # in their turn: what came before has been dealt with when they are answered
    friend.sendto(b"mine", ("127.0.0.1", dport))
    assert friend.recv(99) == b"MINE"
after = counters()
print(after["InDatagrams"] - before["InDatagrams"], after["OutDatagrams"] - before["OutDatagrams"])
"""


@pytest.mark.needs("namespaces")
def test_forged_senders_make_no_loop(lab: Lab, tmp_path: Path) -> None:
    """Our own addresses, and services that answer whatever they get: the kernel counts no answer to them."""
    ports, services = (PORT, PORT + 1), (7, 19, 53, 1023)
    addresses = [f"--udp=127.0.0.1:{port}" for port in ports]
    server = lab.begin(sys.executable, "-P", "-m", "evloop", "serve", *addresses, "--log", "log.jsonl")
    for port in ports:
        server.expect(f"^listening udp 127.0.0.1:{port}")
    came, went = lab.python(FORGED.format(sources=(*ports, *services), ports=ports)).split()
    forged, friendly = 2 * len((*ports, *services)), len(ports)
    assert int(came) == forged + 2 * friendly  # each of the friend's, and its answer
    assert int(went) == 2 * friendly
    assert server.stop() == 0
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    refused = [event for event in events if event["ev"] == "refuse"]
    assert len(refused) == forged
    assert len([event for event in events if event["ev"] == "sendto"]) == friendly
    is_whole(tmp_path)


@pytest.mark.parametrize("size", [0, 65_507])
def test_the_smallest_and_the_largest_datagram(serve: Serve, size: int) -> None:
    """No byte is data, too; and the most that IPv4 carries is not cut."""
    server = serve("--udp", "127.0.0.1:0", "--log", "log.jsonl")
    message = b"x" * size
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(SECONDS)
        client.connect(("127.0.0.1", server.port("udp")))
        for _ in range(5):
            client.send(message)
            assert client.recv(65535) == message.upper()
    assert server.stop() == 0
    assert [event["n"] for event in server.events("recvfrom") if "n" in event] == [size] * 5


# -- resets, at every step ------------------------------------------------------------------------


def told(path: Path, *lines: str) -> None:
    """Hold gates, or release them."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        sock.connect(str(path))
        with sock.makefile("rw", encoding="utf-8") as file:
            for line in lines:
                print(line, file=file, flush=True)
                assert file.readline() == "ok\n"


def until(log: Path, pattern: str, sock: socket.socket | None = None) -> None:
    """Wait until the log has something; time passes with a question to the server, if there is one."""
    while not re.search(pattern, log.read_text(encoding="utf-8")):
        if sock is not None:
            assert ask(sock, b"and now?") == b"AND NOW?"


@pytest.mark.parametrize(
    "step", ["before accept", "after accept", "mid-request", "mid-answer", "after FIN", "drain"]
)
def test_a_reset(serve: Serve, tmp_path: Path, step: str) -> None:
    """It ends this connection, with its errno in the log; nobody else's, and not the server."""
    log, control = tmp_path / "log.jsonl", tmp_path / "control"
    options = ("--control", str(control), "--payload", "none", "--drain-timeout", str(SECONDS))
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", *options)
    friend, enemy = connect(server), None
    assert ask(friend, b"here") == b"HERE"
    if step == "before accept":
        told(control, "hold accept")
    enemy = connect(server)
    match step:
        case "before accept":
            reset(enemy)
            told(control, "release accept")
        case "after accept":
            until(log, '"conn":"tcp-2"', friend)
            reset(enemy)
        case "mid-request":
            told(control, "hold read")
            enemy.sendall(b"half of a que")
            reset(enemy)
            told(control, "release read")
        case "mid-answer":
            fill(enemy)
            until(log, '"conn":"tcp-2".*bytes wait to be sent', friend)
            reset(enemy)
        case "after FIN":
            fill(enemy)
            until(log, '"conn":"tcp-2".*bytes wait to be sent', friend)
            enemy.shutdown(socket.SHUT_WR)
            reset(enemy)
        case _:
            assert ask(enemy, b"hello") == b"HELLO"
            server.send(signal.SIGTERM)
            server.expect("stopping: waiting")
            assert enemy.recv(1) == b""  # the server's FIN
            reset(enemy)
    until(log, '"ev":"close".*"conn":"tcp-2"', None if step == "drain" else friend)
    if step != "drain":
        assert ask(friend, b"still there") == b"STILL THERE"
    friend.close()
    assert (server.end() if step == "drain" else server.stop()) == 0
    (ended,) = [it for it in closes(server) if it["conn"] == "tcp-2"]
    assert ended["reason"] == "error"
    assert ended["errno"] in {"ECONNRESET", "EPIPE"}
    assert (ended.get("buffered", 0) > 0) == (step in {"mid-answer", "after FIN"})
    is_whole(tmp_path)


# -- bytes ----------------------------------------------------------------------------------------


def test_a_byte_a_segment(serve: Serve) -> None:
    """A conversation in segments of one byte is one like any other."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl")
    with connect(server) as client:
        for byte in range(256):  # the next when the last is answered: else the kernel would join them
            assert ask(client, bytes([byte])) == bytes([byte]).upper()
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    segments: int = struct.unpack_from("I", info, SEGMENTS_OUT)[0]
    assert segments >= 256
    assert server.stop() == 0
    assert [event["n"] for event in server.events("recv")] == [1] * 256 + [0]


def test_urgent_data(serve: Serve) -> None:
    """A byte out of band is not in the stream (tcp(7)), and nothing waits or spins because of it."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl")
    with connect(server) as client:
        assert ask(client, b"ab") == b"AB"
        for _ in range(10):
            client.send(b"!", socket.MSG_OOB)
        assert ask(client, b"cd") == b"CD"
    assert server.stop() == 0
    answered = sum(event.get("n", 0) for event in server.events("send"))
    # Each mark takes the place of the one before, which is then data like any other.
    assert 4 <= answered < 14
    assert len(server.events("poll")) < 40
