"""Who may read what, and what watchers can do to a server: look, and nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import statistics
import sys
import threading
import time

import pytest

SECONDS = 30
TRACE = (sys.executable, "-m", "evloop_trace")
MARK = "payloadmarker"
FORKS = """
import os, socket
socket.socket().close()
if os.fork():
    os.wait()
else:
    socket.socket().close()
"""
READS_SLOWLY = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect("watch.sock")
print("here", file=sys.stderr, flush=True)
while sock.recv(65536):
    pass
"""


def mode_of(path):
    """Its permissions."""
    return stat.S_IMODE(os.stat(path).st_mode)


def exchange(server, message=b"hello"):
    """One client."""
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        client.sendall(message)
        left = len(message)
        while left:
            left -= len(client.recv(left))


@pytest.mark.parametrize(("options", "mode"), [([], 0o600), (["--watch-mode", "660"], 0o660)])
def test_modes(serve, tmp_path, options, mode):
    """Whatever the umask: of the sockets, and of every file."""
    server = serve(
        "--tcp", "127.0.0.1:0", "--watch", "watch.sock", "--control", "control.sock", "--log", "log.jsonl",
        "--log-max-bytes", "4096", *options, umask=0,
    )  # fmt: skip
    for _ in range(20):
        exchange(server)
    assert mode_of(tmp_path / "watch.sock") == mode
    assert mode_of(tmp_path / "control.sock") == 0o600
    assert server.stop() == 0
    logs = list(tmp_path.glob("log.jsonl*"))
    assert len(logs) > 1
    assert {mode_of(path) for path in logs} == {0o600}


def test_modes_of_other_files(run, begin, tmp_path):
    """A program's log, and those of its children; a flight recorder's."""
    (tmp_path / "forks.py").write_text(FORKS)
    assert run(*TRACE, "run", "--log", "run.jsonl", "forks.py", umask=0).returncode == 0
    logs = list(tmp_path.glob("run.jsonl*"))
    assert len(logs) == 2
    assert {mode_of(path) for path in logs} == {0o600}


@pytest.mark.parametrize("option", ["--log", "--watch"])
def test_a_link_in_a_shared_folder(run, tmp_path, option):
    """It is not followed: one sentence, and what it points to is as it was."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "precious").write_text("precious")
    (shared / "name").symlink_to(tmp_path / "precious")
    result = run(sys.executable, "-m", "evloop", "serve", "--tcp", "127.0.0.1:0", option, "shared/name")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "symbolic link" in result.stderr or "exists and is no socket" in result.stderr
    assert (tmp_path / "precious").read_text() == "precious"


def test_no_payload_anywhere(serve, run, tmp_path):
    """Of what was said and answered no byte is in any file, whoever wrote it."""
    mark = MARK.encode()
    rotated = serve(
        "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--payload", "none", "--log", "rotated.jsonl",
        "--log-max-bytes", "4096",
    )  # fmt: skip
    ring = serve("--tcp", "127.0.0.1:0", "--payload", "none", "--log", "ring.jsonl", "--ring", "50")
    threaded = serve(
        "--tcp", "127.0.0.1:0", "--payload", "none", "--log", "threaded.jsonl", "--model", "threaded"
    )
    for server in (rotated, ring, threaded):
        for _ in range(10):
            exchange(server, mark)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(SECONDS)
        client.connect(("127.0.0.1", rotated.port("udp")))
        client.send(mark)
        assert client.recv(100) == mark.upper()
    said = run(
        sys.executable, "-m", "evloop", "client", "--payload", "none", "--log", "client.jsonl",
        rotated.address("tcp"), MARK,
    )  # fmt: skip
    assert said.stdout == f"{MARK.upper()}\n"
    (tmp_path / "program.py").write_text(
        f"import socket\ns = socket.create_connection(('127.0.0.1', {rotated.port()}))\n"
        "s.sendall(''.join(['payload', 'marker']).encode())\nassert s.recv(100)\n"
    )
    assert run(*TRACE, "run", "--payload", "none", "--log", "run.jsonl", "program.py").returncode == 0
    ring.send(signal.SIGUSR1)
    ring.expect("flight recorder: SIGUSR1")
    for server in (rotated, ring, threaded):
        assert server.stop() == 0
    files = [path for path in tmp_path.iterdir() if path.name != "program.py"]
    assert len(files) >= 6
    found = {path.name for path in files for it in _spellings(mark) if it in path.read_bytes()}
    assert found == set()
    everything = serve("--tcp", "127.0.0.1:0", "--log", "all.jsonl")
    exchange(everything, mark)
    everything.stop()
    assert any(it in (tmp_path / "all.jsonl").read_bytes() for it in _spellings(mark)), "the search finds it"


RAISES = """
import socket, sys, threading
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]

