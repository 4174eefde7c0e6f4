"""Faults that are made to happen: who is not hit is served, the log tells what failed, and each one fired."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

import pytest

SECONDS = 30
TRACE = (sys.executable, "-P", "-m", "evloop_trace")


def talk(port, said=b"hello"):
    """One exchange with a server; what came of it: the reply, or why there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
            client.sendall(said)
            got = b""
            while len(got) < len(said) and (piece := client.recv(100)):
                got += piece
            return got or "ended"
    except ConnectionError:
        return "ended"


def checked(run, name="log.jsonl", **how):
    """What `evloop-trace check` finds in the log, by kind."""
    return json.loads(run(*TRACE, "check", "--json", name, **how).stdout)["counts"]


# -- system calls that fail: strace -e inject -----------------------------------------------


FAULTS = {
    "short of descriptors, resets": (
        "accept4:error=EMFILE:when=1..2", "recvfrom:error=ECONNRESET:when=2", "sendto:error=EPIPE:when=3",
        "epoll_wait:error=EINTR:when=2+4", "epoll_ctl:error=ENOMEM:when=12",
    ),
    "aborted, no memory, no buffers": (
        "accept4:error=ECONNABORTED:when=1+3", "recvfrom:error=ENOMEM:when=2", "sendto:error=ENOBUFS:when=9",
        "epoll_ctl:error=ENOSPC:when=6",
    ),
    "a firewall, signals, no room": (
        "accept4:error=EPERM:when=2+3", "recvfrom:error=EINTR:when=2+3", "sendto:error=EAGAIN:when=2+4",
        "write:error=EINTR:when=2+3",
    ),
    "short of buffers, a full disk": (
        "accept4:error=ENOBUFS:when=3", "recvfrom:error=EAGAIN:when=1+3", "sendto:error=EINTR:when=1+2",
        "write:error=ENOSPC:when=8..10",
    ),
}  # fmt: skip


@pytest.mark.needs("strace", "ptrace")
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_system_calls_fail(serve, run, faults):
    """At most those who were hit have no answer; strace's faults and the log's errnos are the same."""
    inject = [word for fault in faults for word in ("--inject", fault)]
    server = serve(
        "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--log", "log.jsonl",
        prefix=(*TRACE, "audit", "--json", *inject, "--"),
    )  # fmt: skip
    outcomes = Counter(talk(server.port()) for _ in range(10))
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", server.port("udp")))
        client.settimeout(SECONDS)
        client.send(b"x")
        if "sendto:error=EAGAIN" not in " ".join(faults):  # then a datagram may go nowhere, as on any day
            assert client.recv(9) == b"X"
    assert talk(server.port()) == b"HELLO"
    server.send()
    report = json.loads(server.popen.stdout.read())
    server.end()
    assert outcomes.keys() <= {b"HELLO", "ended"}
    assert outcomes["ended"] <= 3
    assert set(report["injected"]) == {fault.partition(":")[0] for fault in faults}, "each fault has fired"
    assert not any("Traceback" in line for line in server.said)
    # A full disk loses lines, and the log says how many; else it tells of every call, also if it failed.
    full = any("ENOSPC:when=8" in fault for fault in faults)
    lost = sum(event["lost"] for event in server.events("gap"))
    assert bool(lost) == full
    assert len(report["differences"]) <= lost
    assert checked(run) == ({"lost": 1} if full else {})
    assert not any(line.startswith("the command ended") for line in report["not_compared"]), (
        "its exit code is 0"
    )


# -- descriptors ----------------------------------------------------------------------------


