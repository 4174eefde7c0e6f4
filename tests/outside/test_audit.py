"""`evloop-trace audit`: real servers under strace, and their logs beside what the kernel was really asked."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

SECONDS = 30
AUDIT = (sys.executable, "-P", "-m", "evloop_trace", "audit")
RUN = (sys.executable, "-P", "-m", "evloop_trace", "run")
SERVE = (sys.executable, "-P", "-m", "evloop", "serve")
CLIENT = (sys.executable, "-P", "-m", "evloop", "client")
PROGRAMS = Path(__file__).parent / "programs"
PAGE = (Path(__file__).parents[2] / "docs/audit.md").read_text(encoding="utf-8")

strace = pytest.mark.needs("strace", "ptrace")


@pytest.fixture
def audited(serve):
    """Start a server that is audited; a signal for the audit is the server's."""

    def start(*options):
        return serve("--log", "log.jsonl", *options, prefix=(*AUDIT, "--json", "--"))

    return start


def verdict(server):
    """After the server's end its log and strace must agree. Gives how many calls of each kind agree."""
    said = server.popen.stdout.read()
    code = server.end()
    report = json.loads(said)
    assert report["differences"] == []
    assert (code, report["ok"], report["strace"]) == (0, True, True)
    return {row["call"]: row["agree"] for row in report["calls"]}


def receive(client, size):
    """Exactly so many bytes."""
    while size:
        piece = client.recv(size)
        assert piece
        size -= len(piece)


# -- our loop ------------------------------------------------------------------------------


@pytest.fixture(params=["tcp", "unix"])
def stream(request, audited, tmp_path):
    """A server of one kind, audited, and how to connect to it."""
    kind = request.param
    server = audited(f"--{kind}", "127.0.0.1:0" if kind == "tcp" else "here.sock", "--watch", "watch.sock")

    def connect():
        client = socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
        client.settimeout(SECONDS)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port()) if kind == "tcp" else str(tmp_path / "here.sock"))
        return client

    return kind, server, connect


@strace
def test_conversations_and_half_closes(stream):
    """Several at once, one that half-closes and one that is still there when the server stops."""
    _, server, connect = stream
    with connect() as one, connect() as two, connect() as stays:
        for client in (one, two, stays, one):
            client.sendall(b"hello")
            receive(client, 5)
        two.sendall(b"last")
        two.shutdown(socket.SHUT_WR)
        receive(two, 4)
        assert two.recv(1) == b""
        one.close()
        server.send()
        assert stays.recv(1) == b""
        stays.close()
    same = verdict(server)
    assert same["send"] == 5
    assert same["shutdown"] == 1
    assert same["close"] == 4
    assert same["epoll_wait"] == len(server.events("poll"))


@pytest.mark.needs("curl", "ncat", "socat")
def test_the_clients_of_the_page(serve, run):
    """What docs/audit.md tells to type ends by itself, prints what stands there, and makes such calls."""
    _, clients, table, *_ = re.findall(r"```(?:console)?\n(.*?)```", PAGE, re.DOTALL)
    server = serve("--log", "log.jsonl", "--tcp", "127.0.0.1:0", "--unix", "here.sock")
    for typed in clients.split("$ ")[1:]:
        command, _, printed = typed.partition("\n")
        done = run("sh", "-c", re.sub(r"\b8080\b", str(server.port()), command))
        assert done.stdout.splitlines() == printed.splitlines(), command
    server.stop()
    rows = [line.split() for line in table.splitlines()]
    told = {row[0]: int(row[1]) for row in rows if row[0] in {"accept", "recv", "send", "close"}}
    assert {call: len(server.events(call)) for call in told} == told


@strace
def test_partial_sends(stream, watch):
    """A client that reads late: the kernel takes a part, or nothing (EAGAIN), and then the rest."""
    _, server, connect = stream
    watcher, sent, enough = watch(), 0, threading.Event()

    def talk():
        nonlocal sent
        while not enough.is_set():
            sent += client.send(bytes(1 << 16))
        client.shutdown(socket.SHUT_WR)

    with connect() as client:
        talker = threading.Thread(target=talk)
        talker.start()
        watcher.until("send", lambda event: event.get("n") != event["size"])
        enough.set()
        received = 0
        while data := client.recv(1 << 20):
            received += len(data)
        talker.join(SECONDS)
    server.send()
    verdict(server)
    assert sum(event.get("n", 0) for event in server.events("send")) == received == sent


