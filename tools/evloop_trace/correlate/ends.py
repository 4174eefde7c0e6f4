"""The two ends of a connection, the calls that cross it, and what is known of a call's other end."""

from __future__ import annotations

import msgspec

from evloop_trace.correlate.offsets import Stream

__all__ = ["End", "Joined", "Origin", "Pipe"]

_ENDINGS = 8  # calls that may have ended a stream


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
    data: bytes = b""
    """The first of them, as far as its log has them."""

    def bytes_from(self, at: int) -> bytes:
        """What is known of its bytes from this offset on."""
        return self.data[at - self.start :]

    def move(self, at: int, by: int) -> None:
        """Its bytes from `at` on are `by` later in the stream: before them some are missing."""
        self.end += by
        if self.start >= at:
            self.start += by
        else:
            self.data = b""  # of which of them it was is not known any more


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
    start: int = 0
    """Of a recv: the offset of its first byte."""
    data: bytes = b""
    """And its first bytes, as far as its log has them."""

    def bytes_from(self, at: int) -> bytes:
        """What is known of its bytes from this offset on."""
        return self.data[at - self.start :]

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


class Pipe(Stream[Origin, Joined]):
    """One direction of a connection: its bytes, and its end, which is no byte but a place behind the last."""

    __slots__ = ("_told", "endings")

    def __init__(self) -> None:
        super().__init__()
        self.endings: list[Origin] = []
        """Calls of its sender that said that nothing follows."""
        self._told: tuple[int, Joined] | None = (
            None  # a recv that found the end, of which nobody has told yet
        )

    @property
    def waiting(self) -> list[Joined]:
        """What has received of it, or its end, more than its sender has told of."""
        return [*(joined for _, _, joined in self.came), *([self._told[1]] if self._told else ())]

    def finish(self, origin: Origin) -> Joined | None:
        """Nothing follows behind `origin.start`: the recv that has found that out already."""
        if self._told is None or self._told[0] != origin.start:
            self.endings = [*self.endings[: _ENDINGS - 1], origin]
            return None
        (_, joined), self._told = self._told, None
        return joined

    def over(self, at: int, joined: Joined, *, shared: bool) -> Origin | None:
        """Its receiver has found the end there: the call that it was from.

        Of several it is the first; of several processes', which all have to close it, the last.
        """
        fits = [it for it in self.endings if it.start == at]
        if fits:
            return fits[-1 if shared else 0]
        if not joined.peeked:
            self._told = at, joined
        return None


class End:
    """One end of a connection: what its log tells, and the other end once that is known."""

    __slots__ = (
        "accepted", "blocked", "deaf", "eof", "exact", "farewell", "greeted", "greeting", "held", "into",
        "log", "lone", "name", "other", "out", "place", "sent", "shared", "sleeper", "t", "taken",
        "unseen_got", "unseen_sent",
    )  # fmt: skip

    def __init__(self, log: int, name: str, t: int, *, accepted: bool) -> None:
        self.log = log
        self.name = name  # labelled
        self.t = t  # when its connect began, or its accept returned
        self.accepted = accepted
        self.other: End | None = None
        self.exact = True
        self.lone = False  # there will be no other end
        self.out = Pipe()  # what it sends
        self.into = Pipe()  # what it receives: the other end's `out`
        self.sent = self.taken = 0  # bytes so far; -1 is unknown
        self.unseen_sent = self.unseen_got = 0  # bytes of calls that its log does not tell of
        self.blocked: Origin | None = None  # a send that sleeps
        self.sleeper = (0, "")  # the log and the thread in which it does
        self.held = 1  # processes that have it
        self.shared = (
            False  # several have or had it: each counts only its own bytes, and those before it began
        )
        self.deaf = False  # it said that it reads no more: recv() = 0 is no news of the other end
        self.eof = False  # it has read the end of the stream
        self.farewell: Origin | None = None  # its close
        self.greeting: Origin | None = None  # its connect
        self.greeted: Joined | None = None  # or its accept
        self.place = ("", "")  # its address, and its peer's

    def meet(self, other: End, *, exact: bool) -> None:
        """This end, which is new, and the other are one connection; or it is one with itself."""
        self.other, other.other = other, self
        self.exact = other.exact = exact
        for joined in other.into.waiting:
            joined.exact = exact
        # What the other has received, or sent, already waits in its streams.
        self.into = other.out
        if other is not self:
            self.out = other.into

    def forget(self) -> None:
        """There is no other end: nothing is missing, and nothing waits for it."""
        self.lone = True
        for joined in self.into.waiting:
            joined.missing = 0  # as far as the logs go
        if self.greeted is not None:
            self.greeted.missing = 0
        self.out, self.into = Pipe(), Pipe()