def test_no_more_descriptors(serve, watch):
    """The limit is lowered while it runs: one shortage in the log, few tries, and who waited is served."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", "--watch", "watch.sock")
    watcher = watch()
    first = socket.create_connection(("127.0.0.1", server.port()), SECONDS)
    highest = watcher.until("accept", lambda event: "fd" in event)[-1]["fd"]
    before = resource.prlimit(
        server.pid, resource.RLIMIT_NOFILE, (highest + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    with first, socket.create_connection(("127.0.0.1", server.port()), SECONDS) as waits:
        waits.sendall(b"I wait")
        watcher.until("accept", lambda event: event.get("errno") == "EMFILE")
        first.sendall(b"still there")
        assert first.recv(100) == b"STILL THERE"
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)
        waits.settimeout(SECONDS)
        assert waits.recv(100) == b"I WAIT"
    assert server.stop() == 0
    limits = [(event["what"], event["active"]) for event in server.events("limit")]
    assert limits == [("accept: Too many open files", True), ("accept: Too many open files", False)]


@pytest.mark.needs("namespaces")
def test_a_rotated_log_on_a_full_disk(serve, run, tmp_path):
    """It is told once, and what is written when there is room again makes a log that says what is missing."""
    (tmp_path / "disk").mkdir()
    mount = 'mount -t tmpfs -o size=256k none disk && cd disk && exec "$@"'
    server = serve(
        "--tcp", "127.0.0.1:0", "--log", "log.jsonl", "--log-max-bytes", "65536", "--log-keep", "8",
        prefix=("unshare", "-Urm", "--", "sh", "-c", mount, "sh"),
    )  # fmt: skip
    inside = f"/proc/{server.pid}/cwd"  # the mount is seen by the server alone
    with open(f"{inside}/filler", "wb") as file:
        file.write(bytes(100_000))
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:

        def talks():
            client.sendall(b"x" * 60)
            assert client.recv(60)

        while not select.select([server.popen.stderr], [], [], 0)[0]:
            talks()
        server.expect("cannot be written .*: serving goes on without it")
        os.unlink(f"{inside}/filler")
        for _ in range(3):
            talks()
    server.expect("can be written again; [0-9]+ events are missing")
    keep = os.open(inside, os.O_RDONLY)  # what is in the folder outlives the server
    assert server.stop() == 0
    assert len(server.complaints) == 2
    assert checked(run, f"/proc/{os.getpid()}/fd/{keep}/log.jsonl") == {"lost": 1}
    os.close(keep)


# -- who reads the log ----------------------------------------------------------------------


def test_a_log_pipe_that_nobody_reads(serve):
    """It fills up: the server serves on, says so once, and the log tells how much is missing."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "-", "--payload", "full")
    for _ in range(40):
        assert talk(server.port(), b"x" * 4096)[:1] == b"X"
    server.expect("its reader does not keep up")
    with server.popen.stdout as pipe:
        said = b""
        while b'"ev":"gap"' not in said:  # then it has caught up, and there is room for its end
            assert talk(server.port()) == b"HELLO"
            while select.select([pipe], [], [], 0)[0]:
                said += os.read(pipe.fileno(), 1 << 16)
        server.send()
        said += pipe.read()
    events = [json.loads(line) for line in said.splitlines()]
    assert server.end() == 0
    assert len(server.complaints) == 1
    seqs = [event["seq"] for event in events]
    gaps = [event["lost"] for event in events if event["ev"] == "gap"]
    assert sum(gaps) > 0
    assert sum(gaps) - len(gaps) == seqs[-1] + 1 - len(seqs), (
        "each gap has the number of the last that is lost"
    )


def test_a_watcher_is_stopped_and_killed(serve, begin, tmp_path):
    """Stopped, it misses events and nobody waits for it; then it is told; killed, it is let go."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", "--payload", "full", "--watch", "watch.sock")
    with open(tmp_path / "seen", "wb") as seen:
        watcher = begin("socat", "-u", "UNIX-CONNECT:watch.sock", "-", stdout=seen)
        assert talk(server.port()) == b"HELLO"
        while b'"snapshot"' not in (tmp_path / "seen").read_bytes():
            talk(server.port())
        watcher.send(signal.SIGSTOP)
        for _ in range(150):
            assert talk(server.port(), b"y" * 8192)[:1] == b"Y"
        watcher.send(signal.SIGCONT)
        while b'"gap"' not in (tmp_path / "seen").read_bytes():
            assert talk(server.port()) == b"HELLO"
        assert watcher.stop(signal.SIGKILL) == -signal.SIGKILL
    assert talk(server.port()) == b"HELLO"
    assert server.stop() == 0
    assert not server.complaints
    events = server.events()
    assert [event["seq"] for event in events] == list(range(len(events))), "the log misses nothing"


# -- processes that stop --------------------------------------------------------------------


def test_the_server_is_stopped_for_a_while(serve, run):
    """The kernel goes on accepting and acknowledging; afterwards all are answered, and time-outs are due."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", "--idle-timeout", "0.4")
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as idle:
        idle.settimeout(SECONDS)
        idle.sendall(b"first")
        assert idle.recv(100) == b"FIRST"
        server.send(signal.SIGSTOP)
        os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)
        clients = [socket.create_connection(("127.0.0.1", server.port()), SECONDS) for _ in range(3)]
        for client in clients:
            client.sendall(b"hello")
        server.popen.poll()
        deadline = time.monotonic() + 0.5  # that its timer is due is what this is about
        while time.monotonic() < deadline:
            os.sched_yield()
            time.sleep(0.05)
        server.send(signal.SIGCONT)
        for client in clients:
            client.settimeout(SECONDS)
            assert client.recv(100) == b"HELLO"
            client.close()
        assert idle.recv(100) == b""
    assert server.stop() == 0
    assert checked(run) == {}
    assert [event["reason"] for event in server.events("close")].count("idle-timeout") == 1
    assert max(event["late"] for event in server.events("timer")) > 50_000_000, "it was stopped meanwhile"


