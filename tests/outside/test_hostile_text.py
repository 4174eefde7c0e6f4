"""What a peer, a program or a file says is shown, by every command, and obeyed by no terminal.

All that a log or a capture has as text is replaced by what terminals and Rich would obey, and each command is
run on a terminal of its own, from which the raw bytes are read. A command that is in no table makes it fail.
"""

from __future__ import annotations

import base64
import fcntl
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.cli import cli as trace_cli

from evloop.cli import cli as evloop_cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Server

SECONDS = 30.0
TRACE = (sys.executable, "-P", "-m", "evloop_trace")
EVLOOP = (sys.executable, "-P", "-m", "evloop")
ROOT = Path(__file__).parents[2]

# The title of the window, a question to the terminal, to print, a reset, controls above ASCII, the direction
# of writing, NUL, BEL, backspace. None of these sequences is one of ours.
WORD = "[bold]qqq\x1b]0;x\x07\x1b[6n\x1bc\x9b5i\x90q\u202e\u2066\0\b\r\u2028\U000e0001[/]"
BYTES = WORD.encode() + b"\xff\xfe\x9b6n\xe2\x80"

# What we send a terminal ourselves: colours, the cursor, parts of the screen, the modes that we switch.
OURS = re.compile(
    rb"\x1b\[[0-9;]*m|\x1b\[[0-9;]*[ABCDEFGHJKXr]|\x1b\[\?(?:1|7|25|1000|1003|1004|1006|1015|1016|1049|2004|2026|2031|2048)[hl]"
    rb"|\x1b\]22;default\x07|\x1b\[\?\d+\$p|\x1b\[[<>=]\d*u|\x1b\[>\d*;?\d*m|\x1b\(B|\x1b[78=>]"
)
STAYS = {
    "ev",
    "schema",
    "model",
    "proto",
    "data",
    "conn",
    "sock",
    "interest",
    "old",
    "new",
    "awaits",
    "watched",
}
CLOSED_BY = "reason"  # of a close: one of our own words, or the line is no event


# -- what they are shown --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, saved_lesson: Path) -> Path:
    """Logs, a capture, and a hand-in, each as somebody wrote it who means ill."""
    made = tmp_path_factory.mktemp("hostile")
    shutil.copytree(saved_lesson, made / "lesson")
    for name in ("server.jsonl", "client.jsonl"):
        spoil(made / "lesson" / name, made / name)
        (made / "lesson" / name).write_bytes((made / name).read_bytes())
    plan = json.loads((made / "lesson/run.json").read_text())
    (made / "lesson/run.json").write_text(json.dumps({**plan, "prediction": WORD}))
    log = made / "log.jsonl"
    command = [*EVLOOP, "serve", "--unix", str(made / "s"), "--udp", "127.0.0.1:0", "--log", str(log)]
    with subprocess.Popen([*command, "--payload", "full"], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        port = int(server.stderr.readline().rpartition(":")[2])
        server.stderr.readline()
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(made / "s"))
                client.sendall(BYTES)
                assert client.recv(999)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(BYTES, ("127.0.0.1", port))
            assert client.recv(999)
        server.send_signal(signal.SIGINT)
        server.stderr.read()
    shutil.copy(log, made / "honest.jsonl")
    spoil(log, log)
    spoil(log, made / "named.jsonl", names=True)
    (made / "packets.pcapng").write_bytes(capture())
    (made / "program.py").write_text(PROGRAM)
    return made


def spoil(path: Path, to: Path, *, names: bool = False) -> None:
    """A log with other words in it, and with one more event of each kind that says something in words."""
    events = [spoilt(json.loads(line), names) for line in path.read_text().splitlines()]
    seq = events[-1]["seq"]
    about = {"t": events[-1]["t"], "tick": events[-1]["tick"]}
    more: list[dict[str, Any]] = [
        {"ev": "error", "where": WORD, "message": WORD, "conn": "unix-1"}, {"ev": "signal", "signal": WORD},
        {"ev": "limit", "what": WORD, "active": True}, {"ev": "timer", "why": WORD, "late": 5},
        {"ev": "refuse", "sock": "udp-1", "peer": WORD, "reason": WORD},
        {"ev": "unseen", "what": WORD, "reason": WORD, "where": WORD, "thread": WORD},
        {"ev": "prepare", "until": None, "why": WORD}, {"ev": "control", "gate": WORD, "held": True},
        {"ev": WORD, "field": WORD},
    ]  # fmt: skip
    end = events.pop()
    for number, event in enumerate(more):
        events.append({**event, "seq": seq + number, **about})
    events.append({**end, "seq": seq + len(more), "events": end.get("events", 0) + len(more)})
    to.write_text("".join(json.dumps(event) + "\n" for event in events))


def spoilt(event: dict[str, Any], names: bool) -> dict[str, Any]:
    """An event that says something else; its names too, if need be."""
    for name, value in event.items():
        if name == "data" or (name == CLOSED_BY and event["ev"] == "close"):
            continue
        if names and name in {"conn", "sock"} and isinstance(value, str):
            event[name] = value + WORD
        elif isinstance(value, str) and name not in STAYS:
            event[name] = WORD
        elif name in {"versions", "sysctls"}:
            event[name] = {WORD: WORD}
        elif name == "argv":
            event[name] = [WORD] * 3
    if "data" in event:
        event["data"] = base64.b64encode(BYTES).decode()
    return event


