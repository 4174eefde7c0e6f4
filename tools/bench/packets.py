"""How fast a capture is analysed, beside tshark.

    python tools/bench/packets.py [ROUNDS]

Captures of a million packets: an echo of small messages, a transfer, and very many short connections.
Both read the same file, one after the other, round by round; the medians are printed.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import struct
import tempfile
from typing import IO

from arguments import at_least_one
from commands import TRACE, timed

__all__ = ["main", "write_capture"]

FIN, SYN, PSH, ACK = 1, 2, 8, 16
SNAP = 128
STAMPS = b"\1\1\x08\x0a" + struct.pack(">II", 1, 2)
OPTIONS = struct.pack(">BBH", 2, 4, 65495) + b"\4\2\x08\x0a" + struct.pack(">II", 1, 0) + b"\1\3\3\7"
TSHARK = ("tshark", "-n", "-2", "-q", "-z", "conv,tcp", "-r")
KINDS = {"echo": (1000, 249, False), "transfer": (1000, 249, True), "short": (100_000, 1, False)}


class Writer:
    """Connections of a client, 8 µs from packet to packet."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.time, self.packets = file, 1_700_000_000 * 10**9, 0
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, SNAP, 1))

    def send(self, conn: list[int], who: int, flags: int, size: int = 0) -> None:
        """One segment; `conn` is the port and both ends' next sequence numbers."""
        port, mine, other = conn[0], conn[1 + who], conn[2 - who]
        ports = (port & 0xFFFF, 8080) if who == 0 else (8080, port & 0xFFFF)
        options = OPTIONS if flags & SYN else STAMPS
        words = 5 + len(options) // 4
        tcp = struct.pack(
            ">HHIIHHI", *ports, mine & 0xFFFFFFFF, other & 0xFFFFFFFF, words << 12 | flags, 512, 0
        )
        far = bytes((127, 0, port >> 24, 1 + (port >> 16 & 0xFF)))
        hosts = (b"\x7f\0\0\1", far) if who == 0 else (far, b"\x7f\0\0\1")
        length = 20 + len(tcp) + len(options) + size
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, 0, 0x4000, 64, 6, 0, *hosts)
        frame = (bytes(12) + b"\x08\0" + ip + tcp + options + b"x" * size)[:SNAP]
        self.time += 8000
        self.packets += 1
        self.file.write(struct.pack("<IIII", *divmod(self.time, 10**9), len(frame), 14 + length) + frame)
        conn[1 + who] += size + bool(flags & (SYN | FIN))


def write_capture(file: IO[bytes], connections: int, rounds: int, *, transfer: bool) -> int:
    """A hundred connections at a time; how many packets there are."""
    writer, rng = Writer(file), random.Random(1)
    for first in range(0, connections, 100):
        conns = [
            [(n // 60_000) << 16 | 1024 + n % 60_000, rng.getrandbits(32), rng.getrandbits(32)]
            for n in range(first, first + 100)
        ]
        for conn in conns:
            for who, flags in ((0, SYN), (1, SYN | ACK), (0, ACK)):
                writer.send(conn, who, flags)
        for _ in range(rounds):
            for conn in conns:
                _round(writer, conn, transfer=transfer)
        for conn in conns:
            for who, flags in ((0, FIN | ACK), (1, FIN | ACK), (0, ACK)):
                writer.send(conn, who, flags)
    return writer.packets


def _round(writer: Writer, conn: list[int], *, transfer: bool) -> None:
    """Four packets."""
    if transfer:
        for _ in range(3):
            writer.send(conn, 1, ACK, 1448)
    else:
        writer.send(conn, 0, PSH | ACK, 64)
        writer.send(conn, 1, ACK)
        writer.send(conn, 1, PSH | ACK, 64)
    writer.send(conn, 0, ACK)


def main() -> None:
    """Print a row for each capture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "rounds", type=at_least_one, nargs="?", default=3, metavar="ROUNDS", help="3 if not said"
    )
    rounds: int = parser.parse_args().rounds
    print(
        "| capture | packets | evloop-trace packets --json | tshark -n -2 -q -z conv,tcp |\n| - | - | - | - |"
    )
    for name, (connections, talks, transfer) in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, f"{name}.pcap")
            with open(path, "wb") as file:
                packets = write_capture(file, connections, talks, transfer=transfer)
            commands = ((*TRACE, "packets", "--json", path), (*TSHARK, path))
            runs = [[timed(command, None) for command in commands] for _ in range(rounds)]
        cells = [
            f"{statistics.median(run[at]['seconds'] for run in runs):.1f} s, "
            f"{max(run[at]['rss'] for run in runs) // 2**20} MiB"
            for at in (0, 1)
        ]
        print(f"| {name}, {connections:,} connections | {packets:,} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()
