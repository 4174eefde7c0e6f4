"""Single packets of a capture, by their numbers: dissected, and with what the analysis says of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.dissection import dissect
from evloop_trace.packeting import opened
from evloop_trace.packets.dissected import Frame
from evloop_trace.packets.sightings import Sightings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evloop_trace.packets.capture_file import Capture

__all__ = ["frames", "parse_range"]


def parse_range(text: str) -> range:
    """The numbers of `7` or `3-9`.

    Raises:
        ValueError: it is neither.
    """
    first, dash, last = text.partition("-")
    if not all(it.isascii() and it.isdecimal() for it in (first, last if dash else first)):
        raise ValueError(f"{text!r} is no packet's number: write 7, or 3-9; the first packet is 1")
    found = range(int(first), int(last if dash else first) + 1)
    if not found or not found[0]:
        raise ValueError(f"{text!r} are no packets: they are counted from 1, upwards")
    return found


def frames(path: str, wanted: Sequence[range], capture: Capture) -> Iterator[Frame]:
    """The packets with these numbers, in the order of the file, which is read no further than to the last.

    Raises:
        CaptureError: it cannot be opened, or is no capture.
    """
    sightings = Sightings()
    left_out = sightings.analysis.left_out
    last = max(it[-1] for it in wanted)
    first = before = None
    with opened(path, capture) as packets:
        for packet in packets:
            number, time = capture.packets, packet[0]
            first = time if first is None else first
            left_out_before = left_out.copy()
            role = sightings.see(packet, number)
            if any(number in it for it in wanted):
                reasons = [why.value for why in left_out - left_out_before]
                _, buffer, at, kept, wire, link = packet
                data = bytes(buffer[at : at + kept])
                notes = tuple([text for about, text in capture.comments if about == number])
                yield Frame(
                    number, time, first, before, data, wire, link.number, _interface(capture), notes,
                    dissect(link.number, data), role, "".join(reasons),
                )  # fmt: skip
            if number >= last:
                return
            before = time
            capture.comments.clear()  # only some are kept: there must be room for the next packet's


def _interface(capture: Capture) -> str:
    return "" if capture.current is None else capture.current.name