def answer(sock):
    sock.setsockopt(socket.SOL_SOCKET, 9999, sock.recv(100))

def read(sock):
    int(sock.recv(100))

for handler in (answer, read):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(("payload" + "marker" * 4).encode())
    served = threading.Thread(target=handler, args=(server.accept()[0],))
    served.start()
    served.join()
client = socket.create_connection(("127.0.0.1", port))
client.sendall(("payload" + "marker").encode())
read(server.accept()[0])
"""


def test_no_payload_in_what_an_exception_says(run, tmp_path):
    """Of a thread, and of the whole program: it may quote what was received."""
    (tmp_path / "raises.py").write_text(RAISES)
    for policy, said in (("full", True), ("none", False)):
        log = f"{policy}.jsonl"
        result = run(*TRACE, "run", "--payload", policy, "--log", log, "raises.py")
        assert result.returncode == 1
        assert result.stderr.count(MARK) == 2, "the program's own words are its own"
        text = (tmp_path / log).read_text()
        assert text.count('"message":"ValueError') == 2
        assert any(it.decode() in text for it in _spellings(MARK.encode())) == said
        assert (MARK in text) == said
    for told in (("why",), ("why", "--json"), ("check", "--json"), ("lint", "--json"), ("play", "--all")):
        assert MARK not in run(*TRACE, *told, "none.jsonl").stdout


def test_no_message_of_bytes_that_are_no_text_in_a_clients_own_line(serve, run, tmp_path):
    """What the client says is left out of its command line however it is spelt."""
    server = serve("--tcp", "127.0.0.1:0")
    said = run(
        sys.executable, "-m", "evloop", "client", "--payload", "none", "--log", "client.jsonl",
        server.address("tcp"), f"{MARK}\udcff",
    )  # fmt: skip
    assert said.returncode == 0
    assert MARK not in (tmp_path / "client.jsonl").read_text()


def _spellings(mark):
    """The marker and its answer, as they are and in base64, wherever in three bytes they begin."""
    import base64  # noqa: PLC0415

    for word in (mark, mark.upper()):
        yield word
        for shift in range(3):
            yield base64.b64encode(b"x" * shift + word)[4:12]


def latency(server, times=300):
    """The median time of an exchange on one connection, in seconds."""
    took = []
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(times):
            began = time.perf_counter()
            client.sendall(b"hello")
            assert client.recv(100) == b"HELLO"
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def join(sock, path):
    """Connect, when the server has let in those before: its queue is short."""
    for _ in range(SECONDS * 100):
        try:
            sock.connect(path)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("nobody was let in")


def memory(server):
    """KiB that it has in memory."""
    with open(f"/proc/{server.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def test_watchers_that_do_what_they_can(serve, begin, tmp_path):
    """One never reads, one talks without end, one is stopped, and two hundred more come: clients are served.

    What that costs is measured elsewhere, on a quiet machine; here it only must not be out of all proportion.
    """
    server = serve("--tcp", "127.0.0.1:0", "--watch", "watch.sock")
    path = str(tmp_path / "watch.sock")
    alone = min(latency(server) for _ in range(2))
    before = memory(server)
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.socket(socket.AF_UNIX))
        silent.connect(path)
        stopped = begin(sys.executable, "-c", READS_SLOWLY)
        stopped.expect("here")
        stopped.send(signal.SIGSTOP)
        over = threading.Event()
        talks = [0]

        def talk():
            """As long as anybody listens, and then again."""
            while not over.is_set():
                with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
                    sock.connect(path)
                    talks[0] += 1
                    while not over.is_set():
                        sock.sendall(bytes(65536))
                over.wait(0.01)

        talker = threading.Thread(target=talk, daemon=True)
        talker.start()
        for _ in range(SECONDS * 100):
            if talks[0] > 1:
                break
            over.wait(0.01)
        assert talks[0] > 1, "who talks is let go"
        crowd = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(200)]
        for sock in crowd:
            join(sock, path)
        told = [sock.makefile("rb") for sock in crowd]
        turned_away = sum(b"no more are let in" in file.read() for file in told[-100:])
        assert turned_away == 100
        beside = min(latency(server) for _ in range(3))
        over.set()
        talker.join(SECONDS)
        stopped.send(signal.SIGCONT)
        for file in told:
            file.close()
        assert memory(server) - before < 20_000
    assert server.stop() == 0
    assert server.complaints == []
    assert beside < max(10 * alone, 0.05)


def test_the_end_waits_for_no_crowd(serve, tmp_path):
    """Watchers that do not read are waited for together, and not one after another."""
    server = serve("--tcp", "127.0.0.1:0", "--watch", "watch.sock", "--payload", "full")
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sock.connect(str(tmp_path / "watch.sock"))
        for _ in range(20):
            exchange(server, bytes(60_000))
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 16 * 0.5
