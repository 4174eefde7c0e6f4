"""Pieces of a sentence: who, where, since when, how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Block
from evloop_trace.model.filters import due, kind_of
from evloop_trace.numbers import duration, size

if TYPE_CHECKING:
    from typing import Any

    from evloop.events.schema import Unseen
    from evloop_trace.model.diagnosis.state import Process, Stream, Thread

__all__ = [
    "SLOW",
    "call",
    "close_wait",
    "join",
    "moment",
    "on",
    "past",
    "peer_of",
    "place",
    "rate",
    "reset",
    "sentence",
    "since",
    "when",
    "who",
]

_WORDS = ("the ", "thread ", "nobody ", "what ", "whether ")
SLOW = 100_000_000
"""Nanoseconds from which on a wait is worth telling, where the log knows its end."""

_WORTH_TELLING = 1_000_000  # ns


def moment(ns: int) -> str:
    """A `t` in seconds."""
    return f"{ns / 10**9:.3f} s"


def rate(count: int, ns: int) -> str:
    """How often a second."""
    return f"{count * 10**9 / max(1, ns):,.0f} times a second"


def who(process: Process, thread: Thread) -> str:
    """A thread as the subject of a sentence."""
    of = f" of {process.label}" if process.label else ""
    if process.loops and not thread.name:
        return f"the loop{of}"
    return f"thread {thread.name}{of}" if thread.name else f"the main thread{of}"


def call(event: Any) -> str:
    """The call's name, such as `recv()`."""
    return f"{event.call or (event.awaits if isinstance(event, Block) else kind_of(event))}()"


def on(thread: Thread) -> str:
    """` on tcp-1`: the socket that a thread sleeps on, if it is on one."""
    return f" on {thread.on}" if thread.on else ""


def place(event: Any) -> str:
    """` at FILE:LINE`, if that is known."""
    where = getattr(event, "where", "")
    return f" at {where}" if where else ""


def when(event: Any) -> str:
    """`at 3.200 s (server.py:14)`: when a call returned, and its place."""
    where = getattr(event, "where", "")
    return f"at {moment(due(event))}" + (f" ({where})" if where else "")


def since(ns: int, now: int) -> str:
    """` since 3.200 s (for 12.0 s)`; how long is left out where the log ends at once."""
    return f" since {moment(ns)}" + (f" (for {duration(now - ns)})" if now - ns >= _WORTH_TELLING else "")


def past(process: Process, event: Unseen) -> str:
    """What goes past the log, and why, without a full stop: of a socket the reason says both."""
    return (
        event.reason
        if event.what in process.sockets
        else f"what {event.what} does is not in the log: {event.reason}"
    )


def peer_of(stream: Stream) -> str:
    """Whoever is at the other end."""
    return stream.peer or stream.paired or "the peer"


def close_wait(stream: Stream, end: Any) -> str:
    """The peer's FIN was read: the connection stays in CLOSE-WAIT until we close it, if ever."""
    return (
        f"{peer_of(stream)} has finished: {call(end)} on {stream.name} returned 0 {when(end)}. We have not "
        "closed it since, so it stays in CLOSE-WAIT."
    )


def reset(close: Any) -> str:
    """A connection was closed with bytes that nobody has read."""
    return (
        f"{close.conn} ended badly: it was closed with {size(close.unread or 0)} unread {when(close)}; "
        "its peer gets a reset (ECONNRESET), and may lose what we sent last."
    )


def sentence(text: str) -> str:
    """With a capital, where it begins with one of our words; addresses and names stay as they are."""
    return text[0].upper() + text[1:] if text.startswith(_WORDS) else text


def join(*sentences: str) -> str:
    """The sentences that there are, one behind the other."""
    return " ".join(text for text in sentences if text)
