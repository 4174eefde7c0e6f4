"""What must be seen of a connection of which one half is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, SOCKETS, claim, found
from evloop_lessons.run import first, notation
from evloop_trace.packets.segments import FIN, RST

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run
    from evloop_trace.correlate.entries import PacketEntry

SIZE = 11  # bytes: pear, apple, and their newlines
SORTED = b"apple\npear\n"

FALSE = {
    "end=close": ("fin", "mute", "answer", "last"),
    "end=nothing": ("fin", "eof", "half", "mute", "answer", "last"),
}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _fins(run: Run, *, client: bool) -> list[PacketEntry]:
    return run.packets(client=client, flags=FIN)


def _read(run: Run) -> list[Call]:
    """The calls with which the client got the answer."""
    return [it for it in run.calls("client", "recv") if it.event.n]


def outcome(run: Run) -> str:
    """a: it cannot be sent; b: it is sent, and refused; c: it is read; d: there is none."""
    if _read(run):
        return "c"
    if run.packets(flags=RST):
        return "b"
    return "a" if run.calls("server", "send") else "d"


@claim("fin", PACKETS, "client")
def fin(run: Run) -> Found:
    """It ends this direction, behind the last byte, and the program keeps its socket."""
    shutdown, close = run.call("client", "shutdown"), run.call("client", "close", -1)
    fins = _fins(run, client=True)
    by_shutdown = any(cause.ev == "shutdown" for cause in fins[0].causes)
    good = len(fins) == 1 and by_shutdown and fins[0].packet.end == SIZE and fins[0].t < close.t
    return found(good, shutdown, fins[0])


@claim("eof", PACKETS, "server")
def eof(run: Run) -> Found:
    """The server gets all of the question, and then is told that this was all."""
    fin = _fins(run, client=True)[0]
    calls = run.calls("server", "recv")
    sizes = [it.event.n or 0 for it in calls]
    ended = sizes[-1] == 0 and sizes.count(0) == 1 and sum(sizes) == SIZE
    return found(ended and fin.t < calls[-1].t, fin, calls[-1])


@claim("half", SOCKETS)
def half(run: Run) -> Found:
    """The kernel's words for it, before the server has answered."""
    sample = run.sample(run.step("answer").t)
    client, server = sample.of(state="FIN-WAIT-2"), sample.of(state="CLOSE-WAIT")
    return found(len(client) == len(server) == 1 and client[0].local == server[0].peer, sample)


@claim("mute", PACKETS, "client")
def mute(run: Run) -> Found:
    """Who has said that it has no more to say cannot say more."""
    refused = [it for it in run.calls("client", "send") if it.event.errno == "EPIPE"]
    send, fin = first(refused, "a send() that fails with EPIPE"), _fins(run, client=True)[0]
    late = [it for it in run.packets(client=True, data=True) if it.packet.begin >= SIZE]
    return found(fin.t < send.t and not late, send, *late)


@claim("answer", PACKETS, "server", "client")
def answer(run: Run) -> Found:
    """The other direction carries data as before."""
    fin = _fins(run, client=True)[0]
    data = run.packets(client=False, data=True)
    read = _read(run)
    whole = b"".join(it.event.data for it in read)
    later = bool(data) and all(it.t > fin.t for it in data)
    sends = run.calls("server", "send")
    return found(later and whole == SORTED, fin, *sends, *data, *read, size=len(whole))


@claim("last", PACKETS, "client")
def last(run: Run) -> Found:
    """The connection is over when the other half has ended, too; in good order."""
    mine, other = _fins(run, client=True), _fins(run, client=False)
    behind = run.packets(client=True)
    behind = behind[behind.index(mine[0]) + 1 :]
    call = run.call("client", "recv", -1)
    good = len(other) == 1 and other[0].packet.end == len(SORTED) and other[0].t < call.t
    good &= call.event.n == 0 and set(notation(behind).split()) == {"A"}
    return found(good, *behind, *other, call)
