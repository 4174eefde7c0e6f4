"""What a server holds of its kernel, as a log has it: sockets, a selector, signals, what is looked at."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from evloop.events.schema import Accept, Close, Error, Poll, Queue, Signal, TcpInfo
from evloop.kernel import ERR, HUP, IN, OUT
from evloop.socket_state import TcpState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop.rerun.tape import Tape

__all__ = ["OWN", "RecordedPoller", "RecordedSignals", "RecordedSocket", "RecordedState"]

OWN = {"signals": -2, "watchers": -3, "control": -4, "capture": -5, "evloop": -6}
"""What a poll may report besides sockets, and the descriptors that stand for it: the log has no numbers of
them."""

_ERRNO = re.compile(r"\w+: \[Errno (\d{1,5})\]")


class RecordedSocket:
    """A socket as the log knows it."""

    def __init__(self, name: str, fd: int, address: str) -> None:
        self.name = name
        self.fd = fd
        self.address = address

    def fileno(self) -> int:
        """The number that the descriptor had."""
        return self.fd


class RecordedPoller:
    """A selector whose every wait is over at once, and reports what it did then."""

    def __init__(self, tape: Tape, fds: dict[str, int]) -> None:
        self._tape = tape
        self._fds = fds
        self._registered: set[int] = set()

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """What was ready; the clock is then where it was when the real one woke."""
        tape = self._tape
        event = tape.next
        if type(event) is not Poll:
            asked = "for as long as it takes" if timeout is None else f"for {timeout:g} s at most"
            tape.differs(f"the loop waits in poll(), {asked}")
        fds = self._fds
        try:
            ready = [(fds[name], _BITS[words]) for name, words in event.ready]
        except KeyError as error:
            what = error.args[0][:40]
            raise tape.broken(f"reports {what!r}, which is not open, or no event of a poll") from None
        tape.time += event.dur
        return ready

    # What is watched is compared as `interest` events; the poller minds that it is told the truth.

    def register(self, fd: int, mask: int) -> None:
        """As `Poller`."""
        del mask
        if fd in self._registered:
            raise KeyError(f"descriptor {fd!r} is registered already")
        self._fail_again()
        self._registered.add(fd)

    def modify(self, fd: int, mask: int) -> None:
        """As `Poller`."""
        del mask
        if fd not in self._registered:
            raise KeyError(f"descriptor {fd!r} is not registered")
        self._fail_again()

    def _fail_again(self) -> None:
        """A selector may be full (epoll_ctl(2), ENOSPC): then no interest follows, but the error of that."""
        event = self._tape.next
        if isinstance(event, Error) and (number := _ERRNO.match(event.message)):
            raise OSError(int(number[1]), os.strerror(int(number[1])))

    def unregister(self, fd: int) -> None:
        """As `Poller`."""
        self._registered.remove(fd)

    def close(self) -> None:
        """As `Poller`."""


class _Bits(dict[str, int]):
    """`IN|HUP` as poll(2) has it; each combination is taken apart once."""

    def __missing__(self, words: str) -> int:
        bits = 0
        for word in words.split("|"):
            if word not in _NAMED:
                raise KeyError(words)
            bits |= _NAMED[word]
        self[words] = bits
        return bits


_NAMED = {"": 0, "IN": IN, "OUT": OUT, "ERR": ERR, "HUP": HUP}
_BITS = _Bits()


class RecordedSignals:
    """The signal pipe: tells of a signal when the log does."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def fileno(self) -> int:
        """A number that no socket has."""
        return OWN["signals"]

    def drain(self) -> tuple[Iterator[str], bool]:
        """As `SignalPipe`. Each is asked for when what the one before led to is over, so it comes next."""
        return self._arrived(), True

    def _arrived(self) -> Iterator[str]:
        while isinstance(signal := self._tape.next, Signal):
            yield signal.signal
            if self._tape.next is signal:  # nobody has recorded it
                return

    def close(self) -> None:
        """As `SignalPipe`."""


class RecordedState:
    """What was looked at, for the log: it is in the event that comes next, or nobody was told."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def accept_queue(self, sock: RecordedSocket) -> tuple[int, int] | None:
        """Of a listener: asked behind each accept, and now and then; None also if it was as before."""
        event = self._tape.next
        if isinstance(event, Accept) and event.queued is not None:
            return event.queued, 0
        return (event.queued, event.backlog) if isinstance(event, Queue) and event.sock == sock.name else None

    def queue_wait(self, sock: RecordedSocket) -> int | None:  # noqa: ARG002
        """Of a connection that is being accepted."""
        event = self._tape.next
        return event.waited if isinstance(event, Accept) else None

    def peer_process(self, sock: RecordedSocket) -> int | None:  # noqa: ARG002
        """Of a connection that is being accepted."""
        event = self._tape.next
        return event.pid if isinstance(event, Accept) else None

    def tcp_info(self, sock: RecordedSocket) -> TcpState | None:
        """Of a connection."""
        event = self._tape.next
        if not isinstance(event, TcpInfo) or event.conn != sock.name:
            return None
        return TcpState(*(getattr(event, field) for field in TcpState._fields))

    def unread_bytes(self, fd: int) -> int | None:  # noqa: ARG002
        """Of a connection that is being closed."""
        event = self._tape.next
        return event.unread if isinstance(event, Close) else None

    def unsent_bytes(self, fd: int) -> int | None:  # noqa: ARG002
        """Of a connection that is being closed."""
        event = self._tape.next
        return event.unsent if isinstance(event, Close) else None
