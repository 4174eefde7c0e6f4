"""Which packets the kernel hands over: a filter in classic BPF, put together by hand.

The kernel runs it on every packet of the interface, before it copies anything: what is not wanted costs a
few instructions and no more. Linux, Documentation/networking/filter.rst.

Pure: the instructions are bytes; who attaches them is `ring`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_PORTS", "NOTHING", "assemble", "in_words"]

MOST_PORTS = 500
"""More than that and the program would be longer than the kernel takes (4,096 instructions)."""

ETHERNET = 14
"""Bytes before the IP header."""

# Opcodes of linux/filter.h and linux/bpf_common.h: class | size or operation | mode or source.
_LD_HALF, _LD_BYTE = 0x28, 0x30  # A = packet[k]
_LD_HALF_X, _LD_BYTE_X = 0x48, 0x50  # A = packet[X + k]
_LDX, _LDX_IHL = 0x01, 0xB1  # X = k; X = 4 * (packet[k] & 15), which is how long an IPv4 header is
_LD_MEM, _ST = 0x60, 0x02  # A = M[k]; M[k] = A
_LD_WORD = 0x20  # A = packet[k], or what the kernel knows about the packet
_ADD, _ADD_X, _AND, _LSH, _RSH = 0x04, 0x0C, 0x54, 0x64, 0x74
_TAX, _TXA, _RET, _JA = 0x07, 0x87, 0x06, 0x05
_JEQ, _JGT, _JSET = 0x15, 0x25, 0x45

_TCP, _UDP, _ICMP, _FRAGMENT, _ICMP6 = 6, 17, 1, 44, 58
# Unreachable, source quench, redirect, time exceeded, parameter problem: RFC 792.
_ERRORS4 = (3, 4, 5, 11, 12)
_OPTIONS6 = (0, 43, 60)  # hop-by-hop, routing, destination options: RFC 8200, section 4.1
_MOST_OPTIONS6 = 3  # there are no loops in a filter, and its jumps reach over 255 instructions at most

# At addresses that no packet has: to whom it goes, and over what kind of interface. SKF_AD_OFF + SKF_AD_….
_PKTTYPE, _HATYPE = 0xFFFFF000 + 4, 0xFFFFF000 + 28
_PACKET_OUTGOING, _ARPHRD_LOOPBACK = 4, 772
_TAGS = (0x8100, 0x88A8)  # 802.1Q and 802.1ad: a tag of 4 bytes, and then the EtherType
_MOST_TAGS = 2

_INSTRUCTION = struct.Struct("=HBBI")  # code, jump if true, jump if false, k

NOTHING = _INSTRUCTION.pack(_RET, 0, 0, 0)
"""A filter that takes no packet at all."""


class _Step(NamedTuple):
    """An instruction whose jumps still have names; no name is the next instruction."""

    code: int
    k: int = 0
    yes: str = ""
    no: str = ""


def assemble(
    ports: Sequence[int] = (), snap: int = 262_144, link: int = ETHERNET, *, everywhere: bool = False
) -> bytes:
    """The program, 8 bytes an instruction: `struct sock_filter`.

    It takes TCP, UDP, and the ICMP errors that answer them, over IPv4 and IPv6. Of a datagram in
    pieces only the first has ports, so that the others are taken whatever they belong to.

    Args:
        ports: A packet, or the one that an error answers, must come from or go to one of these; none is all.
        snap: Bytes that are kept of a packet.
        link: How long the header before IP's is: 14 for Ethernet, where tags may follow, or 0.
        everywhere: For all interfaces at once: what goes out over loopback comes in again, and is taken then.
    """
    steps = (_not_twice() if everywhere else []) + _version(link) + _ip4(link) + _ip6(link)
    steps += ["ports"] if not ports else []
    steps += ["take", _Step(_RET, snap), "drop", _Step(_RET, 0)]
    steps += _ports(ports, snap, link) if ports else []
    return _resolve(steps)


def in_words(ports: Sequence[int]) -> str:
    """The same as tcpdump would write it, for the file's header; it has no words for what errors answer."""
    kinds = "tcp or udp or icmp error"
    return f"({kinds}) and ({' or '.join(f'port {port}' for port in ports)})" if ports else kinds


