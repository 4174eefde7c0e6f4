"""What must be seen of postcards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, SOCKETS, claim, found
from evloop_lessons.run import notation, results

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run
    from evloop_trace.correlate.entries import PacketEntry

ANN, BOB = WRITERS = "ann", "bob"
"""Ann has called connect(), Bob has not."""
CARD = 20  # bytes

FALSE = {"server=prepared": ("cut", "burst", "icmp", "refused", "silent")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _calls(run: Run, log: str, kind: str, begin: str, end: str) -> list[Call]:
    """Those of a kind that began in a step and before another."""
    return run.between(begin, end, run.calls(log, kind))


def _packets(run: Run, begin: str, end: str) -> list[PacketEntry]:
    """Those that went in a step and before another."""
    return run.between(begin, end, run.packets())


def _told(run: Run, writer: str) -> list[Call]:
    return [it for it in run.calls(writer, "recvfrom", "sendto") if it.event.errno == "ECONNREFUSED"]


def outcome(run: Run) -> str:
    """Who was told that there is nobody. a: nobody; b: both; c: only Ann; d: only Bob."""
    told = bool(_told(run, ANN)), bool(_told(run, BOB))
    return {(False, False): "a", (True, True): "b", (True, False): "c", (False, True): "d"}[told]


@claim("one", "box", *WRITERS)
def one(run: Run) -> Found:
    """No listen, no accept, no socket for each: a letter says whom it is from."""
    sockets = run.calls("box", "socket")
    cards = _calls(run, "box", "recvfrom", "two", "large")
    peers = {it.event.peer for it in cards if it.event.n}
    good = len(sockets) == 1 and len(peers) == len(WRITERS) and not run.calls("box", "listen", "accept")
    return found(good, *sockets, *cards)


@claim("bare", PACKETS, "box")
def bare(run: Run) -> Found:
    """A card, and the answer; nothing opens, acknowledges or ends anything."""
    packets = _packets(run, "bind", "large")
    seen = notation(packets)
    return found(seen == "20 20 20 20", *packets, seen=seen)


@claim("cut", PACKETS, "box")
def cut(run: Run) -> Found:
    """One packet with all of it; a recv that got the beginning; and the rest is nowhere."""
    packets = _packets(run, "large", "burst")
    first, second = _calls(run, "box", "recvfrom", "large", "burst-read")[:2]
    got, sent = first.event.n or 0, run["size"]
    truncated = first.event.truncated and got < sent
    good = notation(packets) == str(sent) and truncated and second.event.errno == "EAGAIN"
    return found(bool(good), *packets, first, second, got=got, sent=sent, lost=sent - got)


@claim("burst", PACKETS, SOCKETS, "box", BOB)
def burst(run: Run) -> Found:
    """All were sent, and seen on the wire; those for which there was no room are counted, and gone."""
    sends = [it for it in _calls(run, BOB, "sendto", "burst", "burst-read") if it.event.n]
    packets = _packets(run, "burst", "burst-read")
    reads = [it for it in _calls(run, "box", "recvfrom", "burst-read", "nobody") if it.event.n]
    sample = run.sample(run.step("nobody").t)
    dropped = sample.counters.get("UdpRcvbufErrors", 0)
    sent = run["burst"]
    good = len(sends) == len(packets) == sent == len(reads) + dropped and 0 < len(reads) < sent
    counted = f"UdpRcvbufErrors {dropped}"
    return found(good, *reads, counted, sent=sent, read=len(reads), dropped=dropped)


@claim("icmp", PACKETS, *WRITERS)
def icmp(run: Run) -> Found:
    """The kernel of who has no such port answers every card."""
    begin = run.step("nobody").t
    good, shown = True, []
    for writer in WRITERS:
        packets = [it for it in run.packets(run.strand(writer)) if it.t >= begin]
        good &= notation(packets) == "20 ICMP 20 ICMP"
        shown += packets
    return found(good, *shown, number=sum(bool(it.packet.error) for it in shown))


@claim("refused", ANN)
def refused(run: Run) -> Found:
    """Each ICMP error is told once, by the next call."""
    calls = [it for it in run.calls(ANN, "sendto", "recvfrom") if it.t >= run.step("nobody").t]
    once = [("sendto", CARD), ("recvfrom", "ECONNREFUSED")]
    return found(results(calls) == once * 2, *calls)


@claim("silent", BOB)
def silent(run: Run) -> Found:
    """Nobody tells it; it waits for an answer that will never come."""
    begin = run.step("nobody").t
    sends = [it for it in run.calls(BOB, "sendto") if it.t >= begin and not it.event.errno]
    last = run.calls(BOB)[-1]
    asleep = getattr(last.event, "awaits", "") == "recvfrom"
    return found(len(sends) == len(WRITERS) and asleep, *sends, last)
