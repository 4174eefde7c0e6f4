"""What must be seen of empty messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, Missing, claim, found
from evloop_lessons.run import first, milliseconds, payload_size
from evloop_trace.packets.segments import FIN

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Run
    from evloop_trace.correlate.entries import PacketEntry, Strand

HEADER = 8  # bytes: of UDP (RFC 768)

FALSE = {"size=1": ("tcp", "kept", "udp")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _strand(run: Run, proto: str) -> Strand:
    """The connection; or, over UDP, the two addresses."""
    for it in run.entries:
        if it.strand and it.strand.proto == proto:
            return it.strand
    raise Missing(f"anything over {proto}")


def _sent(run: Run, proto: str, step: str, end: str) -> list[PacketEntry]:
    """The client's packets from one step to another."""
    packets = run.packets(_strand(run, proto), client=True, data=proto == "tcp")  # a bare ACK is nothing sent
    return run.between(step, end, packets)


def outcome(run: Run) -> str:
    """a: neither reaches the server; b: both; c: over UDP; d: over TCP."""
    tcp = bool(_sent(run, "tcp", "tcp", "hello"))
    udp = bool(_sent(run, "udp", "udp", "close"))
    return {(False, False): "a", (True, True): "b", (False, True): "c", (True, False): "d"}[tcp, udp]


@claim("tcp", PACKETS, "client", "server")
def tcp(run: Run) -> Found:
    """The call succeeds, and nothing comes of it."""
    begin, end = run.step("tcp").t, run.step("hello").t
    send = run.call("client", "send")
    packets = run.between(begin, end, run.packets())
    calls = run.between(begin, end, run.calls("server"))
    good = send.event.n == 0 and not packets and not calls
    return found(good, send, *packets, *calls, wait=milliseconds(end - begin))


@claim("kept", "client", "server")
def kept(run: Run) -> Found:
    """It is not kept for later either: there is nothing between the stream's bytes."""
    sends, recv = run.calls("client", "send")[:2], run.call("server", "recv")
    return found(recv.event.data == b"hello", *sends, recv)


@claim("udp", PACKETS, "client", "server")
def udp(run: Run) -> Found:
    """An empty datagram is one."""
    packets = _sent(run, "udp", "udp", "close")
    sizes = [HEADER + payload_size(it) for it in packets]
    calls = [run.call("client", "sendto"), run.call("server", "recvfrom")]
    calls += [run.call("server", "sendto"), run.call("client", "recvfrom")]
    good = sizes == [HEADER] and [it.event.n for it in calls] == [0, 0, 0, 0]
    return found(good, *packets, *calls, length=sizes)


@claim("end", PACKETS, "server")
def end(run: Run) -> Found:
    """b'' on a stream is its end, and there it is a packet's doing; UDP has no end."""
    close = run.step("close").t
    fin = first(run.packets(client=True, flags=FIN), "a FIN of the client")
    empty = [it for it in run.calls("server", "recv") if it.event.n == 0]
    later = [it for it in run.packets(_strand(run, "udp")) if it.t >= close]
    got = run.calls("server", "recvfrom")
    heard = [it for it in got if it.t >= close and it.event.n is not None]
    good = len(empty) == 1 and close <= fin.t < empty[0].t and not later and not heard
    return found(good, fin, *empty, *later, *heard)
