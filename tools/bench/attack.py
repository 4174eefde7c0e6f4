"""What a crowd that nobody wishes for costs a client that behaves: its answers' times alone, and attacked.

    unshare -n -- sh -c 'ip link set lo up; python tools/bench/attack.py'


(As root, and in a network of its own, which has ports enough; in `evloop lab` nobody may have priority.)

Each round starts a server with --max-connections, and asks it at a rate first alone and then under attack, or
the other way round: 20,000 connects in a burst, and slowloris (connections that say a byte now and then or
nothing, and one that never reads). The client who behaves was there before, and sends its questions whatever
becomes of the answers.

The server has one core, all clients the other. There the client who behaves comes before the attackers
(SCHED_FIFO), since it is the server who is asked, and not who gets a core on this machine. The server has
the best nice value on its own. SCHED_FIFO would not do there: of a process that is always busy, sched(7)
takes the core away for 50 ms of each second. `attackers` is the part of their core that they took; `late`,
by how much one question in a hundred was sent too late: that core's fault, which does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from process import Cores, cpu_of, raise_file_limit, started, until_it_listens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["main"]

HERE = os.path.dirname(os.path.abspath(__file__))
ATTACKERS = (sys.executable, os.path.join(HERE, "attackers.py"))
SERVE = (sys.executable, "-P", "-m", "evloop", "serve", "--tcp", "127.0.0.1:0")
CONNECTING = 10.0
PATIENCE = 60.0  # seconds for a client to be connected
SIZE = 64
CLIENTS = 8  # connections of who behaves
WARM = 0.3  # seconds that are not counted
PRIORITY = 10
SET: tuple[tuple[str, ...], ...] = (
    ("drip", "--clients", "200", "--every", "0.5"),
    ("drip", "--clients", "200", "--every", "3600"),  # idle: they are only there
    ("deaf",),
)


# -- who behaves ------------------------------------------------------------------------------


def ask(address: str, rate: float, seconds: float) -> dict[str, Any]:
    """Questions at a rate, from SIGUSR1 on, whatever becomes of the answers; their times in microseconds.

    A question waits for no other, so an answer's time counts from when it was sent.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    host, _, port = address.rpartition(":")
    socks = [socket.create_connection((host, int(port)), CONNECTING) for _ in range(CLIENTS)]
    for sock in socks:
        sock.settimeout(None)  # else MSG_WAITALL would not wait
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(bytes(SIZE))
        sock.recv(SIZE, socket.MSG_WAITALL)
    print("ready", file=sys.stderr, flush=True)
    signal.sigwait([signal.SIGUSR1])
    now = time.perf_counter
    asked: dict[socket.socket, deque[tuple[float, bytes]]] = {sock: deque() for sock in socks}
    times: list[float] = []
    lates, wrong, number = [], 0, 0
    begun = now()
    ends = begun + WARM + seconds
    while now() < ends or (any(asked.values()) and now() < ends + CONNECTING):
        due = begun + number / rate
        if due <= now() < ends:
            sock, question = socks[number % CLIENTS], b"%*d" % (SIZE, number)
            lates.append(1e6 * (now() - due))
            asked[sock].append((now(), question))
            sock.sendall(question)
            number += 1
            continue
        for sock in select.select(socks, [], [], max(0, min(due, ends) - now()) if due < ends else 0.1)[0]:
            since, question = asked[sock].popleft()
            wrong += sock.recv(SIZE, socket.MSG_WAITALL) != question
            if since - begun >= WARM:
                times.append(1e6 * (now() - since))
    times.sort()
    lates.sort()
    lost = wrong + sum(map(len, asked.values()))
    return {
        "asked": number, "lost": lost, "p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100],
        "worst": times[-1], "late": lates[len(lates) * 99 // 100],
    }  # fmt: skip


@contextlib.contextmanager
def _behaving(
    address: str, given: argparse.Namespace, cores: Cores
) -> Iterator[Callable[[], dict[str, Any]]]:
    """That client as a process, connected; what is given lets it ask, and gives its report."""
    command = [
        sys.executable,
        __file__,
        "--ask",
        address,
        f"--rate={given.rate}",
        f"--seconds={given.seconds}",
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, cores.load, **pipes) as child:
        _until_ready(child)
        _before_others(child.pid)

        def asked() -> dict[str, Any]:
            child.send_signal(signal.SIGUSR1)
            report: dict[str, Any] = json.loads(child.communicate(timeout=given.seconds * 20 + 60)[0])
            return report

        yield asked


def _before_others(pid: int) -> bool:
    """Let a process run as soon as it can; whether that is allowed."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except (AttributeError, OSError):
        return False
    return True


# -- rounds -----------------------------------------------------------------------------------


def a_round(given: argparse.Namespace, cores: Cores, number: int) -> dict[str, Any]:
    """One server; alone and under attack, in an order that changes."""
    options = [f"--max-connections={given.limit}", *given.options]
    with started(
        [*SERVE, *options], cores.server, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as server:
        address = until_it_listens(server)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, server.pid, -20)
        report: dict[str, Any] = {"round": number}
        for how in ("alone", "attacked") if number % 2 else ("attacked", "alone"):
            before, begun = cpu_of(server.pid), time.perf_counter()
            with _behaving(address, given, cores) as asked:
                if how == "alone":
                    report[how] = asked()
                else:
                    with _attack(address, given, cores) as attackers:
                        report[how] = asked()
                        report["attackers"] = attackers()
            took, after = time.perf_counter() - begun, cpu_of(server.pid)
            if before and after:
                report[how]["server"] = (after.ns - before.ns) / 1e9 / took
    report["ratio"] = report["attacked"]["p99"] / report["alone"]["p99"]
    return report


@contextlib.contextmanager
def _attack(
    address: str, given: argparse.Namespace, cores: Cores
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """All of them at once; what is given tells what they did, and ends them."""
    begun = time.perf_counter()
    seconds = given.seconds + WARM
    commands = [[*it, "--seconds", str(10 * seconds)] for it in SET]
    commands += [["burst", f"--connects={given.connects // 2}", f"--seconds={seconds + 1}"] for _ in range(2)]
    with contextlib.ExitStack() as stack:
        children = []
        for what, *options in commands:
            command = [*ATTACKERS, what, address, *options]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            child = stack.enter_context(started(command, cores.load, **pipes))
            _until_ready(child)
            children.append(child)

        def end() -> list[dict[str, Any]]:
            """What each did."""
            said = []
            for child in children:
                if child.args[2] != "burst":  # type: ignore[index]
                    child.terminate()
                said.append(json.loads(child.communicate(timeout=20 * seconds + 60)[0]))
            took = time.perf_counter() - begun
            return [{**it, "share": it["cpu"] / took} for it in said]

        yield end


def _until_ready(child: subprocess.Popen[bytes]) -> None:
    assert child.stderr
    said = child.stderr.readline() if select.select([child.stderr], [], [], PATIENCE)[0] else b"nothing"
    if said != b"ready\n":
        raise RuntimeError(f"a client could not begin: {said + child.stderr.read1(9999)!r}")


# -- figures ----------------------------------------------------------------------------------


def summary(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians, least and most."""

    def of(values: Sequence[float]) -> list[float]:
        return [statistics.median(values), min(values), max(values)]

    bursts = [[it for it in each["attackers"] if it["what"] == "burst"] for each in rounds]
    return {
        "alone_p99": of([it["alone"]["p99"] for it in rounds]),
        "attacked_p99": of([it["attacked"]["p99"] for it in rounds]),
        "alone_p50": of([it["alone"]["p50"] for it in rounds]),
        "attacked_p50": of([it["attacked"]["p50"] for it in rounds]),
        "alone_late": of([it["alone"]["late"] for it in rounds]),
        "attacked_late": of([it["attacked"]["late"] for it in rounds]),
        "attacked_worst": of([it["attacked"]["worst"] for it in rounds]),
        "ratio": of([it["ratio"] for it in rounds]),
        "lost": sum(it[how]["lost"] for it in rounds for how in ("alone", "attacked")),
        "tried": of([sum(it["tried"] for it in each) for each in bursts]),
        "connected": of([sum(it["connected"] for it in each) for each in bursts]),
        "attackers": of([sum(it["share"] for it in each["attackers"]) for each in rounds]),
        "server_alone": of([it["alone"].get("server", 0.0) for it in rounds]),
        "server_attacked": of([it["attacked"].get("server", 0.0) for it in rounds]),
    }


def _print(found: dict[str, Any], rounds: int) -> None:
    print(f"{rounds} rounds: median (least … most)")
    for name, form in (
        ("alone_p50", "µs"), ("attacked_p50", "µs"), ("alone_p99", "µs"), ("attacked_p99", "µs"),
        ("attacked_worst", "µs"), ("alone_late", "µs"), ("attacked_late", "µs"), ("ratio", "x"),
        ("tried", ""), ("connected", ""), ("attackers", "%"), ("server_alone", "%"), ("server_attacked", "%"),
    ):  # fmt: skip
        values = [100 * it for it in found[name]] if form == "%" else found[name]
        digits = ".2f" if form == "x" else ",.0f"
        middle, least, most = (format(it, digits) for it in values)
        print(f"{name:16} {middle:>10} {form:2} ({least} … {most})")
    print(f"requests lost: {found['lost']}")


def main() -> int:
    """Run it; 1 if a request was lost, or the ratio is above --most."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each half of a round")
    parser.add_argument("--rate", type=float, default=500.0, help="questions a second")
    parser.add_argument("--limit", type=int, default=1000, help="the server's --max-connections")
    parser.add_argument("--connects", type=int, default=20_000, help="of a burst, at least")
    parser.add_argument("--most", type=float, default=3.0, help="times its p99 alone")
    parser.add_argument("--json", metavar="FILE", help="the rounds; - is standard output")
    parser.add_argument("--ask", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("options", nargs="*", help="of the server, behind --")
    given = parser.parse_args()
    if given.ask:
        print(json.dumps(ask(given.ask, given.rate, given.seconds)))
        return 0
    raise_file_limit()
    cores = Cores.choose()
    rounds = [a_round(given, cores, number) for number in range(given.rounds)]
    found = summary(rounds)
    if given.json:
        text = json.dumps({"rounds": rounds, "summary": found})
        if given.json == "-":
            print(text)
        else:
            with open(given.json, "w", encoding="utf-8") as file:
                file.write(text + "\n")
    if given.json != "-":
        _print(found, given.rounds)
    return 1 if found["lost"] or found["ratio"][0] > given.most else 0


if __name__ == "__main__":
    sys.exit(main())
