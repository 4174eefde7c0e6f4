"""`evloop-trace run`: real programs, with and without; nobody can tell, and the log is whole."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from evloop_trace.checking import check_log
from evloop_trace.logs import family

SECONDS = 30
PROGRAMS = Path(__file__).parent / "programs"
RUN = (sys.executable, "-P", "-m", "evloop_trace", "run", "--log")
LOG = "log.jsonl"


def how(*arguments: str, traced: bool) -> list[str]:
    """The command that runs a program, with a log or without."""
    name, *rest = arguments
    program = [*arguments] if name == "-m" else [str(PROGRAMS / name), *rest]
    return [*RUN, LOG, *program] if traced else [sys.executable, *program]


def fixed(text: str) -> str:
    """Without what is another each time: addresses of memory, ports, process numbers."""
    text = re.sub(r"\b0x[0-9a-f]+", "0x", text)
    return re.sub(r"\('127\.0\.0\.1', \d+\)|^\d{4,}$|\(pid=\d+\)", "some", text, flags=re.MULTILINE)


@pytest.fixture
def both(run):
    """Run a program without and with us, assert that nobody can tell; gives what it was with us."""

    def start(*arguments):
        with ThreadPoolExecutor() as pool:
            commands = [how(*arguments, traced=traced) for traced in (False, True)]
            plain, traced = pool.map(lambda command: run(*command), commands)
        assert fixed(traced.stdout) == fixed(plain.stdout)
        assert fixed(traced.stderr) == fixed(plain.stderr)
        assert traced.returncode == plain.returncode
        return traced

    return start


@pytest.fixture
def check(tmp_path):
    """Assert what `evloop-trace check` finds in the log of each of a run's processes."""

    def assert_finds(*kinds, log=LOG):
        for path in family(str(tmp_path / log)):
            lines = []
            check_log(path, lines.append, everything=False, as_json=True)
            report = json.loads("".join(lines))
            assert list(report["counts"]) == list(kinds), report

    return assert_finds


@pytest.fixture
def logged(tmp_path):
    """The events of a log, or those of some kinds."""

    def read(*kinds, log=LOG):
        written = (tmp_path / log).read_bytes().partition(b"\0")[0]  # it may still grow
        lines = written.rpartition(b"\n")[0].splitlines()
        events = [json.loads(line) for line in lines]
        return [event for event in events if not kinds or event["ev"] in kinds]

    return read


def children(folder: Path) -> list[str]:
    """The logs of the other processes."""
    return sorted(path.name for path in folder.glob(f"{LOG}.*"))


WAITS_FOR = {"one_by_one.py": "inet_csk_accept", "postcards.py": "__skb_wait_for_more_packets"}


class Served:
    """A program that prints its port first."""

    def __init__(self, begin, *arguments, traced=True):
        self.process = begin(*how(*arguments, traced=traced))
        self.port = self.process.popen.stdout.readline().decode().strip()

    def rest(self) -> str:
        """What else it prints."""
        return self.process.popen.stdout.read().decode()


# -- the seven programs that everybody begins with -------------------------------------------


@pytest.mark.parametrize(
    ("server", "client", "said", "last"),
    [
        ("one_call.py", "say_once.py", "", None),
        ("one_client.py", "say_all.py", "hello\n\nla 哈哈哈\n", None),
        ("one_by_one.py", "say_all.py", "hello\nla\n", signal.SIGINT),  # its traceback says where it was
        ("postcards.py", "write_postcards.py", "hello\n\nla\n", signal.SIGTERM),
    ],
)
def test_the_first_programs(begin, run, check, tmp_path, server, client, said, last):
    """A server and its client print and end as ever, with prompts and tracebacks; both logs are whole."""
    told = []
    for traced in (False, True):
        served = Served(begin, server, traced=traced)
        command = how(client, served.port, traced=traced)
        asked = run(*(word.replace(LOG, "client.jsonl") for word in command), said=said)
        if last:
            until_it_is_in(WAITS_FOR[server], served.process.pid)
            served.process.send(last)
        told.append((served.rest(), served.process.end(), served.process.said, asked))
    plain, traced = told
    assert fixed(traced[0]) == fixed(plain[0])
    assert traced[1:3] == plain[1:3]
    for part in ("stdout", "stderr", "returncode"):
        assert getattr(traced[3], part) == getattr(plain[3], part)
    check(*["no-end"] * (last == signal.SIGTERM))
    check(log="client.jsonl")