@strace
def test_resets(stream, watch):
    """A client that resets, and one that leaves with megabytes unread: an errno is an ending."""
    kind, server, connect = stream
    watcher = watch()
    with connect() as client:
        client.sendall(b"hello")
        receive(client, 5)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    watcher.until("close")
    with connect() as client:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(bytes(1 << 16))
        watcher.until("send")
    watcher.until("close")
    server.send()
    verdict(server)
    first, second = [event for event in server.events("close") if "conn" in event]
    assert first.get("errno") == ("ECONNRESET" if kind == "tcp" else None)
    assert (second["reason"], second["errno"] in {"ECONNRESET", "EPIPE"}) == ("error", True)


@strace
@pytest.mark.parametrize(
    ("options", "selector"), [((), "select"), (("--recv-size", "100"), "poll")], ids=["recvfrom", "recvmsg"]
)
def test_datagrams(audited, options, selector):
    """Datagrams of no bytes, of few and of many; a small --recv-size cuts them, and recvmsg tells of it."""
    server = audited("--udp", "127.0.0.1:0", "--selector", selector, *options)
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(SECONDS)
        client.connect(("127.0.0.1", server.port("udp")))
        for size in (5, 0, 1, 1400, 65507):
            client.send(b"x" * size)
            assert client.recv(65535) == b"X" * min(size, 100 if options else size)
    server.send()
    same = verdict(server)
    assert (same["sendto"], same[selector]) == (5, len(server.events("poll")))
    assert any(event.get("truncated") for event in server.events("recvfrom")) == bool(options)


@strace
def test_a_server_that_is_killed(audited):
    """Its log has no end: what the log has must be so, and what it could not write any more is left out."""
    server = audited("--tcp", "127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        for _ in range(2):
            client.sendall(b"hello")
            receive(client, 5)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
        inside = Path(f"/proc/{int(children)}/task/{int(children)}/children").read_text()
        os.kill(int(inside), signal.SIGKILL)
        same = verdict(server)
    assert same["accept"] == 2  # the second found nobody


# -- any program ---------------------------------------------------------------------------


@strace
def test_a_program_under_the_instrument(run):
    """Every call that Python has, time-outs and threads: one event stands for all that strace saw of it."""
    done = run(*AUDIT, "--json", "--", *RUN, str(PROGRAMS / "calls.py"))
    report = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, report["differences"]) == (0, [])
    counts = {row["call"]: row["log"] for row in report["calls"]}
    assert counts["accept"] > 1
    assert counts["recv"] > 10


@strace
def test_a_thread_for_each_client(serve):
    """Threads sleep in accept and recv at once; strace's lines of them are torn in two."""
    server = serve(
        "--model", "threaded", "--tcp", "127.0.0.1:0", "--log", "log.jsonl", prefix=(*AUDIT, "--json", "--")
    )
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", server.port())
        clients = [stack.enter_context(socket.create_connection(address, SECONDS)) for _ in range(4)]
        for client in clients * 3:
            client.sendall(b"hello")
            receive(client, 5)
    server.send(signal.SIGTERM)
    same = verdict(server)
    assert (same["send"], same["close"]) == (12, 5)


# -- what differs --------------------------------------------------------------------------


SWAP = """
import json, sys
lines = [json.loads(line) for line in open("log.jsonl")]
recv = next(event for event in lines if event["ev"] == "recv")
lines.remove(recv)
send = next(event for event in lines if event["ev"] == "send")
send["n"] += 1
with open("log.jsonl", "w") as file:
    file.writelines(json.dumps(event) + "\\n" for event in lines)
"""


@strace
def test_a_log_that_lies_is_found_out(run, tmp_path):
    """A recv that is missing, and a send with another result: both are shown, each with its lines."""
    served = [*RUN, "--log", "log.jsonl", str(PROGRAMS / "asynchronous.py")]
    script = '"$@" && exec python3 swap.py'
    (tmp_path / "swap.py").write_text(SWAP)
    command = [*AUDIT, "--log", "log.jsonl", "--json", "--", "sh", "-c", script, "sh", *served]
    done = run(*command)
    report = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, report["ok"]) == (1, False)
    missing, other = sorted(report["differences"], key=lambda it: it["kind"])[:2]
    assert (missing["kind"], missing["call"], missing["log"]) == ("not-in-log", "recv", "")
    assert missing["strace"].startswith("recvfrom(")
    assert (other["kind"], other["call"]) == ("result", "send")
    assert json.loads(other["log"])["n"] == int(other["strace"].rpartition("= ")[2]) + 1


@strace
def test_it_is_read_at_a_glance(run):
    """asyncio's calls: the table and the verdict fit on a screen, and the program's output is left alone."""
    done = run(*AUDIT, "--", *RUN, str(PROGRAMS / "asynchronous.py"))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert any(line.split() == ["call", "log", "strace", "agree"] for line in lines)
    assert lines[-1].startswith("the log and strace agree: ")
    table = lines[lines.index(next(line for line in lines if line.startswith("call "))) :]
    assert len(table) <= 24
    assert max(map(len, table)) <= 80


