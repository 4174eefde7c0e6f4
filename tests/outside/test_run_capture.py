"""`evloop-trace run --capture`: the program is as it is without, and its packets are in a file in the end."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Lab, Process

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.needs("namespaces", "nsenter")

TRACE = (sys.executable, "-P", "-m", "evloop_trace")
RUN = (*TRACE, "run", "--capture", "a.pcapng")
CLIENT = (sys.executable, "-P", "-m", "evloop", "client")

# It has nothing but what everybody has: no child, no descriptor, and the signals that it would have.
SERVER = """
import os, signal, socket, sys
try:
    os.wait()
except ChildProcessError:
    print("alone", sorted(map(int, os.listdir("/proc/self/fd")))[:3], sys.stdin.readline().strip())
sys.stderr.write(f"{sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))}\\n")
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    print("ready", flush=True)
    conn, _ = server.accept()
    with conn:
        while data := conn.recv(100):
            conn.send(data.upper())
sys.exit(7)
"""

DAEMON = """
import os, socket
server = socket.create_server(("127.0.0.1", 8080))
if os.fork():
    os._exit(5)
os.setsid()
nowhere = os.open(os.devnull, os.O_RDWR)
for fd in (0, 1, 2):
    os.dup2(nowhere, fd)
conn, _ = server.accept()
conn.send(conn.recv(100))
conn.recv(1)
"""

# What the capture cannot help: its process, which is a child of the program's parent, is killed.
MURDERER = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/cmdline") as command:
            parent = int(stat.read().rpartition(") ")[2].split()[1])
            found = parent == os.getppid() and "--attached" in command.read()
    except OSError:
        continue
    if found:
        handle = os.pidfd_open(int(pid))
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        print("killed")
raise SystemExit(9)
"""


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """A program's file."""

    def write(text: str) -> str:
        (tmp_path / "it.py").write_text(text)
        return "it.py"

    return write


@pytest.fixture
def packets(run: Run) -> Callable[[], list[dict[str, object]]]:
    """What `packets` says of a.pcapng: an object a connection."""

    def read() -> list[dict[str, object]]:
        done = run(*TRACE, "packets", "--json", "a.pcapng")
        assert (done.stderr, done.returncode) == ("", 0)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return read


def until_ready(process: Process) -> str:
    """What it printed until it listens."""
    printed = b""
    while not printed.endswith(b"ready\n"):
        line = process.popen.stdout.readline()
        assert line, (process.end(), "\n".join(process.said))
        printed += line
    return printed.decode()


@pytest.mark.parametrize("log", [True, False], ids=["a log", "lines"])
def test_a_program_with_its_capture(
    lab: Lab,
    script: Callable[..., str],
    packets: Callable[..., list[dict[str, object]]],
    tmp_path: Path,
    log: bool,
) -> None:
    """From the first SYN to the last ACK, all of it when we return; the program is as it ever was."""
    (tmp_path / "input").write_text("said\n")
    options = ("--log", "l.jsonl") if log else ()
    command = " ".join(f"'{word}'" for word in (*RUN, *options, script(SERVER), "8080"))
    process = lab.begin("sh", "-c", f"exec {command} <input")
    assert until_ready(process) == "alone [0, 1, 2] said\nready\n"
    assert lab.run(*CLIENT, "127.0.0.1:8080", "hello").stdout == "HELLO\n"
    assert process.end() == 7
    (connection,) = packets()
    assert (connection["conn_state"], connection["bytes"]) == ("SF", [5, 5])
    assert "[]" in process.said  # before or after the first lines, which another process prints
    assert process.said[-1].startswith("evloop-trace: a.pcapng: ")
    assert process.said[-1].endswith(" bytes, none dropped")
    if log:
        assert len(process.said) == 2
        assert lab.run(*TRACE, "check", "l.jsonl").returncode == 0
    else:
        assert any("send(5) = 5" in line for line in process.said)


