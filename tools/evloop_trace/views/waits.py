"""Calls of programs that block, in words: where in the text, what it waits for, how long, what ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.escape import escape_text
from evloop_trace.numbers import count, duration

if TYPE_CHECKING:
    from evloop.events.schema import Block, Call, Located

__all__ = ["about", "awaited", "call_word", "ended", "place", "short", "short_place", "waited"]

_PATIENCE = 1_000_000  # ns

_AWAITED = {
    "recv": "nothing has come yet",
    "recvfrom": "nothing has come yet",
    "accept": "nobody waits in the queue",
    "connect": "the handshake goes on",
    "send": "the kernel's buffer is full",
    "sendto": "the kernel's buffer is full",
}

_ENDED = {"timeout": "its time-out passed", "interrupted": "a signal came"}


def awaited(event: Block) -> str:
    """What a call that sleeps waits for."""
    if event.awaits == "poll":
        return f"nothing is ready of {count(len(event.watched))} that it watches"
    if event.awaits == "connect" and (event.conn or event.sock or "").startswith("unix"):
        return "there is no room in the queue yet"
    return _AWAITED.get(event.awaits, "it has no answer yet")


def call_word(event: Located, ev: str) -> str:
    """The call by its function, `recv_into()`; one that has brackets keeps them."""
    name = escape_text(event.call) or ev
    return name if name.endswith(")") else f"{name}()"


def about(event: Block) -> str:
    """The call that sleeps: `recv()`."""
    return call_word(event, escape_text(event.awaits))


def ended(errno: str | None) -> str:
    """What ended a wait without a result, where it was no error of the socket's."""
    return _ENDED.get(errno or "", "")


def waited(event: Call, what: str) -> str:
    """`what, after 3.2 s`, of a program's call that took so long; else just what."""
    if event.dur < _PATIENCE or not event.where:
        return what
    after = f"after {duration(event.dur)}"
    return f"{what}, {after}" if what else after


def place(event: Located) -> str:
    """`src/server.py:14 · Thread-1`, as far as the log says."""
    return " · ".join([escape_text(part) for part in (event.where, event.thread) if part])


def short_place(event: Located) -> str:
    """`server.py:14 · Thread-1`: the file without its directory."""
    return " · ".join(filter(None, (short(event.where), escape_text(event.thread))))


def short(where: str) -> str:
    """`server.py:14`, of `src/server.py:14`."""
    return escape_text(where.rpartition("/")[2])
