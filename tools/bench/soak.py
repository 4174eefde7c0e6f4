"""A server under load for a long time: nothing grows, nothing slows down, and its logs are whole.

    python tools/bench/soak.py --minutes 15
    python tools/bench/soak.py --minutes 1 --rate 100       # gently, as CI does it

Two servers have the same kinds of load: one as users start it, whose descriptors, memory (RSS) and answers'
times are looked at; and one with `-X tracemalloc`, which is slower and so gets a quarter: it tells what
Python holds, exactly, where RSS also has what the C library keeps. Both write a log that rotates. The load:
questions at a rate on connections that stay; connections that come and end in all ways (FIN, half-close,
reset, abandoned with bytes unread), Unix clients, datagrams, and watchers that come, read a little or
nothing, and go.

Now and then the load pauses until everything short-lived is closed, and then it is measured. A third of the
time is warm-up. From then on the descriptors are the same in every sample. Lines through the others, by
Theil and Sen (the median of the slopes of all pairs, so that one sample more or less does not decide), rise
by no more than --grow of the median, or 256 KiB; the answers' times by no more than their median, or 1 ms.
(What 99 in a hundred answers took is looked at only if it goes on for five minutes: before, it tells of the
machine.) At the end `check` must find nothing in any log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

from process import rss_of, started, until_it_listens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main", "slope"]

RESET = struct.pack("ii", 1, 0)
PATIENCE = 30.0
STEADY = 8  # connections that stay
LONG = 290.0  # seconds
FLOOR = 256 * 1024  # bytes that may come and go whatever the median is
# Answers to SIGUSR2 with a line, from a handler that Python runs between two of the loop's own steps.
TRACED = """
import gc, os, signal, tracemalloc
def tell(*_):
    gc.collect()
    os.write(2, b"traced %d\\n" % tracemalloc.get_traced_memory()[0])
signal.signal(signal.SIGUSR2, tell)
from evloop.cli import main
main()
"""


class Sample(NamedTuple):
    """What was seen at once."""

    t: float  # seconds since the beginning
    fds: int
    rss: int
    traced: int  # bytes, 0 of a server that does not count them
    p50: float  # µs, since the last sample
    p99: float


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much it rises a unit of time: the median over all pairs (Theil 1950, Sen 1968)."""
    slopes = [
        (there[1] - here[1]) / (there[0] - here[0])
        for number, here in enumerate(points)
        for there in points[number + 1 :]
        if there[0] > here[0]
    ]
    return statistics.median(slopes) if slopes else 0.0


# -- one server and its load ------------------------------------------------------------------