def _not_twice() -> list[_Step | str]:
    return [
        _Step(_LD_WORD, _PKTTYPE),
        _Step(_JEQ, _PACKET_OUTGOING, "", "once"),
        _Step(_LD_WORD, _HATYPE),
        _Step(_JEQ, _ARPHRD_LOOPBACK, "", "once"),
        _Step(_RET, 0),
        "once",
    ]


def _version(link: int) -> list[_Step | str]:
    """To `ip4` or `ip6`, with A the number of what is behind that header, and X at it."""
    if link != ETHERNET:
        heads = _head4(link, 0) + _head6(link, 0)
        return [
            _Step(_LD_BYTE, 0),
            _Step(_RSH, 4),
            _Step(_JEQ, 4, "ip4 0"),
            _Step(_JEQ, 6, "ip6 0", "no"),
            *heads,
        ]
    steps: list[_Step | str] = []
    for tags in range(_MOST_TAGS + 1):
        steps += [_Step(_LD_HALF, 12 + 4 * tags)]
        steps += [_Step(_JEQ, 0x0800, f"ip4 {tags}"), _Step(_JEQ, 0x86DD, f"ip6 {tags}")]
        if tags < _MOST_TAGS:
            *others, last = _TAGS
            steps += [
                *[_Step(_JEQ, it, f"tag {tags}") for it in others],
                _Step(_JEQ, last, "", "no"),
                f"tag {tags}",
            ]
        else:
            steps += [_Step(_JA, yes="no")]
    for tags in range(_MOST_TAGS + 1):
        steps += _head4(link, tags) + _head6(link, tags)
    return steps


def _head4(link: int, tags: int) -> list[_Step | str]:
    """An IPv4 header behind so many tags: RFC 791. M[1] is its fragment offset."""
    at = link + 4 * tags
    return [
        f"ip4 {tags}",
        _Step(_LD_HALF, at + 6),
        _Step(_ST, 1),
        _Step(_LDX_IHL, at),
        _Step(_TXA),
        _Step(_ADD, 4 * tags),
        _Step(_TAX),
        _Step(_LD_BYTE, at + 9),
        _Step(_JA, yes="ip4"),
    ]


def _head6(link: int, tags: int) -> list[_Step | str]:
    """The same of IPv6."""
    at = link + 4 * tags
    return [f"ip6 {tags}", _Step(_LDX, 40 + 4 * tags), _Step(_LD_BYTE, at + 6), _Step(_JA, yes="ip6")]


def _ip4(link: int) -> list[_Step | str]:
    """From behind an IPv4 header to the ports, with X at them."""
    return [
        "ip4",
        _Step(_JEQ, _ICMP, "icmp"),
        _Step(_JEQ, _TCP, "piece?"),
        _Step(_JEQ, _UDP, "piece?", "drop"),
        "piece?",
        _Step(_LD_MEM, 1),
        _Step(_JSET, 0x1FFF, "take"),  # the offset: this one is not the first and has no ports
        _Step(_JA, yes="ports"),
        "no",  # not before `ip4`: to who checks the program, a step goes on to the next even behind RET
        _Step(_RET, 0),
        "icmp",
        _Step(_LD_BYTE_X, link),
        *[_Step(_JEQ, kind, "error") for kind in _ERRORS4],
        _Step(_JA, yes="drop"),
        "error",  # behind its 8 bytes begins the datagram that it answers
        _Step(_LD_BYTE_X, link + 8 + 9),
        _Step(_JEQ, _TCP, "inner"),
        _Step(_JEQ, _UDP, "inner", "drop"),
        "inner",
        _Step(_LD_BYTE_X, link + 8),
        _Step(_AND, 15),
        _Step(_LSH, 2),
        _Step(_ADD_X),
        _Step(_ADD, 8),
        _Step(_TAX),
        _Step(_JA, yes="ports"),
    ]