# -- the kernel's counters -----------------------------------------------------------------


SCENE = """
"$@" 2>said & server=$!
until [ "$(grep -c ^listening said)" = 2 ]; do sleep 0.05; done
tcp=$(sed -n 's/^listening tcp //p' said) udp=$(sed -n 's/^listening udp //p' said)
{client} "$tcp" one two; {client} "udp:$udp" four
kill -INT $server; wait $server
"""


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("traced", [pytest.param(True, marks=strace), False], ids=["strace", "no strace"])
def test_counters_of_a_network_of_its_own(run, tmp_path, traced):
    """In a lab the kernel's counters are the server's and its clients' alone; without strace they are all."""
    server = [*SERVE, "--log", "log.jsonl", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]
    words = [*AUDIT, "--json", "--lab", "--log", "log.jsonl", "--", "sh", "-c"]
    words += [SCENE.format(client=" ".join(CLIENT)), "sh", *server]
    path = os.environ["PATH"]
    if not traced:
        for name in ("sh", "sed", "grep", "sleep", "cat"):
            (tmp_path / "bin").mkdir(exist_ok=True)
            (tmp_path / "bin" / name).symlink_to(shutil.which(name))
        path = str(tmp_path / "bin")
    done = run(*words, env={**os.environ, "PATH": path})
    report = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, report["strace"], report["differences"]) == (0, traced, [])
    counters = {it["counter"]: (it["log"], it["kernel"]) for it in report["counters"]}
    assert counters["PassiveOpens"] == (1, 1)
    assert counters["InDatagrams"] == (1, 2)
    assert ("apt install strace" in done.stderr) == (not traced)


@strace
@pytest.mark.needs("namespaces")
def test_what_strace_made_up_is_not_in_the_kernels_counters(run):
    """The reset of docs/audit.md: the kernel never saw one, the log is right, and both is said."""
    scene = """
        "$@" 2>said & server=$!
        until grep -q ^listening said; do sleep 0.05; done
        {client} "$(sed -n 's/^listening tcp //p' said)" one
        kill -INT $server; wait $server
    """
    words = [*AUDIT, "--json", "--lab", "--log", "log.jsonl", "--inject", "recvfrom:error=ECONNRESET:when=2"]
    words += ["--", "sh", "-c", scene.format(client=" ".join(CLIENT)), "sh"]
    done = run(*words, *SERVE, "--log", "log.jsonl", "--tcp", "127.0.0.1:0")
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["injected"] == {"recvfrom": 1}, "the fault has fired"
    assert (done.returncode, report["differences"]) == (0, [])
    counters = {it["counter"] for it in report["counters"]}
    assert "PassiveOpens" in counters
    assert "EstabResets" not in counters
    assert sum("EstabResets" in sentence for sentence in report["not_compared"]) == 1


def test_nothing_to_compare_is_no_agreement(run, tmp_path):
    """Without strace, and in a network of others, the exit code is 2."""
    program = tmp_path / "program.py"
    program.write_text("import socket\nsocket.socket().close()\n")
    command = [sys.executable, "-m", "evloop_trace", "run", str(program)]
    (tmp_path / "bin").mkdir()
    done = run(*AUDIT, "--", *command, env={**os.environ, "PATH": str(tmp_path / "bin")})
    assert (done.returncode, done.stdout.splitlines()[-1]) == (2, "nothing could be compared")


@strace
def test_a_program_without_sockets_is_no_agreement(run, tmp_path):
    """Nothing was called that a log has: no table, and the exit code is 2, in JSON, too."""
    (tmp_path / "program.py").write_text("print(1)\n")
    done = run(*AUDIT, "--", *RUN, "program.py")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (2, "nothing could be compared")
    assert "agree" not in done.stdout
    done = run(*AUDIT, "--json", "--", *RUN, "program.py")
    report = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, report["strace"], report["calls"]) == (2, True, [])