def capture() -> bytes:
    """Packets with such bytes in them, of an interface with such a name, and notes."""
    path = ROOT / "tests/tools/evloop_trace/packets/wire.py"
    spec = importlib.util.spec_from_file_location("wire", path)
    assert spec is not None
    assert spec.loader is not None
    wire = importlib.util.module_from_spec(spec)
    sys.modules["wire"] = wire
    spec.loader.exec_module(wire)
    ends = ("10.0.0.1", "10.0.0.2")
    frames = [wire.ethernet(wire.ipv4(*ends, 17, wire.udp(5, 53, BYTES)))]
    frames += [frame for _, frame in wire.random_talks(1, 2)[:6]]
    blocks = [wire.section(options=wire.option(1, BYTES)), wire.interface(options=wire.option(2, BYTES))]
    blocks += [wire.enhanced(0, frame, options=wire.option(1, BYTES)) for frame in frames]
    return b"".join(blocks)


PROGRAM = f"""
import socket, threading
def talk():
    one, other = socket.socketpair()
    one.sendall({BYTES!r}); other.recv(999); one.close(); other.close()
thread = threading.Thread(target=talk, name={WORD!r})
thread.start(); thread.join()
"""


# -- a terminal -----------------------------------------------------------------------------------


class Terminal:
    """What a command writes on a terminal, byte by byte; keys can be pressed."""

    def __init__(self, command: tuple[str, ...], cwd: Path) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
        # The kernel's echo of a key would stand anywhere, also in one of our sequences; termios(3).
        modes = termios.tcgetattr(slave)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self.popen = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environment, start_new_session=True
        )
        os.close(slave)
        self.raw = b""

    def read(self) -> bool:
        """Something more; False when nobody can write any more."""
        if not select.select([self._master], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: the last who had it open has closed it; pty(7)
            return False
        self.raw += data
        return bool(data)

    def until(self, enough: Callable[[bytes], object]) -> None:
        """Read until there is enough, or it is over."""
        deadline = time.monotonic() + SECONDS
        while not enough(self.raw) and self.read():
            assert time.monotonic() < deadline, self.raw[-2000:]

    def press(self, keys: bytes) -> None:
        """Type them."""
        os.write(self._master, keys)

    def end(self) -> int:
        """Read to the end."""
        self.until(lambda _: False)
        return self.popen.wait(SECONDS)

    def close(self) -> None:
        """Whatever it does."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait(SECONDS)
        os.close(self._master)


@pytest.fixture
def terminal(folder: Path) -> Iterator[Callable[..., Terminal]]:
    """Run a command on one."""
    made: list[Terminal] = []

    def start(*command: str) -> Terminal:
        made.append(Terminal(command, folder))
        return made[-1]

    yield start
    for it in made:
        it.close()


def is_harmless(raw: bytes) -> str:
    """What was written without our own sequences: text and line ends, and nothing else."""
    text = OURS.sub(b"", raw).decode()
    wrong = [
        (char, text[max(0, at - 40) : at + 20])
        for at, char in enumerate(text)
        if not (char.isprintable() or char in "\r\n")
    ]
    assert not wrong, wrong[:5]
    assert text.count("[bold]") >= text.count("qqq"), "markup was obeyed"
    return text


# -- every command --------------------------------------------------------------------------------

LOGS = ("log.jsonl", "named.jsonl")
BOTH = "client.jsonl server.jsonl"
SHOWN: dict[str, tuple[str, ...]] = {
    "check": ("log.jsonl --all", "named.jsonl --all", "named.jsonl --json", BOTH),
    "stats": ("log.jsonl", "named.jsonl", "named.jsonl --json", "server.jsonl"),
    "why": ("log.jsonl", "named.jsonl --json", BOTH, f"{BOTH} --at 100ms"),
    "picture": ("log.jsonl", "named.jsonl --at 1", BOTH),
    "timeline": (
        "log.jsonl", f"{BOTH} --json", f"{BOTH} --packets lesson/run.pcapng", "named.jsonl",
        f"{BOTH} --packets lesson/run.pcapng --bytes 1",
    ),
    "compare": ("log.jsonl named.jsonl", "log.jsonl named.jsonl --json"),
    "lint": ("log.jsonl", "named.jsonl", "server.jsonl"),
    "rerun": ("log.jsonl", "named.jsonl", "honest.jsonl"),
    "packets": ("packets.pcapng", "packets.pcapng --json", "packets.pcapng --packet 1-3"),
}  # fmt: skip
"""Commands that end by themselves, and with what they are run."""
DRAWN = {"replay": (*LOGS, BOTH), "watch": (*LOGS, "server.jsonl")}
"""Commands that draw until a key is pressed."""
ELSEWHERE = {
    "run": "test_a_program", "capture": "test_a_capture", "serve": "test_a_server_that_is_drawn",
    "client": "test_a_client", "lesson": "test_a_hand_in", "audit": "test_an_audit",
    "schema": "it shows nothing that comes from elsewhere", "lab": "it becomes another command",
}  # fmt: skip


def test_no_command_is_left_out() -> None:
    """Who adds one adds it here, too."""
    there = {*trace_cli.commands, *evloop_cli.commands}
    assert there == {*SHOWN, *DRAWN, *ELSEWHERE}
    tests = {it for it in ELSEWHERE.values() if it.startswith("test_")}
    assert tests <= {*globals()}


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("command", SHOWN)
def test_what_is_shown(terminal: Callable[..., Terminal], command: str) -> None:
    """On a terminal: pages, lines, JSON, SVG, and what is complained about."""
    running = [(it, terminal(*TRACE, command, *it.split())) for it in SHOWN[command]]
    said = ""
    for _, window in running:
        assert window.end() in {0, 1, 2}
        assert b"Traceback" not in window.raw
        said += is_harmless(window.raw)
    assert len(said) > 100


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("files", LOGS)
def test_lines(folder: Path, files: str) -> None:
    """A line an event, where there is no terminal."""
    done = subprocess.run([*TRACE, "replay", *files.split()], cwd=folder, check=False, capture_output=True)
    assert "[bold]qqq" in is_harmless(done.stdout)
    is_harmless(done.stderr)


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("command", DRAWN)
def test_what_is_drawn(terminal: Callable[..., Terminal], command: str) -> None:
    """Live, to the log's end, with its help."""
    options = ("--speed", "max") if command == "replay" else ()
    for files in DRAWN[command]:
        window = terminal(*TRACE, command, *files.split()[: 1 if command == "watch" else 2], *options)
        window.until(lambda raw: b"qqq" in raw)
        window.press(b"?")
        window.until(lambda raw: b"help" in raw.lower() or b"quit" in raw.lower())
        window.press(b"q")
        window.press(b"q")
        if command == "watch":
            window.press(b"\x03")
        window.end()
        assert "[bold]qqq" in is_harmless(window.raw)


@pytest.mark.needs("namespaces")
def test_a_server_that_is_drawn(terminal: Callable[..., Terminal], folder: Path) -> None:
    """What its clients send, and how they are called, in the live picture."""
    window = terminal(*EVLOOP, "serve", "--trace", "--unix", "live")
    deadline = time.monotonic() + SECONDS
    while not (folder / "live").exists():
        window.read()
        assert time.monotonic() < deadline
    with socket.socket(socket.AF_UNIX) as client:
        client.bind(b"\0" + BYTES[:60])
        client.settimeout(SECONDS)
        client.connect(str(folder / "live"))
        client.sendall(BYTES)
        assert client.recv(999)
        window.until(lambda raw: b"qqq" in raw.lower())
        window.popen.send_signal(signal.SIGINT)
    assert window.end() == 0
    is_harmless(window.raw)


@pytest.mark.needs("namespaces")
def test_a_program(terminal: Callable[..., Terminal], folder: Path) -> None:
    """Its threads' names, and what it says to itself, as lines."""
    window = terminal(*TRACE, "run", "program.py")
    assert window.end() == 0
    assert "[bold]qqq" in is_harmless(window.raw)


@pytest.mark.needs("namespaces")
def test_a_capture(lab: Any, folder: Path) -> None:
    """A line a packet, whatever is in it."""
    capture = lab.begin(*TRACE, "capture", "--count", "2")
    capture.expect("^capturing on ")
    script = f"s.sendto({BYTES!r}, s.getsockname())"
    lab.python(f"s = socket(type=SOCK_DGRAM); s.bind(('127.0.0.1', 0))\n{script}\n{script}")
    assert capture.popen.wait(SECONDS) == 0
    assert "UDP" in is_harmless(capture.popen.stdout.read())


@pytest.mark.needs("namespaces")
def test_a_client(terminal: Callable[..., Terminal], serve: Callable[..., Server]) -> None:
    """What a server answers is told, not obeyed."""
    server = serve("--tcp", "127.0.0.1:0", "--mode", "echo")
    window = terminal(*EVLOOP, "client", server.address("tcp"), WORD.replace("\0", ""))
    assert window.end() == 0
    assert "[bold]qqq" in is_harmless(window.raw)


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("words", ["check lesson", "check lesson --json", "1 --replay lesson --lang zh"])
def test_a_hand_in(terminal: Callable[..., Terminal], words: str) -> None:
    """The report of a lesson, and its ladder, from files that a student handed in."""
    window = terminal(*EVLOOP, "lesson", *words.split())
    assert window.end() in {0, 1, 2}
    assert len(is_harmless(window.raw)) > 100


@pytest.mark.needs("ptrace")
def test_an_audit(terminal: Callable[..., Terminal]) -> None:
    """Of a program whose words are as they are."""
    window = terminal(*TRACE, "audit", "--", *TRACE, "run", "program.py", WORD.replace("\0", ""))
    window.end()
    assert b"Traceback" not in window.raw
    is_harmless(window.raw)
