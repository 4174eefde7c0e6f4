"""A packet's words and its arrow."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.packets import segments
from evloop_trace.packets.segments import ACK, FIN, RST, SYN
from evloop_trace.packets.sightings import Sighting, Wire
from evloop_trace.views.wire import draw, kind
from rich.cells import cell_len

TCP = Wire(0, "tcp", "127.0.0.1:5000", "127.0.0.1:80", True)
UDP = Wire(1, "udp", "127.0.0.1:5000", "127.0.0.1:80", False)
PSH = 8


def sighting(*, wire: Wire = TCP, client: bool = True, **more: Any) -> Sighting:
    """Packet 7."""
    return Sighting(7, 0, wire, client, **more)


SHAPES = [
    (sighting(flags=SYN), "══ SYN ═════════════ #7 ═▶", "life"),
    (sighting(flags=SYN | ACK, client=False, ack=0), "◀═ #7 ═════════ SYN ACK ══", "life"),
    (sighting(flags=ACK, ack=0), "── ACK ───────────── #7 ─▶", "quiet"),
    (sighting(flags=ACK, ack=18, client=False), "◀─ #7 ────────── ACK 18 ──", "quiet"),
    (sighting(flags=RST, client=False), "◀━ #7 ━━━━━━━━━━━━━ RST ━━", "trouble"),
    (sighting(flags=FIN | ACK, ack=5), "══ FIN ACK  ack 5 ══ #7 ═▶", "life"),
    (sighting(flags=PSH | ACK, end=5, ack=0), "── PSH ACK  5 B  [0,5) ──▶", "in"),
    (sighting(flags=PSH | ACK, begin=5, end=9, client=False), "◀── PSH ACK  4 B  [5,9) ──", "out"),
    (sighting(flags=FIN | ACK, begin=5, end=9), "══ FIN ACK  4 B  [5,9) ══▶", "life"),
    (sighting(flags=0), "── no flags ──────── #7 ─▶", "quiet"),
    (sighting(wire=UDP, end=5), "┄┄ UDP 5 B ┄┄┄┄┄┄┄┄┄ #7 ┄▶", "in"),
    (sighting(wire=UDP, end=5, client=False), "◀┄ #7 ┄┄┄┄┄┄┄┄┄ UDP 5 B ┄┄", "out"),
    (sighting(wire=UDP, error="port unreachable"), "◀╍╍╍╍╍ port unreachable ╍╍", "trouble"),
]  # fmt: skip


@pytest.mark.parametrize(("packet", "arrow", "style"), SHAPES)
def test_the_shape_says_what_it_is(packet: Sighting, arrow: str, style: str) -> None:
    """Words near who sent it, the head where it goes."""
    assert draw(packet, 26) == (arrow, [])
    assert kind(packet) == style


@pytest.mark.parametrize("packet", [it[0] for it in SHAPES])
def test_an_arrow_is_exactly_as_long_as_the_wire(packet: Sighting) -> None:
    """However long that is."""
    for width in range(8, 70):
        assert cell_len(draw(packet, width)[0]) == width


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (46, "── PSH ACK  18 B  [0,18)  ack 18 ─────── #7 ─▶"),
        (36, "── PSH ACK  18 B  [0,18) ───── #7 ─▶"),
        (28, "── PSH ACK  18 B  [0,18) ──▶"),
        (20, "── 18 B  [0,18) ───▶"),
        (14, "── [0,18) ───▶"),
        (10, "── 18 B ─▶"),
    ],
)
def test_what_is_left_out_if_there_is_little_room(width: int, text: str) -> None:
    """First the acknowledgement, then the number, the usual flags, the length; at last the place."""
    assert draw(sighting(flags=PSH | ACK, end=18, ack=18), width) == (text, [])


def test_what_is_notable_stands_on_the_arrow() -> None:
    """A window update says how much room there is; if need be that is all that is said."""
    update = sighting(flags=ACK, ack=9, found=segments.UPDATE, window=47_616, client=False)
    assert draw(update, 42) == ("◀─ #7 ───── ACK 9  window update 47,616 ──", [])
    assert draw(update, 28) == ("◀─── window update 47,616 ──", [])


def test_what_has_no_room_on_the_arrow_is_handed_back() -> None:
    """It stands beside the wire then."""
    again = sighting(flags=ACK | PSH, end=9, ack=0, found=segments.SPURIOUS)
    assert draw(again, 20) == ("── 9 B  [0,9) ─────▶", ["spurious retransmission"])
    assert "spurious retransmission" in draw(again, 50)[0]
    assert kind(again) == "trouble"


def test_an_error_is_said_in_the_readers_language() -> None:
    """In as many words as there is room for."""
    packet = sighting(wire=UDP, error="port unreachable")
    assert draw(packet, 26, str.upper)[0] == "◀╍╍╍╍╍ PORT UNREACHABLE ╍╍"
    wide = {"ICMP port unreachable": "ICMP 端口不可达"}
    assert draw(packet, 26, lambda it: wide.get(it, it))[0] == "◀╍ #7 ╍ ICMP 端口不可达 ╍╍"
