"""What TCP says of a connection, in a few words: what is as usual is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.numbers import count, duration, size

if TYPE_CHECKING:
    from evloop.events.schema import TcpInfo

__all__ = ["words"]


def words(info: TcpInfo) -> str:
    """The round trip, what is under way, and what is in its way."""
    closed = info.snd_wnd == 0 and (info.unacked or info.notsent_bytes)
    window = "it" if closed else "the peer's window"
    parts = (
        f"rtt {duration(info.rtt)}" if info.rtt else "",
        f"{count(info.unacked)} unacked" if info.unacked else "",
        f"{count(info.lost)} lost" if info.lost else "",
        f"{count(info.total_retrans)} sent again" if info.total_retrans else "",
        f"{size(info.notsent_bytes)} not sent yet" if info.notsent_bytes else "",
        f"{count(info.probes)} probes without an answer" if info.probes > 1 else "",
        "the peer's window is closed" if closed else "",
        f"held up by {window} for {duration(info.rwnd_limited)}" if info.rwnd_limited else "",
    )
    return ", ".join(filter(None, parts))