@strace
def test_what_strace_wrote_is_kept_but_not_through_a_link(run, tmp_path):
    """strace(1) would follow one: in a shared folder anybody could have laid it."""
    program, kept, shared = (tmp_path / name for name in ("program.py", "kept.txt", "shared"))
    program.write_text("import socket\nsocket.socket().close()\n")
    command = ["--", sys.executable, "-m", "evloop_trace", "run", str(program)]
    assert run(*AUDIT, "--strace", str(kept), *command).returncode == 0
    assert b"close(" in (before := kept.read_bytes())
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "link").symlink_to(kept)
    done = run(*AUDIT, "--strace", str(shared / "link"), *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "symbolic link" in done.stderr
    assert kept.read_bytes() == before


@strace
@pytest.mark.needs("namespaces")
def test_a_full_disk_under_strace_is_no_difference(run, tmp_path):
    """What strace could not write is not missing in the log: one sentence, and no verdict."""
    (tmp_path / "full").mkdir()
    (tmp_path / "program.py").write_text("import socket\nsocket.socket().close()\n")
    mount = 'mount -t tmpfs -o size=8k none full && TMPDIR=full exec "$@"'
    command = [*AUDIT, "--log", "log.jsonl", "--", *RUN, "program.py"]
    done = run("unshare", "-Urm", "--", "sh", "-c", mount, "sh", *command)
    said = done.stderr.splitlines()
    assert any(line.startswith("strace: ") and "No space left" in line for line in said), "there was room"
    (sentence,) = [line for line in said if not line.startswith("strace: ")]
    assert (done.returncode, done.stdout) == (2, "")
    assert "what strace wrote is not whole" in sentence
    assert "TMPDIR" in sentence


@pytest.mark.parametrize("same", ["log.jsonl", "./log.jsonl", "link", "hard"])
def test_the_log_is_not_where_strace_is_kept(run, tmp_path, same):
    """Whatever its name: else the one would be poured over the other, and the verdict stand."""
    (tmp_path / "log.jsonl").write_text("precious")
    (tmp_path / "link").symlink_to("log.jsonl")
    (tmp_path / "hard").hardlink_to(tmp_path / "log.jsonl")
    done = run(*AUDIT, "--log", "log.jsonl", "--strace", same, "--", *CLIENT, "127.0.0.1:1", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "evloop-trace: --log and --strace would write the same file: name two\n"
    assert (tmp_path / "log.jsonl").read_text() == "precious"


def test_without_strace_nothing_of_it_is_kept(run, tmp_path):
    """What was in the file is there yet."""
    (tmp_path / "kept.txt").write_text("precious")
    (tmp_path / "bin").mkdir()
    command = [*AUDIT, "--strace", "kept.txt", "--", *CLIENT, "127.0.0.1:1", "x"]
    done = run(*command, env={**os.environ, "PATH": str(tmp_path / "bin")})
    assert "kept.txt stays as it is" in done.stderr
    assert (tmp_path / "kept.txt").read_text() == "precious"


@strace
@pytest.mark.needs("namespaces")
def test_what_strace_wrote_has_no_room_where_it_is_kept(run, tmp_path):
    """That is said; the comparison is none the worse."""
    (tmp_path / "full").mkdir()
    mount = 'mount -t tmpfs -o size=8k none full && exec "$@"'
    command = [*AUDIT, "--log", "log.jsonl", "--strace", "full/kept.txt", "--", *CLIENT, "127.0.0.1:1", "x"]
    done = run("unshare", "-Urm", "--", "sh", "-c", mount, "sh", *command)
    assert "full/kept.txt is not whole: No space left on device" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("the log and strace agree: ")


@pytest.mark.parametrize(
    "command", [[*SERVE, "--no-such-option"], [*CLIENT, "--no-such-option"], [*RUN, "nothing-here.py"]]
)
def test_a_command_that_wrote_no_log(run, command):
    """Nobody has named the file that it was given, and so it is not named."""
    done = run(*AUDIT, "--", *command)
    assert (done.returncode, done.stdout) == (2, "")
    *_, last = done.stderr.splitlines()
    assert last.endswith("the command ended with exit code 2: it wrote none")


# -- usage ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_told_to_end_leaves_nothing(tmp_path, number):
    """After the command's end, while the log is read: here one that somebody never writes."""
    pipe, temp = tmp_path / "pipe", tmp_path / "temp"
    os.mkfifo(pipe)
    temp.mkdir()
    command = [*AUDIT, "--log", str(pipe), "--", "true"]
    audit = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(temp)}, stderr=subprocess.PIPE)
    with audit, pipe.open("wb"):  # which waits for a reader
        assert list(temp.iterdir())
        audit.send_signal(number)
        _, said = audit.communicate(timeout=60)
    assert audit.returncode == -number
    assert b"Traceback" not in said
    assert list(temp.iterdir()) == []


@strace
@pytest.mark.parametrize("fault", ["accept9:error=EMFILE", "accept4:error=ENOPE", "accept4:when=x", ""])
def test_a_fault_that_strace_does_not_know(run, fault):
    """One sentence, and nothing was started."""
    done = run(*AUDIT, "--inject", fault, "--", *SERVE, "--tcp", "127.0.0.1:0")
    assert (done.returncode, done.stdout) == (2, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"evloop-trace: --inject {fault}: invalid ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--", "true"], "names no --log"),
        (["--log", "a", "--", "/nothing/here"], "cannot be started"),
        (["--", *SERVE, "--tcp", "here"], "there is no log to compare"),
    ],
)
def test_wrong_usage_is_one_sentence(run, arguments, said):
    """It says what is wrong, and ends with 2."""
    done = run(*AUDIT, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
