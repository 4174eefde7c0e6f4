"""All processes at one moment, and what the rules ask about them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from evloop.events.schema import Block
from evloop_trace.model.diagnosis.present import seen_of
from evloop_trace.model.diagnosis.state import Datagrams, Listener, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evloop.events.schema import Accept, Queue
    from evloop_trace.model.diagnosis.state import Open, Process, Thread

__all__ = ["Callers", "Scene", "same_address"]

_ANYWHERE = ("0.0.0.0:", "[::]:")


class Callers(NamedTuple):
    """Who waits to be accepted."""

    number: int
    known: list[Stream]
    """Those whose own end is in the logs."""
    queued: int
    """As counted by `sampled`; more may have come since."""
    sampled: Accept | Queue | None
    """The event that counted them, if one did."""
    later: list[Accept]
    """Accepts that came afterwards and told how long the caller had waited."""
    counted: int | None = None
    """When the kernel was asked, if it was."""


class Scene:
    """The moment that is looked at; what is asked for every socket is worked out once."""

    def __init__(self, processes: Iterable[Process], at: int | None) -> None:
        self.processes = list(processes)
        self._now = max([process.now for process in self.processes], default=0) if at is None else at
        self._waiters: dict[tuple[str, str], list[Thread]] = defaultdict(list)
        self._polls: dict[str, list[Thread]] = {}
        self._masks: dict[tuple[str, str], Mapping[str, str]] = {}
        self._holders: set[tuple[str, str]] = set()
        self._listeners: list[Listener] = []
        self._datagrams: dict[str, Datagrams] = {}
        self._unmet: list[Stream] = []  # they have connected, and nobody is known to have accepted them
        for process in self.processes:
            self._survey(process)

    def now(self, process: Process) -> int:
        """When the kernel was asked of a program that still runs; of another the end of the logs, or `at`."""
        return self._now if process.present is None else process.present.t

    def _survey(self, process: Process) -> None:
        for thread in process.threads.values():
            if thread.on:
                self._waiters[process.label, thread.on].append(thread)
        self._polls[process.label] = self._polling(process)
        if process.end is not None:
            return
        for sock in process.sockets.values():
            if sock.touched is not None and not isinstance(sock, Listener):
                self._holders.add((process.label, getattr(sock.touched, "thread", "")))
            if isinstance(sock, Listener):
                self._listeners.append(sock)
            elif isinstance(sock, Datagrams) and sock.address:
                self._datagrams[sock.address] = sock
            elif isinstance(sock, Stream) and sock.unmet:
                self._unmet.append(sock)

    @staticmethod
    def _polling(process: Process) -> list[Thread]:
        polls = [thread for thread in process.threads.values() if thread.awaits == "poll"]
        if process.loops and not polls and process.end is None:
            main = process.threads.get("")
            return [main] if main is not None and main.resumes is None else []
        return polls

    # -- threads ---------------------------------------------------------------------------------------

    def waiters(self, sock: Open) -> list[Thread]:
        """Threads that sleep in a call on this very socket."""
        return self._waiters.get((sock.process.label, sock.name), [])

    def polling(self, process: Process) -> list[Thread]:
        """Threads that sleep in a poll.

        Our loop's poll is in its log when it has returned, and not before: what is last in such a log was
        written when the loop was about to sleep.
        """
        return self._polls[process.label]

    def holds(self, process: Process, thread: Thread) -> bool:
        """Whether the thread was the last to use a connection or datagram socket that is open."""
        return (process.label, thread.name) in self._holders

    def user(self, sock: Open) -> Thread | None:
        """The thread that was the last to use a socket."""
        return sock.process.threads.get(getattr(sock.touched, "thread", ""))

    # -- what polls wait for ---------------------------------------------------------------------------

    def masks(self, process: Process, thread: Thread) -> Mapping[str, str]:
        """What a thread's poll waits for, by socket."""
        key = process.label, thread.name
        if key not in self._masks:
            wait = thread.wait
            self._masks[key] = (
                dict(wait.watched)
                if isinstance(wait, Block) and wait.watched
                else {name: sock.watched for name, sock in process.sockets.items()}
            )
        return self._masks[key]

    def watched(self, sock: Open) -> str | None:
        """For what a poll that sleeps now would wake; None if no poll sleeps."""
        polls = self.polling(sock.process)
        if not polls:
            return None
        masks = [self.masks(sock.process, thread).get(sock.name, "") for thread in polls]
        return "|".join(dict.fromkeys(mask for mask in masks if mask))

    # -- callers ---------------------------------------------------------------------------------------

    def listener_of(self, address: str) -> Listener | None:
        """The open listener at an address."""
        return next((sock for sock in self._listeners if same_address(sock.address, address)), None)

    def datagrams_of(self, address: str) -> Datagrams | None:
        """The open datagram socket bound to an address."""
        return self._datagrams.get(address)

    def accepts(self, listener: Listener) -> bool:
        """Whether somebody waits for its callers."""
        return bool(self.waiters(listener)) or "READ" in (self.watched(listener) or "")

    def neglected(self, process: Process) -> list[Listener]:
        """Listeners for whose callers nobody waits."""
        return [sock for sock in self._listeners if sock.process is process and not self.accepts(sock)]

    def callers(self, listener: Listener) -> Callers:
        """Handshakes that are finished and not accepted.

        The kernel finishes a handshake by itself (listen(2)), and only accept(2) takes it out of the queue:
        so what was counted when the last one was accepted still waits, and more may have come.
        """
        known = [stream for stream in self._unmet if same_address(listener.address, stream.peer)]
        seen = seen_of(listener)
        if seen is not None:
            return Callers(seen.unread, known, seen.unread, None, [], self.now(listener.process))
        queued = listener.queued or 0
        number = max(len(known), queued, len(listener.called))
        return Callers(number, known, queued, listener.sample if queued else None, listener.called)


def same_address(listens: str, calls: str) -> bool:
    """Whether who calls the second address reaches a listener bound to the first."""
    if listens == calls:
        return bool(calls)
    return listens.startswith(_ANYWHERE) and listens.rpartition(":")[2] == calls.rpartition(":")[2]
