"""Events → state: what is open at a moment, which is the log's end or one that was asked for.

A million events come through here, nearly all of them recv and send; they have their own short way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop.events.reader import Problem
from evloop.events.schema import (
    Accept,
    Bind,
    Block,
    Call,
    Close,
    Connect,
    Cut,
    End,
    Error,
    Gap,
    Header,
    Inherit,
    Interest,
    Limit,
    Listen,
    Located,
    Poll,
    Prepare,
    Queue,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Shutdown,
    Socket,
    Unseen,
)
from evloop_trace.model.diagnosis.state import Datagrams, Listener, Stream, Thread
from evloop_trace.model.filters import due
from evloop_trace.model.sockets import DATAGRAMS, NOT_NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent, Unknown
    from evloop_trace.model.diagnosis.state import Open, Process

__all__ = ["CROWD", "OFTEN", "Ends", "Fold", "excused"]

OFTEN = 20
"""Polls that name a socket and nothing is done about it, before that is told at once."""

CROWD = 8
"""Of more sockets that are ready at once so many may be served now, and the rest later, as by our loop."""

_LEFT = 5  # of what was open at the end
_KEPT = 10  # of what only needs examples
_THREADS = 64
_MET_LATE = 1000  # connections that were closed before their other end was known

_BEFORE = "as it was where the file begins"


def excused(poll: Poll) -> int:
    """How often the last of a crowd may be named before its turn comes; who comes later stands behind it."""
    return (len(poll.ready) - 1) // CROWD


class Ends:
    """The open ends of connections in all logs, by their addresses: two of them may be one connection."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Stream] = {}
        self._closed: dict[tuple[str, str], Stream] = {}  # accepted, and the other has not been told of yet

    def add(self, stream: Stream, begun: int = 0) -> None:
        """An end; if the other is known, they know each other from now on.

        An end that was closed before this one's connect(2) began is another connection's.
        """
        if not (stream.local and stream.peer):
            return  # an unnamed Unix socket
        self._open[stream.local, stream.peer] = stream
        self._closed.pop((stream.local, stream.peer), None)
        gone = self._closed.pop((stream.peer, stream.local), None)
        if gone is not None and gone.closed is not None and due(gone.closed) < begun:
            gone = None
        other = self._open.get((stream.peer, stream.local)) or gone
        if other is not None and other is not stream:
            stream.other, other.other = other, stream

    def remove(self, stream: Stream) -> None:
        """It is closed; whoever is at the other end still knows it.

        An event is written when its call returns: who was accepted may be closed before its connect is told.
        """
        key = stream.local, stream.peer
        if self._open.get(key) is not stream:
            return
        del self._open[key]
        if stream.other is None and not stream.client:
            self._closed[key] = stream
            if len(self._closed) > _MET_LATE:
                del self._closed[next(iter(self._closed))]


