"""Packets from the kernel, through memory that it shares with us: packet(7), TPACKET_V3.

The kernel writes packets into blocks, one after another in a ring, and gives us a block when it is full or
some milliseconds old. There is no system call a packet, and a burst waits in the ring until we come to it.
When no block is free the kernel drops packets, and counts them.
Linux, Documentation/networking/packet_mmap.rst.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from evloop.errors import EvloopError
from evloop_trace.capture.filters import NOTHING

if TYPE_CHECKING:
    from evloop_trace.capture.interface import Interface

__all__ = ["BLOCK_AGE", "MOST_SNAP", "Counts", "Packet", "Ring"]

Packet: TypeAlias = tuple[int, bytes, int]
"""When, in nanoseconds of the wall clock; the bytes that were kept; how many there were."""

BLOCK_AGE = 10
"""Milliseconds after which a block that has a packet is ours, full or not."""

# A stalled reader, or one that does not get a core, has BLOCKS * BLOCK_AGE until a slow stream is dropped;
# large packets on lo are 64 KiB, and so there are many blocks, which are not too small for some of these.
_BLOCK, _BLOCKS = 256 * 1024, 128
_FRAME = 2048  # has a meaning in versions 1 and 2 only, but must divide a block

MOST_SNAP = _BLOCK // 2

# linux/if_packet.h, linux/if_ether.h, asm/socket.h
_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION, _PACKET_IGNORE_OUTGOING = 5, 6, 10, 23
_TPACKET_V3 = 2
_SO_ATTACH_FILTER = 26
_TP_STATUS_USER = 1

_REQUEST = struct.Struct("=7I")  # tpacket_req3
_STATISTICS = struct.Struct("=3I")  # tpacket_stats_v3
# tpacket3_hdr: next_offset, sec, nsec, snaplen, len, status, mac, and of the tag: vlan_tci, vlan_tpid
_HEADER = struct.Struct("=6IH6xIH")
_HEADER_SIZE = 48
_TP_STATUS_VLAN_VALID, _TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40
_8021Q = 0x8100
_TAG = struct.Struct(">HH")  # which kind of tag, and what it says
_TAG_AT = 12  # behind both addresses of an Ethernet frame
# sockaddr_ll: protocol, interface, kind of its addresses, whose packet it is, length of the address, address
_LINK_LAYER = struct.Struct("=2x2siHBB8s")
# The same as a file has it: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html
_COOKED = struct.Struct(">2s2xIHBB8s")
_COOKED_TAG = struct.Struct(">H2s")  # what a tag says, and the protocol behind it
_SOCKADDR = struct.Struct("=HHiHBB8s")
# tpacket_block_desc, in words of 32 bits: status, how many packets, where the first is
_STATUS, _COUNT, _FIRST = 2, 3, 4


class Counts(NamedTuple):
    """What the kernel counted since the ring was opened, of what passed the filter."""

    seen: int = 0
    """All packets, those that were dropped among them."""
    dropped: int = 0
    """Packets for which no block was free."""


class Ring:
    """Packets that pass a filter, from the moment that it exists.

    On loopback every packet goes by twice, out and in again; only the second is taken. Elsewhere those that
    go out and those that come in are different ones. On all interfaces at once a packet has a header of Linux
    cooked 2, which we make of what the kernel says about it.

    A tag of a VLAN is taken off before a packet comes to us, by the network card or by the kernel, and stands
    beside it: it is put back.
    """

    def __init__(self, interface: Interface, program: bytes) -> None:
        """Begin.

        Raises:
            EvloopError: the system does not let us, or cannot.
        """
        self._sock = _open(interface)
        self.counts = Counts()
        try:
            # Bound last: until then it belongs to no protocol, so that nothing comes in unfiltered.
            self._sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
            if interface.is_loopback:
                self._sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            self._filter(program)
            frames = _BLOCK // _FRAME * _BLOCKS
            request = _REQUEST.pack(_BLOCK, _BLOCKS, _FRAME, frames, BLOCK_AGE, 0, 0)
            self._sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
            self._memory = mmap.mmap(self._sock.fileno(), _BLOCK * _BLOCKS)
            if interface.is_any:
                _bind_to_all(self._sock)
            else:
                self._sock.bind((interface.name, _ETH_P_ALL))
        except OSError as error:
            self._sock.close()
            raise EvloopError(f"{interface.name} cannot be captured on: {error.strerror}") from None
        self._bytes = memoryview(self._memory)
        self._words = self._bytes.cast("I")
        self._block = 0
        self._take = self._cooked if interface.is_any else self._framed

    def fileno(self) -> int:
        """What to poll: readable when a block is ours, an error when the interface has gone down."""
        return self._sock.fileno()

    def take(self) -> list[Packet]:
        """The packets of the next block that is ours, as they came in; [] if there is none."""
        words, at = self._words, self._block * (_BLOCK // 4)
        if not words[at + _STATUS] & _TP_STATUS_USER:
            return []
        packets = self._take(self._block * _BLOCK + words[at + _FIRST], words[at + _COUNT])
        words[at + _STATUS] = 0  # the kernel's again
        self._block = (self._block + 1) % _BLOCKS
        return packets

    def _framed(self, at: int, count: int) -> list[Packet]:
        """Packets as they are, with their tags."""
        memory, header = self._memory, _HEADER.unpack_from
        packets = []
        for _ in range(count):
            step, seconds, ns, kept, size, status, mac, tag, kind = header(memory, at)
            begin = at + mac
            data = memory[begin : begin + kept]
            if status & _TP_STATUS_VLAN_VALID:
                data = data[:_TAG_AT] + _TAG.pack(_kind_of_tag(status, kind), tag) + data[_TAG_AT:]
                size += _TAG.size
            packets.append((seconds * 1_000_000_000 + ns, data, size))
            at += step
        return packets

    def _cooked(self, at: int, count: int) -> list[Packet]:
        """Packets from their IP headers on, each behind a header that says where it was."""
        memory, header = self._memory, _HEADER.unpack_from
        packets = []
        for _ in range(count):
            step, seconds, ns, kept, size, status, mac, tag, kind = header(memory, at)
            begin = at + mac
            protocol, *where = _LINK_LAYER.unpack_from(memory, at + _HEADER_SIZE)
            data = memory[begin : begin + kept]
            if status & _TP_STATUS_VLAN_VALID:
                data = _COOKED_TAG.pack(tag, protocol) + data
                protocol = _kind_of_tag(status, kind).to_bytes(2, "big")
                size += _COOKED_TAG.size
            data = _COOKED.pack(protocol, *where) + data
            packets.append((seconds * 1_000_000_000 + ns, data, size + _COOKED.size))
            at += step
        return packets

    def count(self) -> Counts:
        """What the kernel counted until now; asking it sets its counters back, and so we add up."""
        answer = self._sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        seen, dropped, _ = _STATISTICS.unpack(answer)
        self.counts = Counts(self.counts.seen + seen, self.counts.dropped + dropped)
        return self.counts

    def shut(self) -> None:
        """No more packets come in; those that did are still to be had."""
        self._filter(NOTHING)

    def take_error(self) -> int:
        """Why polling says that there is an error; an errno, or 0. Asking sets it back."""
        return self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def close(self) -> None:
        """Give the memory back."""
        self._words.release()
        self._bytes.release()
        self._memory.close()
        self._sock.close()

    def _filter(self, program: bytes) -> None:
        # struct sock_fprog has a pointer to the program, which the kernel copies.
        code = ctypes.create_string_buffer(program, len(program))
        fprog = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
        self._sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)


def _kind_of_tag(status: int, kind: int) -> int:
    return kind if status & _TP_STATUS_VLAN_TPID_VALID else _8021Q


def _bind_to_all(sock: socket.socket) -> None:
    """bind(2) to interface 0, for which Python has no name."""
    address = _SOCKADDR.pack(socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0, b"")
    if ctypes.CDLL(None, use_errno=True).bind(sock.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _open(interface: Interface) -> socket.socket:
    if not hasattr(socket, "AF_PACKET"):
        raise EvloopError("capture needs Linux: it reads what packet(7) sockets see")
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM if interface.is_any else socket.SOCK_RAW, 0)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EACCES}:
            raise EvloopError(f"packets cannot be captured here: {error.strerror}") from None
    python = os.path.realpath(sys.executable)
    raise EvloopError(
        f"to capture on {interface.name} needs rights: run it in `evloop lab`, where everybody has them, "
        "together with what is to be seen; or with `sudo`; or give them to Python, "
        f"`sudo setcap cap_net_raw+ep {python}`"
    )