def _ip6(link: int) -> list[_Step | str]:
    """From behind an IPv6 header to the ports, with X at them: RFC 8200, and RFC 4443 for the errors."""
    return [
        "ip6",
        *_options6(link, "outer"),
        _Step(_JEQ, _TCP, "ports"),
        _Step(_JEQ, _UDP, "ports"),
        _Step(_JEQ, _ICMP6, "", "drop"),
        _Step(_LD_BYTE_X, link),
        _Step(_JGT, 4, "drop"),  # unreachable, too big, time exceeded, parameter problem
        _Step(_LD_BYTE_X, link + 8 + 6),
        _Step(_ST, 0),
        *_advance(8 + 40),
        *_options6(link, "inner"),
        _Step(_JEQ, _TCP, "ports"),
        _Step(_JEQ, _UDP, "ports", "drop"),
    ]


def _options6(link: int, name: str) -> list[_Step | str]:
    """X over the headers between IPv6's and the one that we know, whose number comes to be in A."""
    steps: list[_Step | str] = []
    for turn in range(_MOST_OPTIONS6):
        here = f"{name} {turn}"
        steps += [_Step(_JEQ, kind, f"{here} option") for kind in _OPTIONS6]
        steps += [
            _Step(_JEQ, _FRAGMENT, f"{here} piece", f"{name} end"),
            f"{here} option",
            _Step(_LD_BYTE_X, link),
            _Step(_ST, 0),
            _Step(_LD_BYTE_X, link + 1),  # its length in units of 8 bytes, the first not counted
            _Step(_ADD, 1),
            _Step(_LSH, 3),
            _Step(_ADD_X),
            _Step(_TAX),
            _Step(_LD_MEM, 0),
            _Step(_JA, yes=f"{here} next"),
            f"{here} piece",
            _Step(_LD_BYTE_X, link),
            _Step(_ST, 0),
            _Step(_LD_HALF_X, link + 2),
            _Step(_JSET, 0xFFF8, f"{here} later"),
            *_advance(8),
            _Step(_JA, yes=f"{here} next"),
            f"{here} later",
            _Step(_LD_MEM, 0),
            _Step(_JEQ, _TCP, "take"),
            _Step(_JEQ, _UDP, "take", "drop"),
            f"{here} next",
        ]
    return [*steps, f"{name} end"]


def _advance(size: int) -> list[_Step | str]:
    """X further by `size`; A is what M[0] was."""
    return [_Step(_TXA), _Step(_ADD, size), _Step(_TAX), _Step(_LD_MEM, 0)]


def _ports(ports: Sequence[int], snap: int, link: int) -> list[_Step | str]:
    """Both ports against each; `take` is too far away for a jump, which reaches over 255 instructions."""
    steps: list[_Step | str] = ["ports"]
    for offset in (0, 2):
        steps.append(_Step(_LD_HALF_X, link + offset))
        for port in dict.fromkeys(ports):
            skip = f"not {port} at {offset}"
            steps += [_Step(_JEQ, port, "", skip), _Step(_RET, snap), skip]
    return [*steps, _Step(_RET, 0)]


def _resolve(steps: Sequence[_Step | str]) -> bytes:
    """Names become distances: jumps lead forwards only."""
    places: dict[str, int] = {}
    code: list[_Step] = []
    for step in steps:
        if isinstance(step, str):
            places[step] = len(code)
        else:
            code.append(step)
    out = []
    for place, (opcode, k, yes, no) in enumerate(code, 1):
        after = {name: places[name] - place for name in (yes, no) if name} | {"": 0}
        if opcode == _JA:
            out.append(_INSTRUCTION.pack(opcode, 0, 0, after[yes]))
        else:
            out.append(_INSTRUCTION.pack(opcode, after[yes], after[no], k))
    return b"".join(out)
