"""A packet between the two ends: its words, and its arrow.

The shape of an arrow says what the packet is: `─` data and ACKs, `═` a SYN or a FIN, `━` a reset, `┄` a
datagram, `╍` an ICMP error; its head says where it goes, and its words stand near who sent it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from evloop_trace.escape import escape_text
from evloop_trace.numbers import count, size
from evloop_trace.packets import segments
from evloop_trace.packets.flow import TCP
from evloop_trace.packets.segments import FIN, RST, SYN
from evloop_trace.packets.spelling import flag_words, found_words
from evloop_trace.views.cells import cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.packets.sightings import Sighting

__all__ = ["SERIOUS", "draw", "kind", "spoken", "words"]

SERIOUS = (
    segments.AGAIN | segments.ZERO_WINDOW | segments.PROBE | segments.PURE_PROBE | segments.LOST
    | segments.ACKED_UNSEEN
)  # fmt: skip
"""What a packet is drawn as trouble for."""

_LEAST = 6  # cells of an arrow that are not words
_ROOMY = 20  # cells of an arrow that has the packet's number


def kind(packet: Sighting) -> str:
    """A kind of `palette`: whose, or trouble, or quiet if it only acknowledges."""
    if packet.error or packet.flags & RST or packet.found & SERIOUS:
        return "trouble"
    if packet.wire.proto == TCP and packet.flags & (SYN | FIN):
        return "life"
    if packet.wire.proto == TCP and packet.begin == packet.end:
        return "quiet"
    return "in" if packet.client else "out"


def words(packet: Sighting) -> list[str]:
    """What the packet is, as long as can be said first, and shorter and shorter."""
    if packet.error:
        what = escape_text(packet.error)
        return [f"ICMP {what} from {escape_text(packet.sender)}", f"ICMP {what}", what, "ICMP"]
    length = size(packet.end - packet.begin)
    if packet.wire.proto != TCP:
        return [f"UDP {length}", length]
    flags = " ".join(flag_words(packet.flags)) or "no flags"
    ack = f"ack {packet.ack}" if packet.ack else ""
    if packet.begin == packet.end:
        if packet.flags & (SYN | FIN | RST):
            return [_join(flags, ack), flags]
        return [f"{flags} {packet.ack}" if ack else flags]
    place = f"[{packet.begin},{packet.end})"
    control = " ".join(flag_words(packet.flags & (SYN | FIN | RST)))
    return [
        _join(flags, length, place, ack),
        _join(flags, length, place),
        _join(control, length, place),
        _join(control, place),
        _join(control, length),
    ]


def spoken(packet: Sighting) -> list[str]:
    """What is notable about it."""
    said = list(dict.fromkeys(found_words(packet.found)))
    opens = packet.found & segments.UPDATE
    return [f"{it} {count(packet.window)}" if opens and it == "window update" else it for it in said]


def draw(packet: Sighting, width: int, say: Callable[[str], str] = str) -> tuple[str, list[str]]:
    """The arrow in exactly `width` cells, and what is notable but has no room on it."""
    room = width - _LEAST
    said = [say(it) for it in spoken(packet)]
    notable = ", ".join(said)
    shorter = [say(it) for it in words(packet)] if packet.error else words(packet)
    if notable:
        with_it = [_join(it, notable) for it in shorter]
        bare = [notable] if not packet.end - packet.begin else []
        fitting = next((it for it in with_it + bare if cell_len(it) <= room), None)
        if fitting is not None:
            return _shaft(packet, fitting, width), []
    beside_number = room - len(f" #{packet.number} ") - 1 if width >= _ROOMY else 0
    text = next(
        (it for it in shorter[:2] if cell_len(it) <= beside_number),
        next((it for it in shorter if cell_len(it) <= room), cut(shorter[-1], room)),
    )
    return _shaft(packet, text, width), said


def _join(*parts: str) -> str:
    return "  ".join(filter(None, parts))


def _shaft(packet: Sighting, text: str, width: int) -> str:
    """Words where it comes from, and where it goes its number, as a capture's readers count."""
    stroke = _stroke(packet)
    forth = packet.client != bool(packet.error)  # an error comes back
    text = f" {text} " if text else ""
    space = width - cell_len(text) - 3
    number = f" #{packet.number} "
    if width >= _ROOMY and space >= len(number) + 2:
        rest = stroke * (space - len(number) - 1)
        shaft = f"{rest}{number}{stroke}" if forth else f"{stroke}{number}{rest}"
    else:
        shaft = stroke * space
    return f"{stroke * 2}{text}{shaft}▶"[:width] if forth else f"◀{shaft}{text}{stroke * 2}"[-width:]


def _stroke(packet: Sighting) -> str:
    if packet.error:
        return "╍"
    if packet.wire.proto != TCP:
        return "┄"
    if packet.flags & RST:
        return "━"
    return "═" if packet.flags & (SYN | FIN) else "─"
