"""What is open in a process, and the few events of each open thing that a rule may want to name.

Everything here is bounded by what is open: of a connection at most a dozen events are held, and a thread
is forgotten when it neither waits nor was the last to touch something open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evloop.events.schema import Block, Inherit

if TYPE_CHECKING:
    from evloop.events.schema import (
        Accept,
        AnyEvent,
        Bind,
        Call,
        Close,
        Connect,
        Cut,
        End,
        Error,
        Header,
        Interest,
        Limit,
        Listen,
        Poll,
        Prepare,
        Queue,
        Recv,
        Recvfrom,
        Send,
        Shutdown,
        Socket,
        Unseen,
    )
    from evloop_trace.model.diagnosis.present import Present

__all__ = ["Datagrams", "Listener", "Open", "Process", "Stream", "Thread"]

_GONE = frozenset({"ECONNRESET", "ECONNABORTED", "ETIMEDOUT"})
"""What recv(2) and send(2) say of a connection that is no more; EPIPE may mean our own end, too."""


@dataclass(slots=True, eq=False)
class Vain:
    """Calls, one after the other, that brought nothing."""

    count: int = 0
    first: AnyEvent | None = None
    last: AnyEvent | None = None
    excused: int = 0  # so many of them are no sign of anything: others had their turn

    def add(self, event: AnyEvent) -> None:
        """One more."""
        if not self.count:
            self.first = event
        self.count += 1
        self.last = event


@dataclass(slots=True, eq=False)
class Thread:
    """A thread: what it did last, and the call that it sleeps in."""

    name: str  # empty is the main thread
    last: AnyEvent | None = None  # the last thing it did
    wait: Block | Poll | None = None  # the call it is in
    polled: Poll | None = None  # the last poll that returned
    asking: Vain = field(default_factory=Vain)  # polls that would not sleep, and found nothing ready
    interrupted: Call | None = None  # a signal's handler ended a wait, and it has not waited since
    returned: AnyEvent | None = None  # what ended `wait`, if the log goes on behind the moment
    resumes: int | None = None  # when it did something again, if the log goes on behind the moment

    @property
    def awaits(self) -> str:
        """The `ev` of the call that it sleeps in, if it does."""
        wait = self.wait
        return "" if wait is None else wait.awaits if isinstance(wait, Block) else "poll"

    @property
    def on(self) -> str:
        """The socket that it sleeps on; a poll is on none."""
        wait = self.wait
        return (wait.conn or wait.sock or "") if isinstance(wait, Block) else ""


@dataclass(slots=True, eq=False)
class Open:
    """A socket that is open."""

    name: str
    process: Process
    interest: Interest | None = None  # the last word to the selector
    ready: Vain = field(default_factory=Vain)  # polls that named it, without a call on it in between
    bits: str = ""  # what the last of them said
    touched: AnyEvent | None = None  # the last call on it
    unseen: Unseen | None = None  # from here on what is done with it goes past the log, as over TLS

    @property
    def watched(self) -> str:
        """What it is registered for."""
        return "" if self.interest is None else self.interest.new


@dataclass(slots=True, eq=False)
class Stream(Open):
    """A stream socket, from its making to its close; a connection as soon as it has a peer."""

    opened: Accept | Connect | Inherit | Socket | None = None
    peer: str = ""
    local: str = ""
    paired: str = ""  # the other end of a socketpair, in the same process
    client: bool = False  # we asked for the connection
    connecting: Connect | None = None  # EINPROGRESS, and nothing has told how it ended
    recv: Recv | None = None  # the last that brought bytes
    send: Send | None = None  # the last of which the kernel took something
    rest: Send | None = None  # a send that the kernel did not take whole, until one goes through
    ends: Vain = field(default_factory=Vain)  # recv() = 0
    vain: Vain = field(default_factory=Vain)  # recv() that had nothing to give: EAGAIN, a timeout
    broken: Recv | Send | None = None  # failed for good: ECONNRESET, EPIPE, ETIMEDOUT
    shut: Shutdown | None = None
    closed: Close | None = None
    other: Stream | None = None  # the other end, if it is in one of the logs

    @property
    def received(self) -> int:
        """Bytes."""
        before = self.opened.received if isinstance(self.opened, Inherit) else 0
        return self.recv.off[1] if self.recv is not None and self.recv.off else before

    @property
    def sent(self) -> int:
        """Bytes."""
        before = self.opened.sent if isinstance(self.opened, Inherit) else 0
        return self.send.off[1] if self.send is not None and self.send.off else before

    @property
    def last(self) -> Recv | Send | None:
        """The last bytes that moved, in whichever direction."""
        if self.recv is None or self.send is None:
            return self.recv or self.send
        return self.recv if self.recv.seq > self.send.seq else self.send

    @property
    def unmet(self) -> bool:
        """We have connected, and nobody is known to have accepted us.

        If bytes, or an end, have come from there, somebody has, whose log is not among these.
        """
        heard = self.recv is not None or self.ends.count > 0
        return self.client and bool(self.local) and self.other is None and not heard

    @property
    def gone(self) -> bool:
        """A call has told us that there is no connection any more: the peer has reset it, say."""
        errno = None if self.broken is None else self.broken.errno
        return errno in _GONE or (errno == "EPIPE" and self.shut is None)

    @property
    def connected(self) -> bool:
        """It has, or had, somebody at its other end."""
        return bool(self.peer or self.paired or self.recv or self.send)


@dataclass(slots=True, eq=False)
class Listener(Open):
    """A listener."""

    opened: Listen | Inherit | None = None
    address: str = ""
    backlog: int | None = None
    accepted: Accept | None = None  # the last that succeeded
    failed: Vain = field(default_factory=Vain)  # accept() that failed for want of something
    queued: int | None = None  # callers that waited when `sample` was taken
    sample: Accept | Queue | None = None
    called: list[Accept] = field(default_factory=list)  # those who waited then and were accepted later


@dataclass(slots=True, eq=False)
class Datagrams(Open):
    """A datagram socket."""

    opened: Bind | Socket | Inherit | None = None
    address: str = ""  # bound to
    connected: str = ""  # connect(2): errors of the peer come back
    recv: Recvfrom | None = None  # the last that brought a datagram
    unanswered: Vain = field(default_factory=Vain)  # sendto() since then
    vain: Vain = field(default_factory=Vain)


@dataclass(slots=True, eq=False)
class Process:
    """A log: what its program has open."""

    label: str
    header: Header
    threads: dict[str, Thread] = field(default_factory=dict)
    sockets: dict[str, Open] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)
    prepare: Prepare | None = None
    error: Error | None = None  # the last exception that nobody caught
    end: End | None = None
    cut: Cut | None = None  # its file ends before the log
    now: int = 0  # the latest moment that the log knows
    present: Present | None = None  # what the kernel says now, if the program still runs
    gone: bool = False  # it runs no more, though its log has no end
    missing: int = 0
    modules: list[Unseen] = field(default_factory=list)  # whose calls are not in the log, the first few
    encrypted: list[Unseen] = field(default_factory=list)  # sockets of which that is so, the first few
    left: list[Close] = field(default_factory=list)  # what the end of the process closed, the first few
    left_count: int = 0
    resets: list[Close] = field(default_factory=list)  # closed with unread bytes, the last few

    @property
    def loops(self) -> bool:
        """It is our event loop, whose log has no `block` and is written once a turn."""
        return self.header.model == "loop"
