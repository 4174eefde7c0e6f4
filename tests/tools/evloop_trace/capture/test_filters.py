"""The filter, run by the kernel: it may be attached to any socket, and then what is sent there is a frame."""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.capture.filters import MOST_PORTS, NOTHING, assemble, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TCP, UDP, ICMP, ICMP6, FRAGMENT = 6, 17, 1, 58, 44


class Filtered:
    """A pair of sockets of which one takes only what passes."""

    def __init__(self, program: bytes) -> None:
        self.out, self.into = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        code = ctypes.create_string_buffer(program, len(program))
        fprog = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
        self.into.setsockopt(socket.SOL_SOCKET, 26, fprog)

    def kept(self, frame: bytes) -> int:
        """Bytes of a frame that come through."""
        self.out.send(frame)
        try:
            return len(self.into.recv(1 << 18, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """No more."""
        self.out.close()
        self.into.close()


@pytest.fixture
def passes() -> Iterator[Callable[..., bool]]:
    """Whether a frame comes through a filter with these options."""
    filtered: list[Filtered] = []

    def run(frame: bytes, *ports: int, **options: int) -> bool:
        filtered.append(Filtered(assemble(ports, **options)))
        return filtered[-1].kept(frame) > 0

    yield run
    for pair in filtered:
        pair.close()


def option6(following: int, size: int = 8) -> bytes:
    """An extension header of IPv6."""
    return bytes([following, size // 8 - 1]) + bytes(size - 2)


def piece6(following: int, offset: int = 0, more: bool = True) -> bytes:
    """The header of a piece."""
    return struct.pack(">BBHI", following, 0, offset << 3 | more, 7)


def test_ports_of_either_end(passes: Callable[..., bool], frames: Any) -> None:
    """From it or to it; of TCP and UDP, IPv4 and IPv6; and of several ports one is enough."""
    for packet in (frames.tcp(40000, 8080), frames.tcp(8080, 40000)):
        assert passes(frames.ethernet(frames.ip4(TCP, packet)), 8080)
        assert passes(frames.ethernet(frames.ip4(UDP, packet)), 9, 8080)
        assert passes(frames.ethernet(frames.ip6(TCP, packet), 0x86DD), 8080, 9)
        assert passes(frames.ethernet(frames.ip6(UDP, packet), 0x86DD), 8080)
        assert passes(frames.ip4(TCP, packet), 8080, link=0)
        assert passes(frames.ip6(TCP, packet), 8080, link=0)
        assert not passes(frames.ethernet(frames.ip4(TCP, packet)), 8081)
        assert not passes(frames.ethernet(frames.ip6(UDP, packet), 0x86DD), 80, 90)
        assert not passes(frames.ip6(UDP, packet), 8081, link=0)


def test_without_ports_all_of_tcp_and_udp(passes: Callable[..., bool], frames: Any) -> None:
    """And nothing else: no ARP, no ping, no other protocol."""
    assert passes(frames.ethernet(frames.ip4(TCP, frames.tcp(1, 2))))
    assert passes(frames.ethernet(frames.ip6(UDP, frames.udp(1, 2)), 0x86DD))
    assert not passes(frames.ethernet(bytes(28), 0x0806))
    assert not passes(frames.ethernet(frames.ip4(ICMP, frames.icmp(8, 0, b""))))
    assert not passes(frames.ethernet(frames.ip6(ICMP6, frames.icmp(128, 0, b"")), 0x86DD))
    assert not passes(frames.ethernet(frames.ip4(132, bytes(40))))
    assert not passes(bytes(40), link=0)


@pytest.mark.parametrize("tags", [[0x8100], [0x88A8], [0x88A8, 0x8100]])
def test_tags_are_stepped_over(passes: Callable[..., bool], frames: Any, tags: list[int]) -> None:
    """One or two; behind them all is as without: ports, options, errors, pieces."""

    def tagged(packet: bytes, kind: int = 0x0800) -> bytes:
        return (
            bytes(12)
            + b"".join(struct.pack(">HH", tag, 5) for tag in tags)
            + struct.pack(">H", kind)
            + packet
        )

    segment, datagram = frames.tcp(40000, 8080), frames.udp(40000, 8080)
    for packet, kind in [
        (frames.ip4(TCP, segment), 0x0800),
        (frames.ip4(TCP, segment, options=bytes(8)), 0x0800),
        (frames.ip4(ICMP, frames.icmp(3, 3, frames.ip4(UDP, datagram))), 0x0800),
        (frames.ip6(UDP, datagram), 0x86DD),
        (frames.ip6(0, option6(UDP) + datagram), 0x86DD),
        (frames.ip6(ICMP6, frames.icmp(1, 4, frames.ip6(TCP, segment))), 0x86DD),
    ]:
        assert passes(tagged(packet, kind), 8080)
        assert not passes(tagged(packet, kind), 81)
    assert passes(tagged(frames.ip4(UDP, bytes(16), offset=185)), 8080)
    assert not passes(tagged(bytes(28), 0x0806))
    assert not passes(tagged(frames.ip4(132, bytes(40))))


def test_more_tags_are_nothing_that_we_know(passes: Callable[..., bool], frames: Any) -> None:
    """Three, on a frame that is otherwise good."""
    assert not passes(bytes(12) + b"\x81\0\0\1" * 3 + b"\x08\0" + frames.ip4(TCP, frames.tcp(1, 2)))


def test_options_of_ip4_are_stepped_over(passes: Callable[..., bool], frames: Any) -> None:
    """The ports are where the header ends, and not at 20."""
    frame = frames.ethernet(
        frames.ip4(TCP, frames.tcp(40000, 8080), options=bytes([8080 >> 8, 8080 & 255] * 4))
    )
    assert passes(frame, 8080)
    assert passes(frame, 40000)
    wrong = frames.ethernet(frames.ip4(TCP, frames.tcp(1, 2), options=bytes([8080 >> 8, 8080 & 255] * 4)))
    assert not passes(wrong, 8080)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("kind", [0, 43, 60])
def test_extensions_of_ip6_are_stepped_over(
    passes: Callable[..., bool], frames: Any, kind: int, depth: int
) -> None:
    """One after another, each as long as it says."""
    packet, following = frames.udp(40000, 53), UDP
    for number in range(depth):
        packet, following = option6(following, 8 + 8 * number) + packet, kind
    frame = frames.ethernet(frames.ip6(following, packet), 0x86DD)
    assert passes(frame, 53)
    assert not passes(frame, 54)
    assert passes(frame)


def test_too_many_extensions_are_nothing_that_we_know(passes: Callable[..., bool], frames: Any) -> None:
    """The filter ends, as it must."""
    packet, following = frames.udp(1, 53), UDP
    for _ in range(4):
        packet, following = option6(following) + packet, 60
    assert not passes(frames.ethernet(frames.ip6(following, packet), 0x86DD))


def test_pieces(passes: Callable[..., bool], frames: Any) -> None:
    """The first has ports; those that follow are taken, since they may belong to it."""
    first = frames.ethernet(frames.ip4(UDP, frames.udp(1, 53), more=True))
    assert passes(first, 53)
    assert not passes(first, 54)
    assert passes(frames.ethernet(frames.ip4(UDP, bytes(8), offset=185)), 54)
    assert passes(frames.ethernet(frames.ip4(TCP, bytes(8), offset=185, more=True)), 54)
    assert not passes(frames.ethernet(frames.ip4(132, bytes(8), offset=185)), 54)


def test_pieces_of_ip6(passes: Callable[..., bool], frames: Any) -> None:
    """The same, where the piece is an extension."""
    first = frames.ethernet(frames.ip6(FRAGMENT, piece6(UDP) + frames.udp(1, 53)), 0x86DD)
    assert passes(first, 53)
    assert not passes(first, 54)
    assert passes(frames.ethernet(frames.ip6(FRAGMENT, piece6(UDP, 181) + bytes(8)), 0x86DD), 54)
    assert passes(frames.ethernet(frames.ip6(FRAGMENT, piece6(TCP, 181) + bytes(8)), 0x86DD), 54)
    assert not passes(frames.ethernet(frames.ip6(FRAGMENT, piece6(ICMP6, 181) + bytes(8)), 0x86DD), 54)


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_errors_belong_to_what_they_answer(passes: Callable[..., bool], frames: Any, kind: int) -> None:
    """The ports are those of the datagram within, whose header may have options."""
    for options in (b"", bytes(8)):
        about = frames.ip4(UDP, frames.udp(40000, 9), options=options)
        frame = frames.ethernet(frames.ip4(ICMP, frames.icmp(kind, 3, about)))
        assert passes(frame)
        assert passes(frame, 9)
        assert passes(frame, 40000)
        assert not passes(frame, 10)
    of_a_ping = frames.icmp(kind, 3, frames.ip4(ICMP, frames.icmp(8, 0, b"")))
    assert not passes(frames.ethernet(frames.ip4(ICMP, of_a_ping)))


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_errors_of_ip6(passes: Callable[..., bool], frames: Any, kind: int) -> None:
    """The same, and the datagram within may have extensions."""
    plain = frames.ip6(UDP, frames.udp(40000, 9))
    extended = frames.ip6(60, option6(TCP, 16) + frames.tcp(40000, 9))
    for about in (plain, extended):
        frame = frames.ethernet(frames.ip6(ICMP6, frames.icmp(kind, 4, about)), 0x86DD)
        assert passes(frame)
        assert passes(frame, 9)
        assert not passes(frame, 10)
    of_a_ping = frames.icmp(kind, 3, frames.ip6(ICMP6, frames.icmp(128, 0, b"")))
    assert not passes(frames.ethernet(frames.ip6(ICMP6, of_a_ping), 0x86DD))


def test_snap_cuts(frames: Any) -> None:
    """So many bytes are kept, whether ports are asked for or not."""
    frame = frames.ethernet(frames.ip4(UDP, frames.udp(1, 53, bytes(1000))))
    for ports in ((), (53,)):
        pair = Filtered(assemble(ports, 128))
        assert pair.kept(frame) == 128
        pair.close()


def test_as_many_ports_as_there_may_be(passes: Callable[..., bool], frames: Any) -> None:
    """The kernel takes the program, and the last port counts as the first does."""
    ports = range(1, MOST_PORTS + 1)
    frame = frames.ethernet(frames.ip4(TCP, frames.tcp(40000, MOST_PORTS)))
    assert passes(frame, *ports)
    assert not passes(frames.ethernet(frames.ip4(TCP, frames.tcp(40000, MOST_PORTS + 1))), *ports)


def test_a_port_that_is_given_twice(passes: Callable[..., bool], frames: Any) -> None:
    """It is one."""
    assert passes(frames.ethernet(frames.ip4(TCP, frames.tcp(1, 2))), 2, 2)


def test_frames_that_end_too_soon(passes: Callable[..., bool], frames: Any) -> None:
    """A header that is not there is not what is wanted, and no harm."""
    frame = frames.ethernet(frames.ip4(TCP, frames.tcp(1, 8080)))
    assert not any(passes(frame[:size], 8080) for size in range(1, 14 + 20 + 3))


def test_everywhere(passes: Callable[..., bool], frames: Any) -> None:
    """What is not about to leave over loopback passes as ever."""
    packet = frames.ip4(TCP, frames.tcp(40000, 8080))
    assert passes(packet, 8080, link=0, everywhere=True)
    assert not passes(packet, 81, link=0, everywhere=True)


def test_nothing(frames: Any) -> None:
    """The filter that ends a capture."""
    pair = Filtered(NOTHING)
    assert pair.kept(frames.ethernet(frames.ip4(TCP, frames.tcp(1, 2)))) == 0
    pair.close()


def test_in_words() -> None:
    """For the file's header."""
    assert in_words(()) == "tcp or udp or icmp error"
    assert in_words((80, 81)) == "(tcp or udp or icmp error) and (port 80 or port 81)"