def test_a_client_is_stopped(serve, begin, watch):
    """It reads no more, with megabytes on the way: others are served, and it gets all when it goes on."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", "--watch", "watch.sock")
    watcher, size = watch(), 12_000_000
    script = (
        "import socket, sys, threading\n"
        f"sock = socket.create_connection(('127.0.0.1', {server.port()}))\n"
        f"def say():\n sock.sendall(bytes({size}))\n sock.shutdown(socket.SHUT_WR)\n"
        "threading.Thread(target=say).start()\n"
        "print('talks', file=sys.stderr, flush=True)\n"
        "input()\nprint(sum(map(len, iter(lambda: sock.recv(1 << 16), b''))))\n"
    )
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as client:
        os.close(read)
        assert client.stderr.readline() == b"talks\n"
        watcher.until("send", lambda event: event.get("n") != event["size"])
        client.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, client.pid, os.WSTOPPED | os.WNOWAIT)
        assert [talk(server.port()) for _ in range(3)] == [b"HELLO"] * 3
        client.send_signal(signal.SIGCONT)
        os.write(write, b"\n")
        os.close(write)
        assert int(client.stdout.read()) == size
    assert server.stop() == 0


# -- clocks ---------------------------------------------------------------------------------


SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
/* Adds to each clock the seconds that stand in a file: first the wall's, then the monotonic one's. */
static int (*real)(clockid_t, struct timespec *);
static volatile long *shift;
int clock_gettime(clockid_t id, struct timespec *at) {
    if (!real) {
        int fd = open(getenv("SHIFT"), O_RDONLY);
        shift = mmap(0, 16, PROT_READ, MAP_SHARED, fd, 0);
        real = dlsym(RTLD_NEXT, "clock_gettime");
    }
    int failed = real(id, at);
    at->tv_sec += id == CLOCK_REALTIME ? shift[0] + shift[1] : id == CLOCK_MONOTONIC ? shift[1] : 0;
    return failed;
}
"""


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("step", [3600, -3600])
def test_the_time_of_day_is_set(serve, run, tmp_path, step):
    """Timers go by the other clock; the log has both, `check` says so, and a timeline is drawn."""
    (tmp_path / "shim.c").write_text(SHIM)
    built = run("gcc", "-shared", "-fPIC", "-O1", "-o", "shim.so", "shim.c", "-ldl")
    assert built.returncode == 0, built.stderr
    shift = tmp_path / "shift"
    shift.write_bytes(bytes(16))
    environment = {**os.environ, "LD_PRELOAD": str(tmp_path / "shim.so"), "SHIFT": str(shift)}
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", "--idle-timeout", "60", env=environment)

    def set_clocks(wall, monotonic):
        with open(shift, "r+b") as file:
            file.write(wall.to_bytes(8, "little", signed=True) + monotonic.to_bytes(8, "little", signed=True))

    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        client.settimeout(SECONDS)
        for wall, monotonic in ((0, 0), (step, 11), (step, 22)):  # the clocks are read again every 10 s
            set_clocks(wall, monotonic)
            for _ in range(
                2
            ):  # with the second answer the tick of the first is over, and the clocks are read
                client.sendall(b"hello")
                assert client.recv(5) == b"HELLO"
    assert server.stop() == 0
    clocks = server.events("clock")
    assert len(clocks) >= 2
    header = server.events()[0]
    moved = (clocks[-1]["wall_ns"] - clocks[-1]["mono_ns"]) - (header["wall_ns"] - header["mono_ns"])
    assert abs(moved - step * 10**9) < 10**9, "the step has happened"
    assert [event["reason"] for event in server.events("close") if "conn" in event] == ["eof"], (
        "nobody timed out"
    )
    assert checked(run) == {"clock-step": 1}
    drawn = run(*TRACE, "timeline", "log.jsonl")
    assert (drawn.returncode, "Traceback" in drawn.stderr) == (0, False)
    assert "set" in drawn.stdout + drawn.stderr


# -- the C library --------------------------------------------------------------------------


@pytest.mark.needs("fiu-run")
def test_the_library_fails_at_random(serve, run):
    """Of each three calls on a socket one fails, with any errno: every client has an answer, or an end."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", prefix=("fiu-run", "-x", "-f", "fiu"))
    pid = server.pid  # fiu-run has become it
    on = run("fiu-ctrl", "-f", "fiu", "-c", "enable_random name=posix/io/net/*,probability=0.3", str(pid))
    assert on.returncode == 0, on.stderr
    outcomes = Counter(talk(server.port()) for _ in range(60))
    assert set(outcomes) == {b"HELLO", "ended"}
    off = run("fiu-ctrl", "-f", "fiu", "-c", "disable name=posix/io/net/*", str(pid))
    assert off.returncode == 0, off.stderr
    assert talk(server.port()) == b"HELLO"
    assert server.stop() == 0
    assert not server.complaints
    assert server.events("header")[0]["pid"] == pid
    failed = [event for event in server.events("recv", "send") if event.get("errno", "EAGAIN") != "EAGAIN"]
    assert len(failed) >= outcomes["ended"] > 0
    reasons = Counter(event["reason"] for event in server.events("close") if "conn" in event)
    assert reasons["error"] >= outcomes["ended"]
    assert reasons.total() == 61
    assert checked(run) == {}
