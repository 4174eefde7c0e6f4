"""A log and what strace saw of its process: the same calls, once each, in order on each descriptor.

Two kinds of log are held differently. Our event loop logs each call as it makes it. The instrument asks
first whether a call would sleep (MSG_DONTWAIT, or a poll(2) that does not wait), and one event may stand for
several system calls: a `send` that had to wait was first taken in part.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from evloop_trace.audit.told import FAMILIES
from evloop_trace.audit.walk import Difference, Tally, Walk, word_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evloop_trace.audit.strace import SystemCall
    from evloop_trace.audit.told import Life, Log, Told

__all__ = ["Comparison", "compare"]

_COMPARED = frozenset(chain.from_iterable(FAMILIES.values()))
_POLLS = ("epoll", "poll", "select")
# On a socket that is no business of the log an address is only tried: socket, bind, close.
_SERVING = {"listen", "accept", "connect", "recv", "send", "recvfrom", "sendto"}
_INET = ("TCP", "UDP")
_SOCKETS = (*_INET, "UNIX", "socket", "NETLINK", "RAW", "PING", "PACKET", "SCTP", "MPTCP", "VSOCK")


class Comparison:
    """What was found for one log."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.differences: list[Difference] = []
        self.asked = 0
        """Calls that only asked whether one would sleep: the instrument's, and Python's own."""
        self.interrupted = 0
        """Calls that a signal interrupted, and Python made again."""
        self.gone = 0
        """Sockets that went with their process: the log has their close, and nobody called close(2)."""
        self.waits = 0
        """Calls of Python's that ended with their wait: a time-out, or a signal's handler that raised."""
        self.under_way = 0
        """Calls on sockets that never returned."""
        self.earlier = 0
        """Calls on sockets before a log began whose older files are gone."""
        self.later = 0
        """Calls on sockets after the last line of a log that has no end."""
        self.unseen = 0
        """Calls of which the log says itself that it cannot see them: OpenSSL's."""
        self.own: Counter[str] = Counter()
        """Calls on descriptors that are not in the log and need not be, by what these are."""


class _Seen:
    """One life of a descriptor, as strace saw it."""

    def __init__(self, at: int) -> None:
        self.began = at
        self.calls: list[SystemCall] = []


def compare(log: Log, calls: Sequence[SystemCall]) -> Comparison:
    """Hold a log against the calls of its own process, as `strace.Reader` has them."""
    found = Comparison()
    returned = list(_returned(log, calls, found))
    seen = _lives(returned)
    for fd in sorted(log.lives.keys() | seen.keys()):
        for life, its in _paired(log.lives.get(fd, []), seen.get(fd, [])):
            made = _of_interest(log, its)
            if life is not None:
                walk = Walk(life.name, life.fd, life.told, made, parts=not log.is_loop)
                if life.name in log.unseen:
                    found.unseen += walk.forget("not-in-log")
                found.tally.add(walk.tally)
                found.differences += walk.differences
                found.asked += walk.asked
                found.interrupted += walk.interrupted
                found.gone += walk.gone
                found.waits += walk.waits
            else:
                _not_in_log(log, fd, made, found)
    _hold_polls(log, returned, found)
    found.differences.sort(
        key=lambda it: log.wall(it.told.event) if it.told else it.seen.at if it.seen else 0
    )
    return found


def _returned(log: Log, calls: Sequence[SystemCall], found: Comparison) -> Iterator[SystemCall]:
    """The calls that can be held against events."""
    for call in calls:
        on_socket = call.what.startswith(_SOCKETS)
        if call.result is None and not call.interrupted:
            found.under_way += on_socket
        elif call.at < log.since:
            found.earlier += on_socket
        elif not log.ended and call.at > log.last:
            found.later += on_socket
        else:
            yield call


# -- descriptors -------------------------------------------------------------------------


