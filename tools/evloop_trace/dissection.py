"""A packet taken apart by scapy, field by field: the only place where scapy is used.

It is imported when the first packet is dissected, and not before: that takes half a second. Nothing in it may
print, ask the network for names, or leave files in the user's folders.
"""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from evloop.errors import EvloopError
from evloop_trace.packets.dissected import Layer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["dissect"]

_FOLDERS = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")
_MOST_LAYERS = 64
_MOST_TEXT = 400
_DEPTH = 3  # of packets in the fields of packets
_TCP_OPTIONS = {
    27: "Quick-Start",
    30: "MPTCP",
    253: "experiment",
    254: "experiment",
}  # that scapy only counts
_AF_INET6 = (10, 24, 28, 30)  # of Linux, NetBSD and OpenBSD, FreeBSD, macOS
_8021AD = 0x88A8
_RAW_IP = 12  # what scapy has for 14, which OpenBSD uses for the same


def dissect(link: int, data: bytes) -> tuple[Layer, ...]:
    """All headers of a packet, and what is behind them.

    Args:
        link: The number of its link type.
        data: What was kept of it; a header that was cut off is not dissected.

    Raises:
        EvloopError: scapy is not there: who passes evloop on may leave it out.
    """
    if not data:  # scapy would fill in what it would send
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _need()
        return tuple(_layers(_parse(link, data), len(data)))


def _need() -> None:
    try:
        _scapy()
    except ImportError as error:
        raise EvloopError(
            f"packets are taken apart by scapy, which cannot be loaded ({error}): pip install scapy"
        ) from None


@cache
def _scapy() -> SimpleNamespace:
    """What we need of it."""
    logging.getLogger("scapy").setLevel(logging.CRITICAL + 1)
    with _no_folders():
        from scapy import packet  # noqa: PLC0415
        from scapy.config import conf  # noqa: PLC0415
        from scapy.contrib import geneve, gtp, mpls  # noqa: F401, PLC0415 - each makes its layers known
        from scapy.fields import ConditionalField  # noqa: PLC0415
        from scapy.layers import dns, inet, inet6, l2, ppp, sctp, vxlan  # noqa: F401, PLC0415

        for loopback in (l2.Loopback, l2.LoopbackOpenBSD):
            for family in _AF_INET6:
                packet.bind_layers(loopback, inet6.IPv6, type=family)
        for cooked in (l2.CookedLinux, l2.CookedLinuxV2):
            packet.bind_layers(cooked, l2.Dot1AD, proto=_8021AD)
    return SimpleNamespace(
        types=conf.l2types.num2layer, packet=packet, conditional=ConditionalField, loopback=l2.LoopbackOpenBSD
    )


@contextmanager
def _no_folders() -> Iterator[None]:
    """Where scapy can neither find nor leave a file: it would make folders, and a cache in them."""
    before = {name: os.environ.get(name) for name in _FOLDERS}
    os.environ.update(dict.fromkeys(_FOLDERS, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _parse(link: int, data: bytes) -> Any:
    scapy = _scapy()
    first = scapy.types.get(_RAW_IP if link == 14 else link, scapy.packet.Raw)
    if link == 0 and data[:2] == b"\0\0":  # the family in the order of the network
        first = scapy.loopback
    try:
        return first(data)
    except Exception:  # noqa: BLE001 - whatever its parsers make of bytes that are no such packet
        return scapy.packet.Raw(data)


def _layers(packet: Any, size: int) -> Iterator[Layer]:
    """From the outermost to the payload."""
    raw = _scapy().packet.Raw
    begin = 0
    for _ in range(_MOST_LAYERS):
        if not packet:
            return
        if isinstance(packet, raw):  # padding is such, too
            name = "padding" if packet.name == "Padding" else "payload"
            end = min(size, begin + len(packet.load))
            yield Layer(name, begin, end, ())
        else:
            end = min(size, begin + _length(packet))
            yield Layer(packet.name, begin, end, tuple(_fields(packet, 0)))
        begin, packet = end, packet.payload
    if begin < size:
        yield Layer("more headers, not dissected", begin, size, ())


def _length(packet: Any) -> int:
    """Bytes of a header; those of most are remembered as they were."""
    if packet.raw_packet_cache is not None:
        return len(packet.raw_packet_cache)
    return max(0, len(packet.original) - len(packet.payload.original))


def _fields(packet: Any, depth: int) -> Iterator[tuple[str, str]]:
    conditional = _scapy().conditional
    for field in packet.fields_desc:
        try:
            if isinstance(field, conditional) and not field._evalcond(packet):  # noqa: SLF001 - as its show()
                continue
            text = _text(packet, field, packet.getfieldval(field.name), depth)
        except Exception:  # noqa: BLE001 - a value that its own field cannot show
            text = "?"
        yield field.name, text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"


def _text(packet: Any, field: Any, value: Any, depth: int) -> str:
    """A field's value: numbers with scapy's word for them, packets with their own fields."""
    kind = _scapy().packet.Packet
    if field.name == "options" and packet.name.startswith("TCP"):
        return ", ".join([_option(*option) for option in value])
    if isinstance(value, kind):
        return _nested(value, depth)
    if isinstance(value, list) and value and all(isinstance(it, kind) for it in value):
        return ", ".join([_nested(it, depth) for it in value])
    if isinstance(value, bytes) and not (value.isascii() and value.decode().isprintable()):
        return value.hex()
    word = str(field.i2repr(packet, value))
    if type(value) is not int or word[:1].isdigit():
        return "none" if value in (None, "", b"", []) or not word else word
    number = f"{value:#06x}" if type(field).__name__.startswith("X") else str(value)
    return f"{word} ({number})"


def _nested(packet: Any, depth: int) -> str:
    if depth >= _DEPTH:
        return str(packet.name)
    fields = [f"{name} {text}" for name, text in _fields(packet, depth + 1)]
    return f"{packet.name} ({', '.join(fields)})"


def _option(name: str | int, value: Any) -> str:
    """One of TCP's options."""
    word = _TCP_OPTIONS.get(name, f"option {name}") if isinstance(name, int) else name
    if value in (None, b"", ()):
        return word
    if isinstance(value, bytes):
        return f"{word} {value.hex()}"
    return f"{word} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"