def test_only_some_ports(
    lab: Lab, script: Callable[..., str], packets: Callable[..., list[dict[str, object]]]
) -> None:
    """What belongs to others is not in the file."""
    process = lab.begin(*RUN, "--log", "l.jsonl", "--port", "8081", "--port", "8082", script(SERVER), "8081")
    until_ready(process)
    assert lab.run(*CLIENT, "127.0.0.1:8080", "hello").returncode == 1
    assert lab.run(*CLIENT, "127.0.0.1:8081", "hello").stdout == "HELLO\n"
    assert process.end() == 7
    assert [connection["server"] for connection in packets()] == [["127.0.0.1", 8081]]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT]
)
def test_signals_reach_the_program(lab: Lab, script: Callable[..., str], number: signal.Signals) -> None:
    """What it makes of them is what becomes of us, and the capture ends well."""
    text = (
        f"import signal, sys\nsignal.signal({int(number)}, lambda *_: sys.exit(6))\n"
        "print('ready', flush=True)\nsignal.pause()"
    )
    process = lab.begin(*RUN, "--log", "l.jsonl", script(text))
    until_ready(process)
    assert process.stop(number) == 6
    assert process.said == ["evloop-trace: a.pcapng: 0 packets, 0 bytes, none dropped"]


def test_a_program_that_is_killed_takes_us_with_it(lab: Lab, script: Callable[..., str]) -> None:
    """By the same signal; a shell sees no difference."""
    process = lab.begin(*RUN, "--log", "l.jsonl", script("import os\nos.kill(os.getpid(), 9)"))
    assert process.end() == -signal.SIGKILL
    assert process.said == ["evloop-trace: a.pcapng: 0 packets, 0 bytes, none dropped"]


def test_a_daemon_outlives_the_program(
    lab: Lab, script: Callable[..., str], packets: Callable[..., list[dict[str, object]]], tmp_path: Path
) -> None:
    """Nobody waits for it; its packets are wanted, too, and when it has ended the capture ends."""
    process = lab.begin(*RUN, "--log", "l.jsonl", script(DAEMON))
    assert process.end() == 5
    (said,) = process.said
    assert said.startswith(
        "evloop-trace: a.pcapng: the capture goes on as long as what the program has started"
    )
    handle = os.pidfd_open(_captures(tmp_path))
    assert lab.run(*CLIENT, "127.0.0.1:8080", "hello").stdout == "hello\n"
    assert select.select([handle], [], [], 30)[0]
    os.close(handle)
    (connection,) = packets()
    assert (connection["conn_state"], connection["bytes"]) == ("SF", [5, 5])


def _captures(folder: Path) -> int:
    """The capture that writes in this folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                if "--attached" in file.read() and os.readlink(f"/proc/{pid}/cwd") == str(folder):
                    found.append(int(pid))
        except OSError:
            continue
    (pid,) = found
    return pid


def test_a_capture_that_dies(lab: Lab, script: Callable[..., str]) -> None:
    """The program goes on; one sentence at the end says since when packets are missing."""
    done = lab.run(*RUN, "--log", "l.jsonl", script(MURDERER))
    assert (done.stdout, done.returncode) == ("killed\n", 9)
    assert done.stderr.startswith(
        "evloop-trace: the capture ended before the program (signal 9): a.pcapng lacks the "
    )
    assert len(done.stderr.splitlines()) == 1


def test_without_rights(run: Run, script: Callable[..., str], tmp_path: Path) -> None:
    """The sentence is the capture's, and the program does not begin."""
    done = run("unshare", "-Ur", *RUN, script("print('begun')"))
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith("evloop-trace: to capture on lo needs rights: run it in `evloop lab`")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "a.pcapng").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--capture", "-"), "--capture '-' is no file: name one"),
        (("--capture", ""), "--capture '' is no file: name one"),
        (("--port", "80"), "--port says what to capture: add --capture FILE"),
        (("--capture", "l", "--log", "l"), "--log and --capture would write the same file: name two"),
        (("--capture", "nowhere/a"), "nowhere/a cannot be written: No such file or directory"),
        (
            ("--capture", "a", "--log", "nowhere/l"),
            "the log 'nowhere/l' cannot be written: its folder does not",
        ),
    ],
)
def test_what_cannot_be(
    lab: Lab, script: Callable[..., str], options: tuple[str, ...], sentence: str
) -> None:
    """One sentence, exit code 2, and the program does not begin."""
    done = lab.run(*TRACE, "run", *options, script("print('begun')"))
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith(f"evloop-trace: {sentence}")
    assert len(done.stderr.splitlines()) == 1