class Soaked:
    """A server, its clients, and what was seen of it."""

    def __init__(
        self, folder: str, name: str, rate: float, *, traced: bool, given: argparse.Namespace
    ) -> None:
        self.name, self.rate, self.traced = name, rate, traced
        self.samples: list[Sample] = []
        self.counts = dict.fromkeys(("asked", "wrong", "came", "reset", "datagrams", "watchers"), 0)
        self._folder = folder
        self._times: list[float] = []
        self._random = random.Random(1)
        self._watchers: list[socket.socket] = []
        os.mkdir(f"{folder}/{name}")
        self.log = f"{folder}/{name}/log.jsonl"
        start = ["-X", "tracemalloc", "-c", TRACED] if traced else ["-P", "-m", "evloop"]
        options = ["--tcp=127.0.0.1:0", "--udp=127.0.0.1:0", f"--unix={folder}/{name}/unix"]
        options += [
            f"--watch={folder}/{name}/watch",
            f"--log={self.log}",
            "--idle-timeout=60",
            "--lifetime=36000",
        ]
        options += [f"--log-max-bytes={given.log_max_bytes}", f"--log-keep={given.log_keep}"]
        self._command = [sys.executable, *start, "serve", *options]

    def begin(self, stack: contextlib.ExitStack) -> None:
        """Start it, and connect those who stay."""
        self._server = stack.enter_context(
            started(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        )
        address = until_it_listens(self._server)
        self._tcp = ("127.0.0.1", int(address.rpartition(":")[2]))
        self._udp = ("127.0.0.1", _udp_port_of(self._server.pid))
        self._steady = [self._connect() for _ in range(STEADY)]
        self._datagrams = socket.socket(type=socket.SOCK_DGRAM)
        self._datagrams.settimeout(PATIENCE)
        self._datagrams.connect(self._udp)
        self._begun = time.monotonic()

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(self._tcp, PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def load(self, ends: float) -> None:
        """Go on until then, at the rate."""
        number, begun = 0, time.monotonic()
        while (now := time.monotonic()) < ends:
            due = begun + number / self.rate
            if due > now:
                time.sleep(min(due, ends) - now)
                continue
            number += 1
            asked = self.counts["asked"]
            self._ask(self._steady[asked % STEADY])
            if asked % 5 == 0:
                self._come_and_go()
            if asked % 7 == 0:
                self._send_datagram()
            if asked % 50 == 0:
                self._watch()

    def _ask(self, sock: socket.socket) -> None:
        question = b"%64d" % self._random.getrandbits(60)
        since = time.perf_counter()
        sock.sendall(question)
        answer = _read(sock, len(question))
        self._times.append(1e6 * (time.perf_counter() - since))
        self.counts["asked"] += 1
        self.counts["wrong"] += answer != question

    def _come_and_go(self) -> None:
        how = self._random.choice(("fin", "half", "reset", "abandon", "unix", "silent"))
        self.counts["came"] += 1
        if how == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            sock.connect(f"{self._folder}/{self.name}/unix")
        else:
            sock = self._connect()
        with sock:
            if how == "silent":
                return
            sock.sendall(b"x" * self._random.choice((1, 100, 5000, 200_000)))
            if how == "half":
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            elif how == "reset":
                self.counts["reset"] += 1
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            elif how in {"fin", "unix"}:
                sock.recv(65536)

    def _send_datagram(self) -> None:
        size = self._random.choice((0, 1, 500, 9000))
        self._datagrams.send(b"d" * size)
        self.counts["datagrams"] += 1
        self.counts["wrong"] += self._datagrams.recv(65535) != b"D" * size

    def _watch(self) -> None:
        """One more, who may read a little and leave; who has watched for long goes first."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(f"{self._folder}/{self.name}/watch")
        self.counts["watchers"] += 1
        if self._random.random() < 0.5:
            sock.recv(65536)
        self._watchers.append(sock)
        if len(self._watchers) > 4:
            self._watchers.pop(self._random.randrange(4)).close()

    def sample(self) -> None:
        """Let all who do not stay go, and look."""
        for sock in self._watchers:
            sock.close()
        self._watchers.clear()
        fds = self._settled()
        times = sorted(self._times) or [0.0]
        self._times = []
        rss, traced = rss_of(self._server.pid) or 0, self._ask_traced() if self.traced else 0
        t = time.monotonic() - self._begun
        self.samples.append(
            Sample(t, fds, rss, traced, times[len(times) // 2], times[len(times) * 99 // 100])
        )

    def _settled(self) -> int:
        """How many descriptors it has, when it has so many three times running and answers meanwhile."""
        seen: list[int] = []
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends and not (len(seen) > 2 and len({*seen[-3:]}) == 1):
            for sock in self._steady:  # each comes back when a turn of the loop is over
                sock.sendall(b"?")
                _read(sock, 1)
            time.sleep(0.05)
            seen.append(len(os.listdir(f"/proc/{self._server.pid}/fd")))
        return seen[-1]

    def _ask_traced(self) -> int:
        self._server.send_signal(signal.SIGUSR2)
        pipe = self._server.stderr
        assert pipe
        said = b""
        while select.select([pipe], [], [], PATIENCE)[0] and (data := os.read(pipe.fileno(), 65536)):
            said += data
            if found := re.search(rb"traced (\d+)\n", said):
                return int(found[1])
        raise RuntimeError(f"{self.name} does not say what it holds")

    def end(self) -> int:
        """Stop it in good order; its exit code."""
        for sock in (*self._steady, self._datagrams):
            sock.close()
        self._server.send_signal(signal.SIGINT)
        return self._server.wait(PATIENCE)

    # -- what it comes to ---------------------------------------------------------------------

    def faults(self, grow: float) -> list[str]:
        """What did not stay as it was, a sentence each."""
        kept = self.samples[len(self.samples) // 3 :]
        found = []
        if len({it.fds for it in kept}) > 1:
            found.append(f"descriptors: {[it.fds for it in kept]}")
        if self.counts["wrong"]:
            found.append(f"{self.counts['wrong']} answers were wrong")
        found += [f"no {what}" for what, count in self.counts.items() if not count and what != "wrong"]
        fields = ["rss", "p50", *["traced"] * self.traced]
        fields += ["p99"] * (kept[-1].t >= LONG)
        for field in fields:
            points = [(it.t, float(getattr(it, field))) for it in kept]
            rise = slope(points) * (points[-1][0] - points[0][0])
            middle = statistics.median(value for _, value in points)
            most = max(grow * middle, FLOOR) if field in {"rss", "traced"} else max(middle, 1000.0)
            if rise > most:
                found.append(
                    f"{field} rose by {rise:,.0f} from {points[0][1]:,.0f} ({most:,.0f} are allowed)"
                )
        return [f"{self.name}: {it}" for it in found]

    def logs(self) -> list[str]:
        """The log and the older ones beside it."""
        folder = os.path.dirname(self.log)
        return sorted(f"{folder}/{it}" for it in os.listdir(folder) if "jsonl" in it)


def _read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return data


def _udp_port_of(pid: int) -> int:
    """The UDP port of a process that has one: it says so behind the TCP's, which is read already."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}").removeprefix("socket:[").removesuffix("]"))
    with open(f"/proc/{pid}/net/udp") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                return int(fields[1].partition(":")[2], 16)
    raise RuntimeError("the server has no UDP port")


# -- all of it --------------------------------------------------------------------------------


def soak(given: argparse.Namespace, say: Callable[[str], None]) -> list[str]:
    """Run it; what is wrong, a sentence each."""
    seconds = given.minutes * 60
    with tempfile.TemporaryDirectory(prefix="evloop-soak-") as folder, contextlib.ExitStack() as stack:
        plain = Soaked(folder, "plain", given.rate, traced=False, given=given)
        traced = Soaked(folder, "traced", given.rate / 4, traced=True, given=given)
        both = (plain, traced)
        for it in both:
            it.begin(stack)
        begun = time.monotonic()
        every = max(2.0, seconds / given.samples)
        turn = 0
        while time.monotonic() - begun < seconds:
            turn += 1
            ends = begun + turn * every
            # In turns: they share a core with whoever else is here, and neither is to wait for the other.
            for it in both:
                now = time.monotonic()
                it.load(now + max(0.5, (ends - now) / (2 if it is plain else 1)))
            for it in both:
                it.sample()
            say(_line(plain.samples[-1], traced.samples[-1]))
        codes = [it.end() for it in both]
        found = [sentence for it in both for sentence in it.faults(given.grow)]
        found += [f"{it.name} ended with {code}" for it, code in zip(both, codes, strict=True) if code]
        for it in both:
            found += _checked(it, say)
            say(f"{it.name}: {it.counts}, {len(it.logs())} logs")
        if given.json:
            with open(given.json, "w", encoding="utf-8") as file:
                json.dump({it.name: [sample._asdict() for sample in it.samples] for it in both}, file)
    return found


def _line(plain: Sample, traced: Sample) -> str:
    return (
        f"{plain.t:6.0f} s  fds {plain.fds} {traced.fds}  rss {plain.rss / 2**20:.2f} "
        f"{traced.rss / 2**20:.2f} MiB  tracemalloc {traced.traced / 1024:,.0f} KiB  "
        f"p50 {plain.p50:.0f} µs  p99 {plain.p99:,.0f} µs"
    )


def _checked(it: Soaked, say: Callable[[str], None]) -> list[str]:
    """What `check` finds in the logs."""
    wrong = []
    for log in it.logs():
        done = subprocess.run(
            [sys.executable, "-P", "-m", "evloop_trace", "check", log],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            wrong.append(f"{it.name}: check {os.path.basename(log)}: {(done.stdout + done.stderr)[-500:]}")
    if len(it.logs()) < 2:
        say(f"{it.name}: its log was never rotated")
    return wrong


def main() -> int:
    """Run it; 1 if anything grew, slowed down, or was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument(
        "--rate", type=float, default=400.0, help="questions a second; a fifth as many come and go"
    )
    parser.add_argument("--samples", type=int, default=60, help="at most one every two seconds")
    parser.add_argument("--grow", type=float, default=0.03, help="of the median, over the whole time")
    parser.add_argument("--log-max-bytes", default="4000000", help="of a log, until the next begins")
    parser.add_argument("--log-keep", default="3", help="older logs")
    parser.add_argument("--json", metavar="FILE", help="every sample")
    given = parser.parse_args()
    found = soak(given, lambda line: print(line, flush=True))
    for sentence in found:
        print(f"WRONG: {sentence}")
    if not found:
        print("nothing grew, nothing slowed down, and the logs are whole")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
