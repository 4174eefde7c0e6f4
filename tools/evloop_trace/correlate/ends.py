"""The two ends of a connection, the calls that cross it, and what is known of a call's other end."""

from __future__ import annotations

import msgspec

from evloop_trace.correlate.offsets import Stream

__all__ = ["End", "Joined", "Origin"]


class Origin(msgspec.Struct, gc=False):
    """A call that something came from: a send of some bytes, a connect, the end of a stream."""

    ev: str
    """send, sendto, connect, shutdown or close; block: of a send that has not returned yet."""
    log: str
    """The label of its log; empty if there is only one."""
    seq: int
    t: int
    """When it began."""
    start: int = 0
    end: int = 0
    """Of a send: its bytes, [start, end), of which the other end may have got a part."""


class Joined(msgspec.Struct, gc=False):
    """What the other log tells of a call that got something: an accept, a recv or a recvfrom."""

    due: int
    """When it returned."""
    missing: int
    """Bytes of which the other log does not tell; 1 also stands for the end of a stream, or a connect."""
    origins: list[Origin] = []
    """Where the rest came from, in the stream's order."""
    exact: bool = True
    """By addresses and offsets, rather than inferred from an order."""
    peeked: bool = False
    """It left the bytes where they were."""

    @property
    def way(self) -> int:
        """From the beginning of the first call to the return of this one, in nanoseconds.

        Less than 0 where the two logs' clocks do not agree.
        """
        return self.due - min(origin.t for origin in self.origins)

    def came(self, origin: Origin, size: int) -> None:
        """So many bytes of it are from `origin`."""
        if origin not in self.origins:
            self.origins.append(origin)
            self.origins.sort(key=_start)
        self.missing -= size


def _start(origin: Origin) -> int:
    return origin.start


class End:
    """One end of a connection: what its log tells, and the other end once that is known."""

    __slots__ = (
        "accepted", "blocked", "eof", "exact", "farewell", "finished", "greeted", "greeting", "held", "into",
        "log", "lone", "name", "other", "out", "parting", "place", "sent", "t",
    )  # fmt: skip

    def __init__(self, log: int, name: str, t: int, *, accepted: bool) -> None:
        self.log = log
        self.name = name  # labelled
        self.t = t  # when its connect began, or its accept returned
        self.accepted = accepted
        self.other: End | None = None
        self.exact = True
        self.lone = False  # there will be no other end
        self.out: Stream[Origin, Joined] = Stream()  # what it sends
        self.into: Stream[Origin, Joined] = Stream()  # what it receives: the other end's `out`
        self.sent = 0  # bytes so far; -1 is unknown
        self.blocked: Origin | None = None  # a send that sleeps
        self.held = 1  # processes that have it
        self.finished = False  # it sends no more
        self.eof = False  # it has read the end of the stream
        self.farewell: Origin | None = None  # its close
        self.parting: Origin | None = None  # the same, if the other end may still have to read of it
        self.greeting: Origin | None = None  # its connect
        self.greeted: Joined | None = None  # or its accept
        self.place = ("", "")  # its address, and its peer's

    def meet(self, other: End, *, exact: bool) -> None:
        """This end, which is new, and the other are one connection; or it is one with itself."""
        self.other, other.other = other, self
        self.exact = other.exact = exact
        for _, _, joined in other.into.came:
            joined.exact = exact
        # What the other has received, or sent, already waits in its streams.
        self.into = other.out
        if other is not self:
            self.out = other.into

    def forget(self) -> None:
        """There is no other end: nothing is missing, and nothing waits for it."""
        self.lone = True
        for _, _, joined in self.into.came:
            joined.missing = 0  # as far as the logs go
        if self.greeted is not None:
            self.greeted.missing = 0
        self.out, self.into = Stream(), Stream()