def test_a_prompt_on_a_terminal(begin, tmp_path):
    """At a terminal, too, the prompt is the program's, and the keys are its input."""
    served = Served(begin, "one_client.py", traced=False)
    master, slave = pty.openpty()
    command = how("say_all.py", served.port, traced=True)
    client = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=tmp_path)
    os.close(slave)
    seen = b""
    for until, key in ((b"say: ", b"hello\n"), (b"HELLO\r\nsay: ", b"\x04")):
        while until not in seen:
            assert select.select([master], [], [], SECONDS)[0], seen
            seen += os.read(master, 1000)
        os.write(master, key)
    assert client.wait(SECONDS) == 1
    os.close(master)


# -- programs of every kind ------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    ["receiving", "sending", "large", "full", "connecting", "datagrams", "passing", "polling", "collected",
     "encrypted"],
)  # fmt: skip
def test_every_call(both, check, call):
    """Every call on a socket gives what it gives without us, the numbers of descriptors among it."""
    assert both("calls.py", call).returncode == 0
    check()


@pytest.mark.parametrize("kind", ["tcp", "threading", "udp", "http"])
def test_socketserver(both, check, kind):
    """The servers of the standard library."""
    assert both("serving.py", kind).returncode == 0
    check()


def test_a_server_that_forks(both, check, logged, tmp_path):
    """Each forked child has a log: what it inherited, and what it did with it."""
    assert both("serving.py", "forking").returncode == 0
    check()
    names = children(tmp_path)
    assert len(names) == 2
    header = logged("header")[0]
    for name in names:
        child, *_ = logged(log=name)
        assert (child["run"], child["parent"], child["mono_ns"]) == (
            header["run"], header["pid"], header["mono_ns"],
        )  # fmt: skip
        assert name == f"{LOG}.{child['pid']}"
        assert [event["listens"] for event in logged("inherit", log=name) if "listens" in event] == [True]
        assert [event["n"] for event in logged("send", log=name)] == [6, 6]


def test_os_fork(both, check, logged, tmp_path):
    """A child that uses no socket leaves no log."""
    assert both("forking.py").returncode == 0
    check()
    assert len(children(tmp_path)) == 2
    for name in children(tmp_path):
        assert logged(log=name)[-1]["reason"] == "exit"


def test_processes(both, check, logged, tmp_path):
    """multiprocessing's three ways, and a Python that is started; not one that ignores its environment."""
    assert both("processes.py").returncode == 0
    check()
    run = logged("header")[0]["run"]
    names = children(tmp_path)
    for name in names:
        check(log=name)
        assert logged(log=name)[0]["run"] == run
    peers = {event["peer"] for event in logged("accept")}
    locals_ = [event["local"] for name in names for event in logged("connect", log=name)]
    assert peers == set(locals_)
    commands = [logged(log=name)[0]["argv"] for name in names]
    assert sum(command[0] == "-c" and "socketpair" in command[1] for command in commands) == 1


def test_asyncio(both, check, logged):
    """Streams, protocols, datagrams and a subprocess on asyncio's loop."""
    assert both("asynchronous.py").returncode == 0
    check()
    assert {event["why"] for event in logged("poll")} >= {"select.epoll.poll"}
    assert any(event["where"].startswith("asynchronous.py") or "asyncio" in event["where"]
               for event in logged("send"))  # fmt: skip


def test_a_selector(begin, check, logged):
    """The loop of every textbook: what it watches, when it sleeps, and what is ready."""
    served = Served(begin, "selecting.py")
    while not logged("block"):
        assert served.process.popen.poll() is None
    for word in (b"one", b"two", b"three"):
        with socket.create_connection(("127.0.0.1", int(served.port))) as client:
            client.sendall(word)
            assert client.recv(100) == word.upper()
    assert served.process.end() == 0
    check()
    interests = [(event["new"], event["reason"]) for event in logged("interest")]
    assert interests[:2] == [("READ", "select.epoll.register")] * 2
    assert interests[-1] == ("", "select.epoll.unregister")
    polls = logged("poll")
    assert [poll["tick"] for poll in polls] == list(range(1, len(polls) + 1))
    assert polls[0]["ready"] == [["tcp-1", "IN"]]
    assert logged("block")[0]["watched"][0] == ["tcp-1", "READ"]


