"""A segment's flags, and what it is, in words: those of Wireshark's user guide."""

from __future__ import annotations

from functools import lru_cache

from evloop_trace.packets import segments

__all__ = ["flag_words", "found_words"]

_FLAGS = (
    (segments.SYN, "SYN"), (segments.FIN, "FIN"), (segments.RST, "RST"), (0x08, "PSH"), (0x20, "URG"),
    (segments.ACK, "ACK"),
)  # fmt: skip

_FOUND = (
    (segments.FAST, "fast retransmission"),
    (segments.SPURIOUS, "spurious retransmission"),
    (segments.RETRANSMISSION, "retransmission"),
    (segments.OUT_OF_ORDER, "out of order"),
    (segments.DUP_ACK, "duplicate ACK"),
    (segments.WINDOW_FULL, "window full"),
    (segments.ZERO_WINDOW, "zero window"),
    (segments.PROBE, "zero window probe"),
    (segments.PURE_PROBE, "zero window probe"),
    (segments.KEEP_ALIVE, "keep-alive"),
    (segments.KEEP_ALIVE_ACK, "keep-alive ACK"),
    (segments.UPDATE, "window update"),
    (segments.LOST, "before it something is missing"),
    (segments.ACKED_UNSEEN, "ACK of what is not in the capture"),
)


@lru_cache(256)
def flag_words(flags: int) -> tuple[str, ...]:
    """The names of a header's flags, what is most telling first."""
    return tuple([name for bit, name in _FLAGS if flags & bit])


def found_words(found: int) -> list[str]:
    """What a segment is, by `segments`."""
    bits = found & ~segments.KEEP_ALIVE if found & segments.PURE_PROBE else found
    return [name for bit, name in _FOUND if bits & bit]
