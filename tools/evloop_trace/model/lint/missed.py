"""What is known no more where events are missing, as in the stream of a watcher who does not keep up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop.events.schema import Gap, Interest, Snapshot
from evloop_trace.model.diagnosis.fold import Fold
from evloop_trace.model.diagnosis.state import Datagrams, Listener, Stream
from evloop_trace.model.sockets import DATAGRAMS

if TYPE_CHECKING:
    from evloop.events.schema import ConnectionState, ListenerState
    from evloop_trace.model.diagnosis.state import Process

__all__ = ["Missed"]

_ANYTHING = "READ|WRITE"


class Missed(Fold):
    """The fold of a stream with gaps, in which the server says now and then what is open."""

    def __init__(self, process: Process, *rest: Any) -> None:
        super().__init__(process, *rest)
        self._told = 0  # events that a gap has told of, before the next number does
        self._handlers[Snapshot] = self._snapshot

    def _with_gaps(self, events: list[Any]) -> None:
        """Piece by piece: what was known before a gap holds up to there."""
        begins = 0
        for at in range(1, len(events) + 1):
            if at == len(events) or events[at].seq != events[at - 1].seq + 1:
                super()._with_gaps(events[begins:at])
                begins = at

    def _count_missing(self, events: list[Any]) -> int:
        known = self.process.missing
        expected = super()._count_missing(events)
        if missing := self.process.missing - known:
            if missing > self._told:
                self.forget(events[0])
            self._told = 0
        return expected

    def _gap(self, event: Gap) -> None:
        super()._gap(event)
        self._told += event.lost if event.seq < 0 else 0
        self.forget(event)

    def forget(self, event: Any) -> None:
        """What was asked in vain may have been done in what is missing, and anything may be watched since."""
        for sock in self.process.sockets.values():
            sock.ready.count = 0
            if isinstance(sock, Stream):
                sock.rest = None
                sock.interest = Interest(
                    event.seq, event.t, event.tick, sock.name, None, sock.watched, _ANYTHING, "nobody knows"
                )
            if isinstance(sock, Stream | Datagrams):
                sock.vain.count = 0
        for thread in self.process.threads.values():
            thread.asking.count = 0

    def _snapshot(self, event: Snapshot) -> None:
        """The server's own word: who is not in it is closed, or one of too many to be told of."""
        sockets = self.process.sockets
        told = {state.sock for state in event.listeners} | {state.conn for state in event.connections}
        for name in [name for name in sockets if name not in told]:
            self.vanished(name)
            sock = sockets.pop(name)
            if isinstance(sock, Stream):
                self._ends.remove(sock)
        for listener in event.listeners:
            self._endpoint(listener)
        for connection in event.connections:
            self._connection(connection, event)

    def vanished(self, name: str) -> None:
        """Nothing is known of it any more: for who remembers it by its name."""

    def _endpoint(self, state: ListenerState) -> None:
        if state.proto in DATAGRAMS:
            self._datagrams(state.sock).address = state.address
            return
        sock = self.process.sockets.get(state.sock)
        if not isinstance(sock, Listener):
            sock = self.process.sockets[state.sock] = Listener(state.sock, self.process)
        sock.address, sock.backlog = state.address, state.backlog

    def _connection(self, state: ConnectionState, event: Snapshot) -> None:
        stream = self._stream(state.conn)
        stream.peer, stream.local = state.peer, state.local
        self._ends.add(stream)
        stream.interest = Interest(
            event.seq,
            event.t,
            event.tick,
            state.conn,
            None,
            stream.watched,
            state.interest,
            "the server says",
        )
