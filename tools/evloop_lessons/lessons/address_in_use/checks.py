"""What must be seen of an address that is in use, and of ports that have run out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import SOCKETS, claim, found

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Run

WITHOUT, WITH, CLIENT_FIRST, BUSY = (f"127.0.0.1:{port}" for port in (8081, 8082, 8083, 8084))
"""The old servers without SO_REUSEADDR and with it; the one whose client closes first; the new one."""
CALLS = 5  # of the client that has few ports

FALSE = {"first=client": ("time-wait", "both"), "ports=8": ("no-port",)}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _errors(run: Run, log: str, kind: str) -> list[str]:
    return [it.event.errno or "" for it in run.calls(log, kind)]


def outcome(run: Run) -> str:
    """a: it always works; b: the new one must set it; c: both must; d: it never works."""
    worked = "".join("no" if it else "yes" for it in _errors(run, "new", "bind")[:4])
    return {"yesyesyesyes": "a", "noyesnoyes": "b", "nononoyes": "c", "nononono": "d"}.get(worked, "")


@claim("time-wait", SOCKETS, "old", "new")
def time_wait(run: Run) -> Found:
    """Of the old server there is only what the kernel remembers."""
    end, bind = run.call("old", "end"), run.call("new", "bind")
    sample = run.sample(bind.t)
    left = [it.state for it in sample.sockets if it.local in {WITHOUT, WITH}]
    return found(left == ["TIME-WAIT"] * 2 and end.t < bind.t, end, sample, bind)


@claim("both", "old", "new")
def both(run: Run) -> Found:
    """The four ways."""
    options = [*run.calls("old", "setsockopt"), *run.calls("new", "setsockopt")]
    binds = run.calls("new", "bind")[:4]
    addresses = [it.event.address for it in binds]
    errors = _errors(run, "new", "bind")[:4]
    wanted = ["EADDRINUSE", "EADDRINUSE", "EADDRINUSE", ""]
    asked = addresses == [WITHOUT, WITHOUT, WITH, WITH] and len(options) == 3
    return found(asked and errors == wanted, *sorted([*options, *binds], key=lambda it: it.t))


@claim("client-first", SOCKETS, "new")
def client_first(run: Run) -> Found:
    """Who closes first has the TIME-WAIT; a client's is on a port that nobody asks for."""
    bind = run.call("new", "bind", 4)
    sample = run.sample(run.call("new", "bind").t)
    ends = [(it.local, it.state) for it in sample.of(peer=CLIENT_FIRST)]
    ours = sample.of(local=CLIENT_FIRST)
    good = [state for _, state in ends] == ["TIME-WAIT"] and not ours and bind.event.errno is None
    return found(good, sample, bind, client=ends[0][0])


@claim("no-port", SOCKETS, "busy")
def no_port(run: Run) -> Found:
    """Every connection that the client has closed keeps a port of its own."""
    connects = run.calls("busy", "connect")
    ports = {it.local for it in run.samples[-1].of(peer=BUSY, state="TIME-WAIT")}
    errors = _errors(run, "busy", "connect")
    few = run["ports"]
    good = few < CALLS and errors == [""] * few + ["EADDRNOTAVAIL"] * (CALLS - few) and len(ports) == few
    shown = sorted(it.rpartition(":")[2] for it in ports)
    return found(good, *connects, run.samples[-1], ports=shown, number=errors.count(""))