def test_tls(both, check, logged):
    """What OpenSSL does is not seen, and that is said."""
    assert both("encrypted.py").stdout == "b'A SECRET'\n"
    check()
    assert {event["what"] for event in logged("unseen")} == {"tcp-2", "tcp-3"}
    assert not logged("recv", "send")


def test_a_module_that_goes_past_us(run, check, logged, tmp_path):
    """Importing a library that calls the system itself is an event, with a reason."""
    (tmp_path / "uvloop.py").write_text("")
    (tmp_path / "script.py").write_text("import uvloop\n")
    assert run(*RUN, LOG, "script.py").returncode == 0
    (event,) = logged("unseen")
    assert (event["what"], event["where"]) == ("uvloop", "script.py:1")
    assert "libuv" in event["reason"]
    check()


def test_sockets_that_were_never_seen(run, logged, tmp_path):
    """A socket that was made past Python's socket module is counted at the end."""
    (tmp_path / "script.py").write_text("import _socket\nkept = _socket.socket()\n")
    run(*RUN, LOG, "script.py")
    (event,) = logged("unseen")
    assert event["what"] == "1 socket"


@pytest.mark.needs("curl")
def test_http_server_and_curl(begin, run, check, logged, tmp_path):
    """`python -m http.server`, asked by curl, interrupted."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = begin(*RUN, LOG, "-m", "http.server", "0", "--bind", "127.0.0.1", env=environment)
    url = re.search(r"http://\S+/", process.popen.stdout.readline().decode())[0]
    assert LOG in run("curl", "-sS", url).stdout
    assert process.stop() == 0
    check()
    assert b64decode(logged("recv")[0]["data"]).startswith(b"GET / HTTP/1.1")


# -- errors and ends -------------------------------------------------------------------------


def ways_to_fail() -> list[str]:
    """The functions of failing.py."""
    return re.findall(r"^def (?!pair)(\w+)", (PROGRAMS / "failing.py").read_text(), re.MULTILINE)


@pytest.mark.parametrize("way", ways_to_fail())
def test_errors_look_the_same(both, check, way):
    """Tracebacks, warnings and exit codes are byte for byte the same."""
    result = both("failing.py", way)
    assert result.stderr or result.returncode
    assert "instrument" not in result.stderr
    check()


def test_the_error_that_ended_it(both, logged):
    """An exception that nobody caught is in the log, with its place."""
    both("failing.py", "unbound")
    (error,) = logged("error")
    line = next(number for number, text in enumerate((PROGRAMS / "failing.py").read_text().splitlines(), 1)
                if "socket.socket().accept()" in text)  # fmt: skip
    assert error["where"].endswith(f"failing.py:{line}")
    assert error["message"] == "OSError: [Errno 22] Invalid argument"
    assert logged("end")[0]["reason"] == "OSError"


def until_it_is_in(function: str, pid: int) -> None:
    """Wait until a process sleeps in this function of the kernel: /proc/PID/wchan, proc(5)."""
    deadline = time.monotonic() + SECONDS
    while (found := Path(f"/proc/{pid}/wchan").read_text()) != function:
        assert time.monotonic() < deadline, found


def asleep(pid: int) -> bool:
    """Whether a process sleeps, in the system: proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("S")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals(begin, check, logged, number):
    """It ends as without us; whatever killed it, the log has all up to the call that never returned."""
    ends = []
    for traced in (False, True):
        served = Served(begin, "one_by_one.py", traced=traced)
        with socket.create_connection(("127.0.0.1", int(served.port))) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"HELLO"
            # It says so before it sends, and then waits for more.
            assert served.process.popen.stdout.readline() == b"it says hello\n"
            while not asleep(served.process.pid) or (traced and logged()[-1]["ev"] != "block"):
                pass
            served.process.send(number)
            ends.append((served.process.end(), served.process.said))
    assert ends[0] == ends[1]
    events = [event for event in logged() if event["ev"] != "tcp_info"]
    if number == signal.SIGINT:
        check()
        assert [event["ev"] for event in events[-5:]] == ["recv", "error", "close", "close", "end"]
        assert (events[-5]["errno"], events[-1]["reason"]) == ("interrupted", "KeyboardInterrupt")
    else:
        check("no-end")
        assert [event["ev"] for event in events[-3:]] == ["recv", "send", "block"]
        assert events[-1]["awaits"] == "recv"


