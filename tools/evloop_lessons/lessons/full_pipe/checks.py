"""What must be seen of a connection on which one writes and the other does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, SOCKETS, claim, found
from evloop_lessons.run import first, milliseconds, payload_size, returned
from evloop_trace.model.filters import kind_of
from evloop_trace.packets.segments import KEEP_ALIVE, PROBE, RST, SYN

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run
    from evloop_trace.correlate.entries import PacketEntry

SOONEST, LATEST = 150_000_000, 1_000_000_000
"""Nanoseconds to the first probe: a retransmission time-out (RFC 9293, 3.8.6.1), of Linux 200 ms and more."""

FALSE = {"buffer=65536": ("partial", "full", "held", "zero", "probe", "update")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _taken(run: Run) -> int:
    """Bytes that the client's kernel had taken before anything was read."""
    read = run.step("read").t
    return sum(_sizes(it)[1] for it in run.calls("client", "send") if it.t < read)


def _refused(run: Run) -> list[Call]:
    """The client's calls, from the last send() on that failed before anything was read."""
    read = run.step("read").t
    calls = sorted(run.calls("client"), key=lambda it: it.event.seq)
    refused = [it for it in calls if getattr(it.event, "errno", None) == "EAGAIN" and it.event.t < read]
    return calls[calls.index(first(refused[::-1], "a send() that fails with EAGAIN")) :]


def _closed(run: Run) -> PacketEntry:
    """The packet with which the server's kernel closed its window."""
    packets = run.packets(client=False)
    closed = [it for it in packets if not it.packet.window and not it.packet.flags & (SYN | RST)]
    return first(closed, "a packet with window 0")


def _sizes(call: Call) -> tuple[int, int]:
    """Of a send() or recv(): the bytes that were asked for, and what it gave."""
    return call.event.size, call.event.n or 0


def outcome(run: Run) -> str:
    """What the first send() gave. a: all; b: less; c: EAGAIN; d: it slept."""
    send = run.call("client", "send")
    size, n = _sizes(send)
    if any(it.event.awaits == "send" for it in run.calls("client", "block")):
        return "d"
    if not n:
        return "c"
    return "b" if n < size else "a"


@claim("partial", "client")
def partial(run: Run) -> Found:
    """The kernel takes what it has room for, and says how much that was."""
    send = run.call("client", "send")
    size, n = _sizes(send)
    return found(0 < n < size, send, n=f"{n:,}", size=f"{size:,}")


@claim("full", "client")
def full(run: Run) -> Found:
    """When there is no more room send() says so, the selector says so, and the program sleeps."""
    refused, *later = _refused(run)
    asked, woken = [it for it in later if kind_of(it.event) == "poll"][:2]
    asleep = first([it for it in later if kind_of(it.event) == "block"], "a sleep")
    read = run.step("read").t
    empty = asked.event.timeout == 0 and not asked.event.ready
    good = empty and asleep.event.t < read < returned(woken)
    nobody = "select(0) = []"
    return found(good, refused, nobody, asleep, taken=f"{_taken(run):,}")


@claim("held", SOCKETS, "client", "server")
def held(run: Run) -> Found:
    """What was taken is in the one kernel or in the other."""
    address = run.call("server", "listen").event.address
    sample = run.sample(run.step("read").t)
    unread = sum(it.unread for it in sample.of(local=address) if it.peer)
    unsent = sum(it.unsent for it in sample.of(peer=address))
    taken = _taken(run)
    held = unread > 0 and unsent > 0 and unread + unsent == taken < run["size"]
    shown = {"unread": f"{unread:,}", "unsent": f"{unsent:,}", "taken": f"{taken:,}"}
    return found(held, f"Recv-Q {unread:,}, Send-Q {unsent:,}", **shown)


@claim("zero", PACKETS, "server")
def zero(run: Run) -> Found:
    """The server's kernel says that it has no room, and the program knows nothing of it."""
    packet, recv = _closed(run), run.call("server", "recv")
    return found(packet.t < recv.event.t, packet, "win 0", recv, ack=f"{packet.packet.ack or 0:,}")


@claim("probe", PACKETS)
def probe(run: Run) -> Found:
    """The client's kernel asks again, and is told the same."""
    packets, closed = run.packets(), _closed(run)
    probes = [it for it in run.packets(client=True) if it.packet.found & (PROBE | KEEP_ALIVE)]
    probe = first(probes, "a probe")
    at = packets.index(probe)
    waited = probe.t - packets[at - 1].t
    answer = first([it for it in packets[at:] if not it.packet.client], "an answer to it")
    good = closed.t < probe.t and SOONEST <= waited <= LATEST
    good &= not payload_size(probe) and not answer.packet.window
    return found(good, closed, probe, answer, waited=milliseconds(waited))


@claim("update", PACKETS, "server", "client")
def update(run: Run) -> Found:
    """recv() makes room, and that wakes the client."""
    closed, recv = _closed(run), run.call("server", "recv")
    later = [it for it in run.packets(client=False) if it.t > closed.t and it.packet.window]
    opened = first(later, "a window that is open again")
    polls = [it for it in _refused(run) if kind_of(it.event) == "poll"]
    woken = first([it for it in polls if it.event.ready], "a poll that is told of room")
    good = recv.event.t <= opened.t < returned(woken)
    return found(good, recv, opened, "select() = [WRITE]", window=f"{opened.packet.window:,}")


@claim("whole", "client", "server")
def whole(run: Run) -> Found:
    """Nothing is lost, and nothing comes twice."""
    sends = [it for it in run.calls("client", "send") if _sizes(it)[1]]
    recvs = [it for it in run.calls("server", "recv") if _sizes(it)[1]]
    sent, received = (sum(_sizes(it)[1] for it in them) for them in (sends, recvs))
    good = sent == received == run["size"]
    return found(
        good, *sends, *recvs, sent=f"{sent:,}", received=f"{received:,}", sends=len(sends), recvs=len(recvs)
    )
