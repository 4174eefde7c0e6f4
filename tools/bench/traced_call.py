"""What an event in the log costs: nanoseconds for each traced call, without the kernel's own part.

    python tools/bench/traced_call.py

Each call is made on a stand-in that does nothing, bare and traced; the difference is the recording. What
is recorded is then encoded as lines and written to /dev/null, as a server does at the end of a tick. Below
it, for comparison, what the real calls take on a Unix socket pair.
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from evloop.events.recorder import Recorder
from evloop.events.schema import SCHEMA, Header
from evloop.events.sinks import FileSink, encode
from evloop.kernel import IN, Kernel
from evloop.tracing.calls import traced_poll, traced_recv, traced_recvfrom, traced_send, traced_sendto
from evloop.tracing.kernel import TracedKernel, TracedSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from evloop.address import InetSockaddr
    from evloop.events.schema import Event
    from evloop.events.sinks import Sink

    Call: TypeAlias = Callable[[], object]

__all__ = ["main"]

TICK = 50  # events that are encoded together
MESSAGE = bytes(64)
PEER: InetSockaddr = ("127.0.0.1", 40000)


class Cost(NamedTuple):
    """Nanoseconds a call, but for the last."""

    bare: float  # the stand-in
    recorded: float  # the clock twice, the event, the counters
    encoded: float
    written: float
    line: float  # bytes


def cost_of(bare: Call, traced: Call, sink: Sink, batch: list[Event], *, goes: int) -> Cost:
    """The least of many goes: whatever disturbs can only add. `traced` puts its events into `batch`."""
    clock, best, block = time.perf_counter_ns, [1e9] * 4, b""
    for _ in range(goes):
        batch.clear()
        times = [clock()]
        for _ in range(TICK):
            bare()
        times.append(clock())
        for _ in range(TICK):
            traced()
        times.append(clock())
        block = encode(batch)
        times.append(clock())
        sink.write(block, batch)
        times.append(clock())
        best = [min(old, new - then) for old, then, new in zip(best, times, times[1:], strict=False)]
    batch.clear()
    call, recorded, encoded, written = (ns / TICK for ns in best)
    return Cost(call, recorded - call, encoded, written, len(block) / TICK)


def calls(kernel: TracedKernel, sock: socket.socket) -> dict[str, tuple[Call, Call]]:
    """Name → (the stand-in, the same traced)."""
    stream = TracedSocket(sock, "tcp-1", "tcp", "127.0.0.1:40000")
    bound = TracedSocket(sock, "udp-1", "udp", "127.0.0.1:8080")
    kernel.names[9] = "tcp-1"

    def recv(_size: int) -> bytes:
        return MESSAGE

    def send(data: bytes | memoryview) -> int:
        return len(data)

    def recvfrom(_size: int) -> tuple[bytes, bool, InetSockaddr]:
        return MESSAGE, False, PEER

    def sendto(data: bytes, _peer: InetSockaddr) -> int:
        return len(data)

    def poll(_timeout: float | None) -> list[tuple[int, int]]:
        return [(9, IN)]

    recv_traced = traced_recv(kernel, stream, recv)
    send_traced = traced_send(kernel, stream, send)
    recvfrom_traced = traced_recvfrom(kernel, bound, recvfrom)
    sendto_traced = traced_sendto(kernel, bound, sendto)
    poll_traced = traced_poll(kernel, poll)
    return {
        "recv": (lambda: recv(65536), lambda: recv_traced(65536)),
        "send": (lambda: send(MESSAGE), lambda: send_traced(MESSAGE)),
        "recvfrom": (lambda: recvfrom(65536), lambda: recvfrom_traced(65536)),
        "sendto": (lambda: sendto(MESSAGE, PEER), lambda: sendto_traced(MESSAGE, PEER)),
        "poll, one ready": (lambda: poll(None), lambda: poll_traced(None)),
    }


def real_calls(goes: int) -> float:
    """Nanoseconds for a send(2) and a recv(2) of a message on a Unix socket pair."""
    here, there = socket.socketpair()
    clock, best = time.perf_counter_ns, 1e9
    with here, there:
        for _ in range(goes):
            begun = clock()
            for _ in range(TICK):
                here.send(MESSAGE)
                there.recv(65536)
            best = min(best, (clock() - begun) / TICK)
    return best


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--goes", type=int, default=2000, help=f"of {TICK} calls; the best counts")
    goes = max(1, parser.parse_args(argv).goes)
    header = Header(0, 0, 0, SCHEMA, time.monotonic_ns(), 0, 0, 1, [], {}, "epoll", "echo", "prefix", 64)
    recorder = Recorder(header, lambda _sink, _error: None)
    kernel = TracedKernel(Kernel(), recorder, 64)
    sink = FileSink(os.open(os.devnull, os.O_WRONLY), os.devnull, lambda _: None)
    print(f"{'ns a call of 64 B':18}{'record':>8}{'encode':>8}{'write':>8}{'in all':>8}   bytes a line")
    with socket.socket() as sock:
        for name, (bare, traced) in calls(kernel, sock).items():
            cost = cost_of(bare, traced, sink, recorder.batch, goes=goes)
            added = cost.recorded, cost.encoded, cost.written
            figures = "".join(f"{ns:8.0f}" for ns in (*added, sum(added)))
            print(f"{name:18}{figures}{cost.line:9.0f}")
    sink.close()
    print(
        f"For comparison: send and recv of 64 B on a Unix socket pair, untraced: {real_calls(goes):.0f} ns."
    )


if __name__ == "__main__":
    main()
