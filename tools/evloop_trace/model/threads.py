"""The threads of a program as values: in which call each one sleeps, since when, and where in its text.

What a thread does between its calls nothing tells: it computes, waits for a lock, or is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from evloop.events.schema import Block, Located
from evloop_trace.model.filters import due, kind_of

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent, Unknown

__all__ = ["MAIN", "Thread", "follow"]

MAIN = "main"
"""What the main thread is called; in a log it is the one without a name."""

_KEPT = 100  # threads: a server may start one for every client


class Thread(msgspec.Struct):
    """A thread that has made a call."""

    name: str
    began: int  # t of its first call
    seen: int = 0  # t at which its last call returned, or began to sleep
    block: Block | None = None  # the call that it sleeps in
    call: str = ""  # its last that returned, such as `recv_into`
    about: str = ""  # the socket of that
    where: str = ""  # FILE:LINE of that
    sleeps: int = 0  # calls that slept, and have returned
    slept: int = 0  # nanoseconds, in them

    def asleep(self, now: int) -> int:
        """For how many nanoseconds it has slept in its call; 0 if it does not."""
        return 0 if self.block is None else max(0, now - self.block.t)

    def share(self, now: int) -> float:
        """Of its life it slept so much, 0 to 1."""
        life = now - self.began
        return min(1.0, (self.slept + self.asleep(now)) / life) if life > 0 else 0.0


def follow(threads: dict[str, Thread], event: AnyEvent | Unknown) -> Block | None:
    """Fold one event into the thread that made it; the sleep that it ends, if it ends one.

    Events of our loop have no place in a program, and are not followed.
    """
    if not isinstance(event, Located) or not (event.where or event.thread):
        return None
    name = event.thread or MAIN
    thread = threads.get(name)
    if thread is None:
        thread = threads[name] = Thread(name, event.t if event.thread else 0)
        if len(threads) > 2 * _KEPT:
            _forget(threads)
    thread.seen = due(event)
    if isinstance(event, Block):
        thread.block = event
        return None
    thread.call = event.call or kind_of(event)
    thread.about = getattr(event, "conn", None) or getattr(event, "sock", None) or ""
    thread.where = event.where
    block = thread.block
    if block is None or event.t > block.t:  # a signal's handler or a finalizer runs while the call sleeps
        return None
    thread.block = None
    thread.sleeps += 1
    thread.slept += max(0, thread.seen - block.t)
    return block


def _forget(threads: dict[str, Thread]) -> None:
    """Only those that were seen last, and the main thread, stay."""
    kept = sorted(threads.values(), key=lambda it: (it.name == MAIN, it.block is not None, it.seen))[-_KEPT:]
    names = {it.name for it in kept}
    for name in [name for name in threads if name not in names]:
        del threads[name]
