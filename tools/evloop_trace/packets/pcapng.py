"""The pcapng format: blocks, each with its type and its length at both ends.

https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from evloop_trace.packets import capture_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evloop_trace.packets.capture_file import Capture, Interface, Packet

__all__ = ["SECTION", "Growing", "packets"]

SECTION = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _OLD, _SIMPLE, _STATISTICS, _ENHANCED, _HEADER = 1, 2, 3, 5, 6, 0x0A0D0D0A
_LEAST = 12  # bytes of a block
MOST = 1 << 24
MOST_INTERFACES = 1 << 12
MOST_COMMENTS = 20
_ORDERS = {bytes.fromhex("4d3c2b1a"): "<", bytes.fromhex("1a2b3c4d"): ">"}


def packets(start: bytes, read: Callable[[int], bytes], capture: Capture) -> Iterator[Packet]:
    """The packets of a file that begins with `start`."""
    capture.kind = "pcapng"
    blocks = _Blocks(start, read, capture)
    yield from blocks.packets()
    blocks.finish()


class Growing:
    """A file that is still being written."""

    def __init__(self, read: Callable[[int], bytes], capture: Capture) -> None:
        """`read` gives what has been written since it was asked last."""
        self._blocks = _Blocks(b"", read, capture)

    def packets(self) -> Iterator[Packet]:
        """Those that are there by now, and were not asked for before."""
        return self._blocks.packets()


class _Blocks:
    """Where in the file we are, and what the section says how to read it."""

    def __init__(self, start: bytes, read: Callable[[int], bytes], capture: Capture) -> None:
        self.buffer, self.at, self.before = start, 0, 0
        self.read, self.capture = read, capture
        self.order = "<"
        self.interfaces: list[Interface] = []
        self.time = 0
        self.over = False  # nothing behind this place can be trusted

    def packets(self) -> Iterator[Packet]:
        """All up to where there is nothing more to be read."""
        while self.more():
            yield from self.enhanced()  # nearly all there is
            packet = self.other()
            if packet:
                yield packet

    def more(self) -> bool:
        """Whether there is a whole block at this place, after reading on if need be."""
        while not self.over:
            length = self._length()
            if self.over or (length and len(self.buffer) - self.at >= length):
                break
            if not self._read(length or _LEAST):
                return False
        return not self.over

    def _read(self, need: int) -> bool:
        """Read on until so many bytes are there from this place on; whether they are."""
        pieces = [self.buffer[self.at :]]
        have = len(pieces[0])
        while have < need and (piece := self.read(capture_file.PIECE)):
            pieces.append(piece)
            have += len(piece)
        self.before += self.at
        self.buffer, self.at = b"".join(pieces), 0
        return have >= need

    def finish(self) -> None:
        """The file is read; say so if it ends in a block."""
        if not self.over and self.at < len(self.buffer):
            behind = f"behind packet {self.capture.packets}"
            self.capture.problem(f"the file ends in the middle of a block, {behind}: it was cut off")

    def _length(self) -> int:
        """The length of the block that begins here; 0 if too little of it is there to know."""
        buffer, at = self.buffer, self.at
        if len(buffer) - at < _LEAST:
            return 0
        if buffer[at : at + 4] == SECTION:
            order = _ORDERS.get(buffer[at + 8 : at + 12])
            if order is None:
                self._stop("is the header of a section in no known order of bytes")
                return 0
            self.order = order
        length: int = struct.unpack_from(self.order + "I", buffer, at + 4)[0]
        if length < _LEAST or length % 4 or length > MOST:
            self._stop(f"claims to be {length:,} bytes long, which no block is")
            return 0
        return length

    def _stop(self, what: str) -> None:
        self.over = True
        self.capture.problem(
            f"the block at byte {self.before + self.at} {what}: the file is damaged from there on"
        )

    def enhanced(self) -> Iterator[Packet]:
        """The packets from here on, until there is another block, or too little of one."""
        buffer, at, size = self.buffer, self.at, len(self.buffer)
        capture, interfaces = self.capture, self.interfaces
        unpack = struct.Struct(self.order + "IIIIIII").unpack_from
        while size - at >= 32:
            kind, length, number, high, low, kept, wire = unpack(buffer, at)
            end = at + length
            if (
                kind != _ENHANCED
                or end > size
                or length & 3
                or kept > length - 32
                or number >= len(interfaces)
                or buffer[at + 4 : at + 8] != buffer[end - 4 : end]
            ):
                break
            interface = interfaces[number]
            time = (high << 32 | low) * interface.multiply
            if interface.divide != 1:
                time //= interface.divide
            time += interface.offset
            capture.packets += 1
            if length - kept > 35:
                self._comment(at + 28 + (kept + 3 & ~3), end - 4)
            self.at, self.time, capture.current = end, time, interface
            yield time, buffer, at + 28, kept, wire, interface.link
            at = end

    def other(self) -> Packet | None:
        """The packet of the block that begins here, if it has one."""
        if not self.more():
            return None
        buffer, at = self.buffer, self.at
        kind, length = struct.unpack_from(self.order + "II", buffer, at)
        if buffer[at + 4 : at + 8] != buffer[at + length - 4 : at + length]:
            self._stop("has two different lengths")
            return None
        begin, end = at + 8, at + length - 4
        self.at = at + length
        if kind in {_ENHANCED, _OLD, _SIMPLE}:
            return self._packet(kind, begin, end)
        if kind == _HEADER:
            self.interfaces = []
            self._comment(begin + 16, end, 0)
        elif kind == _INTERFACE:
            self._interface(begin, end)
        elif kind == _STATISTICS:
            self._statistics(begin, end)
        return None

    def _packet(self, kind: int, begin: int, end: int) -> Packet | None:
        """What `enhanced` leaves: packets of the two other kinds, and whatever is odd."""
        self.capture.packets += 1
        size = end - begin
        number, offset, kept, wire = 0, 20, size, 0
        if size < (4 if kind == _SIMPLE else 20):
            self._damaged("is too short for what it should hold")
            return None
        if kind == _SIMPLE:
            offset, wire = 4, struct.unpack_from(self.order + "I", self.buffer, begin)[0]
            kept = min(wire, size - 4)
        else:
            form = "H2xIIII" if kind == _OLD else "IIIII"
            number, high, low, kept, wire = struct.unpack_from(self.order + form, self.buffer, begin)
        if number >= len(self.interfaces):
            self._damaged(f"is of interface {number}, which is not described")
            return None
        interface = self.interfaces[number]
        if kind == _SIMPLE:
            kept = min(kept, interface.snap or kept)
        else:
            self.time = (high << 32 | low) * interface.multiply // interface.divide + interface.offset
        if kept > size - offset:
            self._damaged(f"claims {kept:,} bytes, but the block has {size - offset:,}")
            return None
        self.capture.current = interface
        return self.time, self.buffer, begin + offset, kept, wire, interface.link

    def _damaged(self, what: str) -> None:
        self.capture.problem(f"packet {self.capture.packets} {what}: it is left out")

    def _interface(self, begin: int, end: int) -> None:
        if end - begin < 8 or len(self.interfaces) >= MOST_INTERFACES:
            self.capture.problem("a description of an interface cannot be read: its packets are left out")
            return
        number, snap = struct.unpack_from(self.order + "H2xI", self.buffer, begin)
        interface = capture_file.Interface(capture_file.link(number, self.capture), snap)
        for code, value in self._options(begin + 8, end):
            if code == 2:
                interface.name = value.decode("utf-8", "replace")
            elif code == 9 and value:
                _resolution(interface, value[0])
            elif code == 14 and len(value) == 8:
                interface.offset = struct.unpack(self.order + "q", value)[0] * 10**9
        self.interfaces.append(interface)
        if len(self.capture.interfaces) < MOST_INTERFACES:
            self.capture.interfaces.append(interface)

    def _statistics(self, begin: int, end: int) -> None:
        """Counts are totals: a later block replaces an earlier one."""
        number = struct.unpack_from(self.order + "I", self.buffer, begin)[0] if end - begin >= 12 else -1
        if not 0 <= number < len(self.interfaces):
            return
        interface, dropped = self.interfaces[number], 0
        for code, value in self._options(begin + 12, end):
            if len(value) == 8 and code in {4, 5, 7}:
                count = struct.unpack(self.order + "Q", value)[0]
                if code == 4:
                    interface.received = count
                else:
                    dropped += count
                    interface.dropped = dropped
        self.capture.dropped = sum(it.dropped or 0 for it in self.capture.interfaces)

    def _comment(self, begin: int, end: int, packet: int | None = None) -> None:
        for code, value in self._options(begin, end):
            if code == 1 and len(self.capture.comments) < MOST_COMMENTS:
                number = self.capture.packets if packet is None else packet
                self.capture.comments.append((number, value.decode("utf-8", "replace")))

    def _options(self, at: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Code and value of each; they end where one would go beyond the block."""
        while end - at >= 4:
            code, length = struct.unpack_from(self.order + "HH", self.buffer, at)
            at += 4
            if code == 0 or length > end - at:
                return
            yield code, self.buffer[at : at + length]
            at += length + 3 & ~3


def _resolution(interface: Interface, value: int) -> None:
    """A timestamp's unit: 10 to the minus `value` seconds, or with the highest bit set, 2 to the minus it."""
    units = 2 ** (value & 0x7F) if value & 0x80 else 10**value
    interface.multiply, interface.divide = (10**9 // units, 1) if 10**9 % units == 0 else (10**9, units)
