"""Rounds of one cell: each server once a round, in an order that rotates, so that a slow minute hits all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from contestants import CELLS, VIEWER, Cell, Server
from process import Cores, started, until_it_listens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["run_cell"]

LOAD = (sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py"))
PATIENCE = 60.0  # seconds for the load to do what is not its window: connecting, and being slow at it
DISTURBED = 0.2  # of the time; who waited so long for a core is measured again, and the best is kept
ATTEMPTS = 3
SCREEN = (30, 100)  # lines and columns of the viewer's terminal


class Running(NamedTuple):
    """A server that listens."""

    address: str
    pid: int


@contextlib.contextmanager
def serving(server: Server, kind: str, cores: Cores) -> Iterator[Running]:
    """A server, with its viewer if it has one, in a folder that goes with it."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="evloop-bench-"))
        address = f"{folder}/echo.sock" if kind == "unix" else "127.0.0.1:0"
        command = server.command(kind, address, folder)
        child = stack.enter_context(
            started(command, cores.server, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        )
        listening = until_it_listens(child)
        if server.viewer:
            stack.enter_context(_looking_on(f"{folder}/watch.sock", cores))
        yield Running(listening, child.pid)


@contextlib.contextmanager
def _looking_on(path: str, cores: Cores) -> Iterator[None]:
    """Someone who watches on a terminal that takes whatever is drawn."""
    terminal, its_side = os.openpty()
    fcntl.ioctl(its_side, termios.TIOCSWINSZ, struct.pack("HHHH", *SCREEN, 0, 0))
    drawn = threading.Event()
    reader = threading.Thread(target=_read_all, args=(terminal, drawn), daemon=True)
    try:
        with started([*VIEWER, path], cores.viewer, stdout=its_side, stderr=subprocess.DEVNULL):
            os.close(its_side)
            its_side = -1
            reader.start()
            if not drawn.wait(PATIENCE):
                raise RuntimeError("the viewer drew nothing")
            yield
    finally:
        if its_side >= 0:
            os.close(its_side)
        if reader.ident:
            reader.join(PATIENCE)
        os.close(terminal)


def _read_all(terminal: int, drawn: threading.Event) -> None:
    with contextlib.suppress(OSError):  # EIO: the other side is closed
        while os.read(terminal, 65536):
            drawn.set()


def load_once(cell: Cell, running: Running, seconds: float, cores: Cores) -> dict[str, Any]:
    """One window of load on one server; see load.py for what is in its report."""
    options = ["--pid", str(running.pid), "--seconds", str(seconds)]
    if cell.idle:
        options += ["--idle", str(cell.idle)]
    with started(
        [*LOAD, *cell.arguments(running.address), *options], cores.load, stdout=subprocess.PIPE
    ) as child:
        try:
            out, _ = child.communicate(timeout=2 * seconds + PATIENCE)
            report: dict[str, Any] = json.loads(out)
        except subprocess.TimeoutExpired:
            return _nothing("the load did not end in time")
        except ValueError:
            return _nothing("the load reported nothing")
    return report


def _nothing(why: str) -> dict[str, Any]:
    return {
        "messages": 0,
        "seconds": 0.0,
        "load_cpu": 0.0,
        "errors": 1,
        "first_error": why,
        "lost": 0,
        "waited": 0.0,
    }


def run_cell(
    name: str,
    servers: dict[str, Server],
    *,
    rounds: int,
    seconds: float,
    cores: Cores,
    tell: Callable[[str], None],
    idle: int | None = None,
) -> list[dict[str, Any]]:
    """Every report of a cell, with the `server` and the `round` it is of.

    Args:
        name: one of CELLS.
        servers: those to measure; who does not know this kind of socket is left out.
        rounds: how often each is measured.
        seconds: how long each time.
        cores: where servers and load run.
        tell: hears what is under way.
        idle: so many idle connections instead of the cell's own number.
    """
    cell = CELLS[name]
    if cell.idle and idle is not None:
        cell = cell._replace(idle=idle)
    reports = []
    with contextlib.ExitStack() as stack:
        taking_part = {who: server for who, server in servers.items() if cell.kind in server.kinds}
        kept: dict[str, contextlib.AbstractContextManager[Running]] = {}
        if not cell.idle:
            kept = {
                who: contextlib.nullcontext(stack.enter_context(serving(server, cell.kind, cores)))
                for who, server in taking_part.items()
            }
        for number in range(rounds):
            order = list(taking_part)
            turn = number % max(1, len(order))
            for who in order[turn:] + order[:turn]:
                tell(f"{name}, round {number + 1} of {rounds}: {who}")
                best: dict[str, Any] = {}
                for _ in range(ATTEMPTS):
                    with kept.get(who) or serving(taking_part[who], cell.kind, cores) as running:
                        report = load_once(cell, running, seconds, cores)
                    if report["errors"] or not best or report["waited"] < best["waited"]:
                        best = report
                    if best["errors"] or best["waited"] < DISTURBED:
                        break
                reports.append({"server": who, "round": number, **best})
    return reports