class Fold:
    """Keeps a process's state up to date."""

    def __init__(
        self, process: Process, ends: Ends, at: int | None, before: Callable[[Process, AnyEvent], None]
    ) -> None:
        """`before` is told when a wait is about to be ended from outside: by an interrupt or the exit."""
        self.process = process
        self._ends = ends
        self._at = at
        self._before = before
        self._next = 0
        self._leaving = False
        self._limit = _THREADS
        self._handlers: dict[type, Callable[[Any], None]] = {
            Poll: self._poll,
            Listen: self._listen,
            Bind: self._bind,
            Socket: self._socket,
            Inherit: self._inherit,
            Connect: self._connect,
            Accept: self._accept,
            Recvfrom: self._recvfrom,
            Sendto: self._sendto,
            Shutdown: self._shutdown,
            Close: self._close,
            Interest: self._interest,
            Queue: self._queue,
            Limit: self._limits,
            Prepare: self._prepare,
            Unseen: self._unseen,
            Error: self._error,
            Gap: self._gap,
            Cut: self._cut,
            End: self._end,
        }

    def feed(self, items: list[Item]) -> None:
        """Consecutive lines."""
        events = [item for item in items if not isinstance(item, Problem)]
        if not events:
            return
        first, last = events[0].seq, events[-1].seq
        if first != self._next or last - first != len(events) - 1 or isinstance(events[0], Header):
            self._with_gaps(events)
        else:
            self._next = last + 1
            self._fold(events if self._at is None else self._until(events))
        # The last says how far the log has come; that others may return a little later does not matter.
        self.process.now = max(self.process.now, due(events[-1]))

    def _with_gaps(self, events: list[AnyEvent | Unknown]) -> None:
        """Events are missing before these, or between them; or it is a file that begins."""
        self._next = self._count_missing(events)
        self._fold(events if self._at is None else self._until(events))

    def _fold(self, events: list[Any]) -> None:  # noqa: C901 - the short way of nearly all, in one piece
        threads, sockets = self.process.threads, self.process.sockets
        handler_of = self._handlers.get
        for event in events:
            kind = type(event)
            if kind is Recv or kind is Send:
                thread = threads.get(event.thread)
                if thread is None or thread.wait is not None:
                    thread = self._woken(event)
                thread.last = event
                stream = sockets.get(event.conn)
                if type(stream) is not Stream:
                    stream = self._stream(event.conn)
                stream.touched = event
                stream.ready.count = 0
                if kind is Send:
                    if event.n and event.n == event.size and stream.rest is None:
                        stream.send = event
                    else:
                        self._sent_less(stream, event)
                elif event.n and not event.flags:
                    stream.recv = event
                    stream.vain.count = 0
                else:
                    self._received_otherwise(stream, event)
                continue
            if isinstance(event, Located):
                if kind is Block:
                    self._sleeps(event)  # type: ignore[arg-type]
                    continue
                self._woken(event).last = event  # type: ignore[assignment]
            handler = handler_of(kind)
            if handler is not None:
                handler(event)

    # -- time ------------------------------------------------------------------------------------------

    def _until(self, events: list[AnyEvent | Unknown]) -> list[AnyEvent | Unknown]:
        """What had returned at the moment; what had not tells how it went on."""
        at = self._at or 0
        past: list[AnyEvent | Unknown] = []
        for event in events:
            if due(event) <= at:
                past.append(event)
            else:
                self._fold(past)
                past = []
                self._later(event, at)
        return past

    def _later(self, event: AnyEvent | Unknown, at: int) -> None:
        """An event that was not over at the moment."""
        if not isinstance(event, Located):
            return
        thread = self._thread(event.thread)
        if isinstance(event, Call) and event.t <= at:
            if thread.wait is None and isinstance(event, Poll):
                thread.wait = event  # our loop writes no `block`
            if thread.wait is not None and thread.returned is None and event.t <= thread.wait.t:
                thread.returned = event
        if thread.resumes is None:
            thread.resumes = max(event.t, at)
        if isinstance(event, Accept) and event.waited is not None and due(event) - event.waited <= at:
            listener = self.process.sockets.get(event.sock)
            if isinstance(listener, Listener):
                listener.called.append(event)

    def _count_missing(self, events: list[AnyEvent | Unknown]) -> int:
        """Numbers that are left out; a gap brings its own count. The next number."""
        expected = self._next
        for event in events:
            if event.seq < 0:  # the file's, and none of the log's
                continue
            if event.seq > expected and not isinstance(event, Gap):
                self.process.missing += event.seq - expected
            expected = event.seq + 1
            if isinstance(event, Header):
                expected = event.first or expected
        return expected

    def _gap(self, event: Gap) -> None:
        if event.seq >= 0:  # of a watcher's the next event's number tells
            self.process.missing += event.lost

    # -- threads ---------------------------------------------------------------------------------------

    def _thread(self, name: str) -> Thread:
        thread = self.process.threads.get(name)
        if thread is None:
            if len(self.process.threads) >= self._limit:
                self._forget()
            thread = self.process.threads[name] = Thread(name)
        return thread

    def _sleeps(self, event: Block) -> None:
        thread = self._thread(event.thread)
        thread.wait, thread.interrupted = event, None

    def _woken(self, event: Located) -> Thread:
        """The thread of a call that returned; its wait is over, unless a signal's handler made the call."""
        thread = self._thread(event.thread)
        wait = thread.wait
        if wait is not None and event.t <= wait.t:
            if isinstance(event, Call) and getattr(event, "errno", None) == "interrupted":
                self._before(self.process, event)  # type: ignore[arg-type]
                thread.interrupted = event
            thread.wait = None
        return thread

    def _forget(self) -> None:
        """Threads that have nothing: a server may start one for every connection."""
        threads = self.process.threads
        busy = {"", *(getattr(sock.touched, "thread", "") for sock in self.process.sockets.values())}
        for name in [name for name, thread in threads.items() if thread.wait is None and name not in busy]:
            del threads[name]
        self._limit = max(_THREADS, 2 * len(threads))

    # -- sockets ---------------------------------------------------------------------------------------

    def _stream(self, name: str) -> Stream:
        """The stream of that name, which begins here if we never saw its beginning."""
        sock = self.process.sockets.get(name)
        if not isinstance(sock, Stream):
            sock = self.process.sockets[name] = Stream(name, self.process)
        return sock

    def _datagrams(self, name: str) -> Datagrams:
        sock = self.process.sockets.get(name)
        if not isinstance(sock, Datagrams):
            sock = self.process.sockets[name] = Datagrams(name, self.process)
        return sock

    def _socket(self, event: Socket) -> None:
        if event.sock is None:
            return
        if event.proto in DATAGRAMS:
            self._datagrams(event.sock).opened = event
        elif event.proto in {"tcp", "unix"}:
            stream = self._stream(event.sock)
            stream.opened = event
            if event.pair is not None:
                stream.paired = event.pair
                other = self.process.sockets.get(event.pair)
                if isinstance(other, Stream):
                    stream.other, other.other = other, stream

    def _inherit(self, event: Inherit) -> None:
        if event.listens:
            self.process.sockets[event.name] = Listener(
                event.name, self.process, opened=event, address=event.address, backlog=event.backlog or None
            )
        elif event.proto in DATAGRAMS:
            sock = self._datagrams(event.name)
            sock.opened, sock.address, sock.connected = event, event.address, event.peer
        else:
            stream = self._stream(event.name)
            stream.opened, stream.local, stream.peer = event, event.address, event.peer
            self._ends.add(stream)
        if event.interest is not None:
            conn, other = (None, event.name) if event.opened is None else (event.name, None)
            self.process.sockets[event.name].interest = Interest(
                event.seq, event.t, event.tick, conn, other, "", event.interest, _BEFORE
            )

    def _listen(self, event: Listen) -> None:
        if event.errno is not None:
            return
        listener = self.process.sockets.get(event.sock)
        if not isinstance(listener, Listener):
            listener = self.process.sockets[event.sock] = Listener(event.sock, self.process)
        listener.opened, listener.address, listener.backlog = event, event.address, event.backlog

    def _bind(self, event: Bind) -> None:
        if event.errno is not None:
            return
        if event.proto not in DATAGRAMS:
            self._stream(event.sock).local = event.address
            return
        sock = self._datagrams(event.sock)
        sock.opened, sock.address = event, event.address

    def _connect(self, event: Connect) -> None:
        if event.conn is None:
            if event.sock is not None and event.errno is None:
                self._datagrams(event.sock).connected = event.peer or ""
            return
        stream = self._stream(event.conn)
        stream.touched, stream.client = event, True
        stream.opened = event
        stream.peer = event.peer or stream.peer
        if event.errno is None:
            stream.local = event.local or stream.local
        begun = event.t if stream.connecting is None else stream.connecting.t
        stream.connecting = event if event.errno == "EINPROGRESS" else None
        stream.ready.count = 0
        if event.errno is None:
            self._ends.add(stream, begun)
        elif event.errno != "EINPROGRESS":
            stream.peer = ""  # it is no connection

    def _accept(self, event: Accept) -> None:
        listener = self.process.sockets.get(event.sock)
        if isinstance(listener, Listener):
            listener.touched = event
            if event.queued is not None:
                listener.queued, listener.sample = event.queued, event
            if event.conn is not None:
                listener.accepted = event
                listener.failed.count = listener.ready.count = 0
            elif event.errno not in NOT_NOW:
                listener.failed.add(event)
        if event.conn is not None:
            stream = self._stream(event.conn)
            stream.opened = stream.touched = event
            stream.peer, stream.local = event.peer or "", event.local or ""
            self._ends.add(stream)

    def _shutdown(self, event: Shutdown) -> None:
        stream = self._stream(event.conn)
        stream.touched = event
        if event.errno is None and event.how != "SHUT_RD":
            stream.shut = event

    def _recvfrom(self, event: Recvfrom) -> None:
        sock = self._datagrams(event.sock)
        sock.touched = event
        sock.ready.count = 0
        if event.n is None:
            sock.vain.add(event)
        else:
            sock.recv = event
            sock.vain.count = sock.unanswered.count = 0

    def _sendto(self, event: Sendto) -> None:
        sock = self._datagrams(event.sock)
        sock.touched = event
        if event.n is not None:
            sock.unanswered.add(event)

    def _close(self, event: Close) -> None:
        process = self.process
        if event.reason == "exit":
            self._ending(event)
            process.left_count += 1
            if len(process.left) < _LEFT:
                process.left.append(event)
        elif event.unread and event.conn is not None and not _is_gone(process.sockets.get(event.conn)):
            process.resets = [*process.resets[-_KEPT + 1 :], event]
        sock = process.sockets.pop(event.conn or event.sock or "", None)
        if isinstance(sock, Stream):
            sock.closed = event
            self._ends.remove(sock)

    # -- what is rare of a stream ----------------------------------------------------------------------

    def _received_otherwise(self, stream: Stream, event: Recv) -> None:
        """No bytes came, or the call had flags."""
        if event.n and "MSG_PEEK" not in event.flags:
            stream.recv = event
            stream.vain.count = 0
        elif event.n == 0 and event.size:
            stream.ends.add(event)
        elif event.errno in NOT_NOW:
            stream.vain.add(event)
        elif event.errno:
            stream.broken = event

    def _sent_less(self, stream: Stream, event: Send) -> None:
        """Less than was offered, or nothing was; or something is sent after such a call."""
        if event.n:
            stream.send = event
        if event.n == event.size:
            stream.rest = None
        elif event.n is not None or event.errno in NOT_NOW:
            stream.rest = event  # the kernel took a part, or nothing
        else:
            stream.broken, stream.rest = event, None

    # -- the loop --------------------------------------------------------------------------------------

    def _poll(self, event: Poll) -> None:
        thread = self._thread(event.thread)
        thread.polled = event
        if event.ready or event.timeout != 0:
            thread.asking.count = 0
        else:
            thread.asking.add(event)
        sockets = self.process.sockets
        turns = excused(event)
        for name, bits in event.ready:
            sock = sockets.get(name)
            if sock is not None:
                ready = sock.ready  # as `Vain.add`; a busy loop's polls name many
                if not ready.count or bits != sock.bits:
                    ready.first, ready.count, ready.excused = event, 0, turns
                ready.count += 1
                ready.last = event
                sock.bits = bits
                if ready.count - ready.excused >= OFTEN:
                    self._in_vain(sock)
            else:
                self._unnamed(name, bits, event)

    def _in_vain(self, sock: Open) -> None:
        """A poll names it again and again, and nobody does anything: for who wants to know at once."""

    def _unnamed(self, name: str, bits: str, event: Poll) -> None:
        """A poll names what is no socket of the log: for who wants to know."""

    def _interest(self, event: Interest) -> None:
        sock = self.process.sockets.get(event.conn or event.sock or "")
        if sock is not None:
            sock.interest = event

    def _queue(self, event: Queue) -> None:
        listener = self.process.sockets.get(event.sock)
        if isinstance(listener, Listener):
            listener.queued, listener.sample, listener.backlog = event.queued, event, event.backlog

    def _limits(self, event: Limit) -> None:
        key = f"{event.what} {event.conn or event.sock or ''}"
        if event.active:
            self.process.limits[key] = event
        else:
            self.process.limits.pop(key, None)

    def _prepare(self, event: Prepare) -> None:
        self.process.prepare = event

    def _unseen(self, event: Unseen) -> None:
        sock = self.process.sockets.get(event.what)
        if sock is not None:
            sock.unseen = sock.touched = event
        kept = self.process.modules if sock is None else self.process.encrypted
        if len(kept) < _KEPT:
            kept.append(event)

    def _error(self, event: Error) -> None:
        self.process.error = event

    def _cut(self, event: Cut) -> None:
        """How things are now says nothing of how they were when the file ended."""
        self.process.cut, self.process.present, self.process.gone = event, None, False

    def _end(self, event: End) -> None:
        self._ending(event)
        self.process.end = event

    def _ending(self, event: AnyEvent) -> None:
        """The process ends: who waits until now will never be answered."""
        if not self._leaving:
            self._leaving = True
            self._before(self.process, event)


def _is_gone(sock: Open | None) -> bool:
    return isinstance(sock, Stream) and sock.gone