def _lives(calls: Sequence[SystemCall]) -> dict[int, list[_Seen]]:
    """Descriptor → its lives as a socket.

    A close(2) frees the number as soon as it begins: in another thread the next accept(2) may return with
    it before the close has.
    """
    lives: dict[int, list[_Seen]] = {}
    alive: dict[int, _Seen] = {}

    def born(fd: int, at: int) -> _Seen:
        life = alive[fd] = _Seen(at)
        lives.setdefault(fd, []).append(life)
        return life

    for call in sorted(calls, key=lambda it: it.began if it.name == "close" else it.line):
        if call.fd is not None and call.what.startswith(_SOCKETS):
            life = alive.get(call.fd) or born(call.fd, call.at)
            life.calls.append(call)
            if call.name == "close":
                del alive[call.fd]
        if call.name in {"socket", "accept", "accept4"} and call.result is not None and call.result >= 0:
            born(call.result, call.at)
    return lives


def _paired(told: list[Life], seen: list[_Seen]) -> Iterator[tuple[Life | None, _Seen | None]]:
    """Lives of one number side by side: in order, and where one is missing those that began together."""
    i = j = 0
    while i < len(told) and j < len(seen):
        apart = abs(told[i].began - seen[j].began)
        extra = len(seen) - len(told) - (j - i)  # how many more strace has from here on
        if extra > 0 and abs(told[i].began - seen[j + 1].began) < apart:
            yield None, seen[j]
            j += 1
        elif extra < 0 and abs(told[i + 1].began - seen[j].began) < apart:
            yield told[i], None
            i += 1
        else:
            yield told[i], seen[j]
            i, j = i + 1, j + 1
    for life in told[i:]:
        yield life, None
    for its in seen[j:]:
        yield None, its


def _of_interest(log: Log, seen: _Seen | None) -> list[SystemCall]:
    """The calls of which a log tells."""
    calls = [it for it in seen.calls if it.name in _COMPARED] if seen else []
    return [it for it in calls if it.name != "setsockopt"] if log.is_loop else calls


def _not_in_log(log: Log, fd: int, calls: list[SystemCall], found: Comparison) -> None:
    """A socket that the log does not know: the loop's own, a library's, or a loss."""
    if not calls:
        return
    what = calls[0].what
    if log.is_loop and what.startswith(_INET) and {word_of(it) for it in calls} & _SERVING:
        for call in calls:
            found.tally.strace[word_of(call)] += 1
            found.differences.append(Difference("not-in-log", word_of(call), fd, "", None, call))
    else:
        found.own[what] += len(calls)


# -- polls -------------------------------------------------------------------------------


def _hold_polls(log: Log, calls: Sequence[SystemCall], found: Comparison) -> None:
    """The waits: how many were ready, each time."""
    for family in _POLLS:
        told = [it for it in log.polls if it.family == family]
        if told:
            waits = [it for it in calls if it.name in FAMILIES[family]]
            seen = [it for it in waits if not it.interrupted]
            found.interrupted += len(waits) - len(seen)
            if log.is_loop:
                walk = Walk("", None, told, seen)
                found.tally.add(walk.tally)
                found.differences += walk.differences
                continue
            if len({it.thread for it in seen}) > 1:
                # Threads that wait at one time: only how often each result came can be held against the log.
                key = {it.outcome: n for n, it in enumerate(told)}
                told = sorted(told, key=lambda it: key[it.outcome])
                seen = sorted(seen, key=lambda it: key.get(it.outcome, -1))
            _walk_polls(family, told, seen, found)


def _walk_polls(family: str, told: Sequence[Told], seen: Sequence[SystemCall], found: Comparison) -> None:
    """The instrument's, which asks first what is ready now, and of one socket without a word."""
    tally, at = found.tally, 0
    for it in told:
        tally.log[family] += 1
        here = at
        while here < len(seen) and seen[here].outcome != it.outcome and _only_asks(seen[here]):
            here += 1
        same = here < len(seen) and seen[here].outcome == it.outcome
        found.asked += here - at if same else 0
        at = here if same else at
        call = seen[at] if at < len(seen) else None
        tally.strace[family] += call is not None
        tally.same[family] += same
        at += call is not None
        if not same:
            kind = "result" if call else "not-in-strace"
            found.differences.append(Difference(kind, family, None, "", it, call))
    for call in seen[at:]:
        if _only_asks(call):
            found.asked += 1
        else:
            tally.strace[family] += 1
            found.differences.append(Difference("not-in-log", family, None, "", None, call))


def _only_asks(call: SystemCall) -> bool:
    """Whether it may be the instrument's question, or Python's own wait for one socket."""
    return call.result == 0 or call.name in FAMILIES["poll"]
