"""What a log says was called: an entry for each call, under the descriptor on which it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from evloop.events import schema
from evloop.events.reader import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent, Header

__all__ = ["FAMILIES", "Life", "Log", "Told"]

FAMILIES = {
    "bind": {"bind"},
    "listen": {"listen"},
    "accept": {"accept", "accept4"},
    "connect": {"connect"},
    "recv": {"recvfrom", "recvmsg", "read", "readv"},
    "recvfrom": {"recvfrom", "recvmsg", "read", "readv"},
    "send": {"sendto", "sendmsg", "write", "writev", "sendfile"},
    "sendto": {"sendto", "sendmsg", "write", "writev", "sendfile"},
    "shutdown": {"shutdown"},
    "setsockopt": {"setsockopt"},
    "close": {"close"},
    "epoll": {"epoll_wait", "epoll_pwait", "epoll_pwait2"},
    "poll": {"poll", "ppoll"},
    "select": {"select", "pselect6"},
}
"""The word of an event → the system calls that may stand behind it."""

# Errnos that are Python's own: there may have been no call.
_PASSING = {"timeout", "interrupted", "TypeError", "ValueError", "OverflowError"}

_Outcome: TypeAlias = int | str | None


class Told(NamedTuple):
    """One call, as the log has it; or, with `asks`, that one could not be answered at once."""

    event: AnyEvent
    family: str
    outcome: _Outcome
    """What it gave, or its errno; None where the log does not say."""
    asks: bool = False
    """A `block` event: the call that would not have waited has failed, or was never made."""
    optional: bool = False
    """There may have been no call at all: a time-out, or the end of the process."""

    @property
    def names(self) -> set[str]:
        """The system calls that it may have been."""
        call = getattr(self.event, "call", "").rpartition(".")[2]
        base = call.removesuffix("_into").replace("sendall", "send")
        exact = {"recv": "recvfrom", "send": "sendto"}.get(base, base)
        return {exact} & FAMILIES[self.family] or FAMILIES[self.family]


class Life:
    """A descriptor, from when a socket got it to its close."""

    def __init__(self, name: str, fd: int, proto: str, began: int) -> None:
        self.name, self.fd, self.proto = name, fd, proto
        self.began = began
        """In nanoseconds since the epoch."""
        self.told: list[Told] = []


class Log:
    """A log, taken apart: the lives of its sockets, and its polls."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.lives: dict[int, list[Life]] = {}
        """By descriptor, in order."""
        self.polls: list[Told] = []
        self.lost = 0
        """Events that are missing from it."""
        self.ended = False
        self.since = 0
        """Where what was before it is gone, since when it tells; in nanoseconds since the epoch."""
        self.last = 0
        """When the last of its calls was over, in nanoseconds since the epoch."""
        self.unseen: dict[str, str] = {}
        """What the log itself says that it cannot see, a module or a socket, and why."""
        self.apart = 0
        """Entries whose system call is not looked at."""
        self.open: dict[str, Life] = {}
        """By name: the sockets that are not closed yet."""
        self.step = header.wall_ns - header.mono_ns
        """From the monotonic clock to the wall's."""

    @property
    def is_loop(self) -> bool:
        """Whether our event loop wrote it: every call is there as it was made."""
        return self.header.model == "loop"

    def feed(self, items: Iterable[Item]) -> None:
        """Take events in the order of the log."""
        for item in items:
            take = _TAKE.get(type(item))
            if take is not None:
                take(self, item)
                if getattr(item, "seq", 0) > 0:  # not what a file begins with
                    self.last = max(self.last, self.wall(cast("AnyEvent", item)) + getattr(item, "dur", 0))
            elif isinstance(item, Problem):
                self.lost += 1

    def wall(self, event: AnyEvent) -> int:
        """When it was, in nanoseconds since the epoch."""
        return self.header.mono_ns + event.t + self.step

    # -- what the events say -------------------------------------------------------------

    def born(self, event: AnyEvent, name: str, fd: int, proto: str) -> Life:
        """A socket has a descriptor from now on."""
        life = self.open[name] = Life(name, fd, proto, self.wall(event))
        self.lives.setdefault(fd, []).append(life)
        return life

    def say(self, event: AnyEvent, name: str, family: str, outcome: _Outcome, *, asks: bool = False) -> None:
        """A call was made on a socket."""
        life = self.open.get(name)
        if life is None:
            fd = getattr(event, "fd", None)
            if fd is None:
                self.apart += 1
                return
            life = self.born(event, name, fd, "")
        gone = isinstance(event, schema.Close) and event.reason == "exit"
        life.told.append(Told(event, family, outcome, asks, outcome in _PASSING or gone or asks))
        if family == "close":
            del self.open[name]

    def proto(self, name: str) -> str:
        """What an open socket is, such as tcp."""
        life = self.open.get(name)
        return life.proto if life else ""