def test_ctrl_c_between_a_call_and_its_event(begin, check, logged, tmp_path):
    """It waits for the event: of a program that is hardly ever anywhere else nothing is lost."""
    script = (
        "import socket\nhere, there = socket.socketpair()\nprint(flush=True)\n"
        "while True:\n    here.send(b'hello')\n    there.recv(9)\n"
    )
    (tmp_path / "script.py").write_text(script)
    for _ in range(3):
        process = begin(*RUN, LOG, "script.py")
        process.popen.stdout.read(1)
        while len(logged("recv")) < 100:
            pass
        assert process.stop() == -signal.SIGINT
        check()
        assert process.said[-1] == "KeyboardInterrupt"
        assert not any("evloop" in line for line in process.said)


def test_os_exit(run, logged, tmp_path):
    """os._exit() is an end, with its code."""
    (tmp_path / "script.py").write_text("import os, socket\nkept = socket.socket()\nos._exit(3)\n")
    assert run(*RUN, LOG, "script.py").returncode == 3
    assert [event["reason"] for event in logged("close", "end")] == ["exit", "exit 3"]


# -- what the program sees of us -------------------------------------------------------------


def test_the_program_is_alone(run, tmp_path):
    """sys.argv, sys.path, __main__ and the user's own sitecustomize are as they would be."""
    script = (
        "import sys, sitecustomize, __main__\n"
        "print(sys.argv, sys.path, __name__, __file__, sitecustomize.__file__, sys.flags)\n"
        "print(__main__.__spec__, sorted(vars(__main__)))\n"
    )
    (tmp_path / "script.py").write_text(script)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sitecustomize.py").write_text("MARK = 'mine'\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "mine")}
    plain = run(sys.executable, "script.py", "-m", "--log", "x", env=environment)
    traced = run(*RUN, LOG, "script.py", "-m", "--log", "x", env=environment)
    assert (traced.stdout, traced.stderr) == (plain.stdout, plain.stderr)
    assert "'mine'" not in plain.stderr


def test_a_python_without_us(run, tmp_path):
    """A child in an environment that has no evloop runs on, and is not recorded."""
    child = "import socket; socket.socket().close()"
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-S', '-c', {child!r}])\n"
    (tmp_path / "script.py").write_text(script)
    result = run(*RUN, LOG, "script.py")
    assert (result.stderr, result.returncode) == ("", 0)
    assert children(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--log", LOG], "no program"),
        (["--log", LOG, "absent.py"], "absent.py cannot be run: No such file or directory"),
        (["--log", LOG, "-m"], "-m needs the name of a module"),
        (["--log", LOG, "-m", "absent_module"], "there is no module 'absent_module'"),
        (["--log", LOG, "/bin/sh"], "/bin/sh is no Python program"),
        (["--log", LOG, "shell"], "shell is no Python program"),
        (["--log", LOG, "."], ". is a folder without a __main__.py"),
        (["--log", "absent/log", "script.py"], "its folder does not exist"),
        (["--log", "-", "script.py"], "--log - would mix"),
        (["--bogus", "script.py"], "--bogus"),
        (["--log", LOG, "--payload", "none", "--payload-max", "3", "script.py"], "contradict"),
    ],
)
def test_what_cannot_be_run(run, tmp_path, arguments, message):
    """One sentence, and exit code 2."""
    (tmp_path / "script.py").write_text("")
    (tmp_path / "shell").write_text("#!/bin/sh\n")
    result = run(*RUN[:-1], *arguments)
    (line,) = result.stderr.splitlines()
    assert message in line
    assert (result.returncode, result.stdout) == (2, "")


def test_payload_policies(run, logged, tmp_path):
    """None, a prefix, or everything."""
    (tmp_path / "script.py").write_text(
        "import socket\nhere, there = socket.socketpair()\nhere.send(b'x' * 300)\nthere.recv(300)\n"
    )
    for options, kept in (([], 64), (["--payload", "none"], 0), (["--payload", "full"], 300),
                          (["--payload-max", "9"], 9)):  # fmt: skip
        assert run(*RUN, LOG, *options, "script.py").returncode == 0
        sizes = [len(event.get("data", "")) * 3 // 4 for event in logged("send", "recv")]
        assert all(kept <= size < kept + 3 for size in sizes)
