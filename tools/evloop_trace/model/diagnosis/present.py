"""What the kernel says, now, of a program that still runs, and of its sockets: it is not in any log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.model.diagnosis.state import Stream
from evloop_trace.model.diagnosis.words import SLOW
from evloop_trace.model.filters import due
from evloop_trace.numbers import size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evloop_trace.model.diagnosis.state import Listener, Process, Thread

__all__ = [
    "OPEN",
    "Present",
    "Seen",
    "Task",
    "has_news",
    "is_recent",
    "is_stopped",
    "kernel_says",
    "seen_of",
    "task_says",
]

OPEN = frozenset({"ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"})
"""States of a connection on which the peer's FIN has not come."""

# A task sleeps in a function of the kernel's, whose name begins like this.
_SCOPE = re.compile(r"^(\[[0-9a-f:.]+)%[^\]]*\]")
_SLEEPS = {
    "hrtimer_nanosleep": "sleeps until a time, as in sleep()",
    "futex_": "waits for a lock, or for another thread",
    "do_wait": "waits for a child process to end",
    "pipe_read": "waits for something to read from a pipe",
    "anon_pipe_read": "waits for something to read from a pipe",
    "pipe_write": "waits for room in a pipe",
    "anon_pipe_write": "waits for room in a pipe",
    "locks_lock_inode_wait": "waits for the lock of a file",
}


class Seen(NamedTuple):
    """A TCP socket, as the kernel has it."""

    state: str
    """A state of RFC 9293 as Linux spells it, such as ESTABLISHED."""
    unread: int
    """Bytes that wait to be read; of a listener, finished handshakes that wait to be accepted."""
    unsent: int
    """Bytes of ours that wait to be sent, or to be acknowledged."""


class Task(NamedTuple):
    """The main thread, as the kernel has it."""

    state: str = ""
    """Of proc_pid_stat(5): R runs, S sleeps, T was stopped by a signal, …; empty if it cannot be known."""
    wchan: str = ""
    """The kernel's function in which it sleeps, proc_pid_wchan(5); empty if in none, or unknown."""

    @property
    def is_stopped(self) -> bool:
        """Whether a signal has stopped it, SIGSTOP or another, signal(7): no thread of its process runs."""
        return self.state == "T"


class Present(NamedTuple):
    """The moment at which it was asked."""

    t: int
    """In nanoseconds, on the clock of the events."""
    sockets: Mapping[tuple[str, str], Seen]
    """By the socket's own address and its peer's, as the log has them; a listener's peer is empty."""
    task: Task = Task()


def is_recent(process: Process, since: int | None) -> bool:
    """Whether the program still runs, and what began at `since` is so new that it may be over at once."""
    return process.present is not None and since is not None and process.present.t - since < SLOW


def seen_of(sock: Listener | Stream) -> Seen | None:
    """What the kernel has of a socket, if it was asked, and the program has not used the socket since."""
    present, touched = sock.process.present, sock.touched
    if present is None or (touched is not None and due(touched) > present.t):
        return None
    ends = (sock.local, sock.peer) if isinstance(sock, Stream) else (sock.address, "")
    return present.sockets.get((_unscoped(ends[0]), _unscoped(ends[1])))


def _unscoped(address: str) -> str:
    """As /proc/net/tcp6 has it: of a link-local address it does not tell the interface."""
    return _SCOPE.sub(r"\1]", address) if "%" in address else address


def has_news(stream: Stream) -> bool:
    """The peer has sent something, or its end, that the program has not read."""
    seen = seen_of(stream)
    return seen is not None and (seen.unread > 0 or (seen.state == "CLOSE-WAIT" and not stream.ends.count))


def kernel_says(stream: Stream) -> str:
    """A sentence about a connection, or nothing if the kernel was not asked."""
    seen = seen_of(stream)
    if seen is None:
        return ""
    unread = f"{size(seen.unread)} to read" if seen.unread else "nothing to read"
    full = seen.unsent or stream.rest is not None
    unsent = f", {size(seen.unsent)} of ours not acknowledged" if full else ""
    closed = " (the peer has closed)" if seen.state == "CLOSE-WAIT" else ""
    but = "But the kernel, now" if has_news(stream) else "The kernel, now"
    return f"{but}: {unread}{unsent}, {seen.state}{closed}."


def is_stopped(process: Process) -> bool:
    """Whether the program is there, and a signal has stopped it."""
    return process.present is not None and process.present.task.is_stopped


def task_says(process: Process, thread: Thread) -> str:
    """A sentence about a thread that is in no call of a socket; nothing if it is not known what it does."""
    if process.present is None or thread.name:
        return ""
    state, wchan = process.present.task
    if state == "R":
        return "The kernel, now: it runs."
    does = next((what for name, what in _SLEEPS.items() if wchan.startswith(name)), "sleeps")
    return f"The kernel, now: it {does} ({wchan})." if wchan else ""