def _listen(log: Log, event: schema.Listen) -> None:
    if event.sock not in log.open:
        log.born(event, event.sock, event.fd, event.proto)
    if log.is_loop:  # one event for all the calls that make a listener
        log.say(event, event.sock, "bind", event.errno or 0)
    log.say(event, event.sock, "listen", event.errno or 0)


def _bind(log: Log, event: schema.Bind) -> None:
    if event.sock not in log.open:
        log.born(event, event.sock, event.fd, event.proto)
    log.say(event, event.sock, "bind", event.errno or 0)


def _socket(log: Log, event: schema.Socket) -> None:
    if event.sock is None or event.fd is None:
        log.apart += 1  # it failed: there is no descriptor
        return
    log.born(event, event.sock, event.fd, event.proto)


def _inherit(log: Log, event: schema.Inherit) -> None:
    if event.seq < 0 and not log.last:  # its older files are gone: this was open when the oldest was begun
        log.since = log.wall(event)
    if event.name not in log.open:
        log.born(event, event.name, event.fd, event.proto)


def _accept(log: Log, event: schema.Accept) -> None:
    log.say(event, event.sock, "accept", event.errno or event.fd)
    if event.conn is not None and event.fd is not None:
        log.born(event, event.conn, event.fd, log.proto(event.sock))


def _connect(log: Log, event: schema.Connect) -> None:
    if event.call:  # getsockopt(SO_ERROR)
        log.apart += 1
        return
    log.say(event, event.conn or event.sock or "", "connect", event.errno or 0)


def _moved(log: Log, event: schema.Recv | schema.Send | schema.Recvfrom | schema.Sendto) -> None:
    name = event.conn if isinstance(event, schema.Recv | schema.Send) else event.sock
    family = str(type(event).__struct_config__.tag)
    log.say(event, name, family, event.n if event.n is not None else event.errno)


def _shutdown(log: Log, event: schema.Shutdown) -> None:
    log.say(event, event.conn, "shutdown", event.errno or 0)


def _setsockopt(log: Log, event: schema.Setsockopt) -> None:
    log.say(event, event.conn or event.sock or "", "setsockopt", event.errno or 0)


def _close(log: Log, event: schema.Close) -> None:
    # Of the loop's sockets `errno` says why they are closed, and close(2) itself is always over: its result
    # is not in the log.
    outcome = None if log.is_loop else event.errno or 0
    log.say(event, event.conn or event.sock or "", "close", outcome)


def _block(log: Log, event: schema.Block) -> None:
    name = event.conn or event.sock
    if name:  # a poll has none: it asks without a word
        log.say(event, name, event.awaits, "EAGAIN", asks=True)


def _poll(log: Log, event: schema.Poll) -> None:
    if event.errno is not None:  # what the system call gave, if there was one, it does not say
        log.apart += 1
        return
    if log.is_loop:
        family = log.header.selector
    else:
        family = next((word for word in ("epoll", "select.poll", "select.select") if word in event.why), "")
        family = family.removeprefix("select.")
    ready = len(event.ready)
    if family == "select":  # which counts a descriptor once for each of its sets
        ready = sum(bits.count("|") + 1 for _, bits in event.ready)
    if family in FAMILIES:  # kqueue is not
        log.polls.append(Told(event, family, ready))
    else:
        log.apart += 1


def _clock(log: Log, event: schema.Clock) -> None:
    log.step = event.wall_ns - event.mono_ns


def _gap(log: Log, event: schema.Gap) -> None:
    log.lost += event.lost


def _end(log: Log, event: schema.End) -> None:
    log.ended = True
    log.lost = max(log.lost, event.lost)


def _unseen(log: Log, event: schema.Unseen) -> None:
    log.unseen[event.what] = event.reason


_TAKE: dict[type, Callable[[Log, Any], None]] = {
    schema.Listen: _listen,
    schema.Bind: _bind,
    schema.Socket: _socket,
    schema.Inherit: _inherit,
    schema.Accept: _accept,
    schema.Connect: _connect,
    schema.Recv: _moved,
    schema.Send: _moved,
    schema.Recvfrom: _moved,
    schema.Sendto: _moved,
    schema.Shutdown: _shutdown,
    schema.Setsockopt: _setsockopt,
    schema.Close: _close,
    schema.Block: _block,
    schema.Poll: _poll,
    schema.Clock: _clock,
    schema.Gap: _gap,
    schema.End: _end,
    schema.Unseen: _unseen,
}
