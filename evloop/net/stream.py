"""One connection: reads, answers, and keeps what the kernel will not take yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evloop.kernel import IN, OUT, READ, WRITE
from evloop.net.buffers import SendBuffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.schema import CloseReason
    from evloop.kernel import Socket
    from evloop.loop.loop import Loop
    from evloop.loop.timers import Timer
    from evloop.protocols import Respond

__all__ = ["Stream", "StreamLimits"]

# A read allocates its whole size first, and gives back what was not filled. 64 KiB costs
# little; a connection that fills it gets more from then on, which saves system calls. Not
# more than 120 KiB: from 128 KiB on malloc(3) maps pages for every read, and unmaps them.
SMALL_READ = 64 * 1024
LARGE_READ = 120 * 1024
LAST_READS = 16  # of each connection, when the server stops


class StreamLimits(NamedTuple):
    """What every connection of a server has in common."""

    respond: Respond
    high_water: int  # bytes waiting to be sent above which we stop reading
    recv_size: int | None  # bytes a read asks for; None adapts
    on_close: Callable[[Stream], None]

    @property
    def low_water(self) -> int:
        """Bytes waiting to be sent at which we read again; well below the mark, so as not to flutter."""
        return self.high_water // 4


class Stream:
    """A TCP or Unix stream connection, level-triggered.

    One read a readiness: whoever sends without pause gets no more of a tick than
    the others, and the selector reports again what is left. What the answer is
    goes out at once; only if the kernel's buffer is full do we wait for WRITE.
    """

    __slots__ = (
        "_limits", "_loop", "_paused", "_recv", "_respond", "_send", "_size", "_unsent",
        "active", "closed", "ending", "eof", "fd", "reads", "regular", "sock", "timers", "watching",
    )  # fmt: skip

    def __init__(self, loop: Loop, sock: Socket, limits: StreamLimits) -> None:
        self._loop = loop
        self._limits = limits
        self._respond = limits.respond
        self._recv, self._send = loop.kernel.stream_calls(sock)
        self._size = limits.recv_size or SMALL_READ
        self._unsent: SendBuffer | None = None  # made when first needed: most never do
        self._paused = False
        self.sock = sock
        self.fd = sock.fileno()
        self.watching = 0
        self.eof = False  # the peer has sent its last byte
        self.ending = False  # we answer no more, and close when all is sent
        self.closed = False
        self.reads = 0  # that gave something, until it is a regular
        self.regular = False
        self.active = loop.time
        self.timers: tuple[Timer, ...] = ()
        loop.interests.update(self)

    # -- interest ----------------------------------------------------------------------

    def wants(self) -> tuple[int, str]:
        """READ unless the peer has ended or is too far ahead of what it reads; WRITE if bytes wait."""
        if not self._unsent:
            return (0, "nothing more comes or goes") if self.eof else (READ, "nothing waits to be sent")
        if self.eof:
            return WRITE, f"{self._unsent.size} bytes wait to be sent; the peer has ended"
        if self._paused:
            return (
                WRITE,
                f"{self._unsent.size} bytes wait to be sent: above the high-water mark, reading stops",
            )
        return READ | WRITE, f"{self._unsent.size} bytes wait to be sent"

    @property
    def buffered(self) -> int:
        """Bytes that wait here for the kernel to take them."""
        return self._unsent.size if self._unsent else 0

    # -- readiness ---------------------------------------------------------------------

    def on_ready(self, bits: int) -> bool:  # noqa: C901, PLR0911, PLR0912 - in one piece, and why
        """Send what waits; then read once and answer at once. Whether there was something to read.

        This runs for every message, and a call costs what a tenth of it does: so the
        common case stands here in one piece, and what is rare is called.
        """
        if bits != IN:
            if self._unsent is not None:
                # OUT; or ERR and HUP, which a Unix socket reports for ever: a send tells why.
                self._flush()
            if bits == OUT:
                return False
        if self.eof:
            return False
        size = self._size
        try:
            data = self._recv(size)  # after ERR and HUP too: it tells their cause
        except BlockingIOError:
            return False
        except OSError as error:
            self._lost(error)
            return False
        if not data:
            self._end_of_stream()
            return False
        self.active = self._loop.time
        if not self.regular:
            self._count_read()
        if len(data) == size:
            self._read_more()
        if self.ending:
            return True

        answer: bytes | memoryview = self._respond(data)
        if self._unsent is None:
            try:
                sent = self._send(answer)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._lost(error)
                return True
            if sent == len(answer):
                return True
            answer = memoryview(answer)[sent:]
        self._keep(answer)
        return True

    def _count_read(self) -> None:
        """Who asks once and leaves waits, in a crowd, for who has come back."""
        self.reads += 1
        if self.reads > 1:
            self._loop.interests.promote(self)

    def _read_more(self) -> None:
        """This read was filled: more lies there, and the next may take it in fewer calls."""
        if self._limits.recv_size is None:
            self._size = LARGE_READ

    def _keep(self, rest: bytes | memoryview) -> None:
        """The kernel's buffer is full: keep the rest, and watch for room."""
        if self._unsent is None:
            self._unsent = SendBuffer()
        self._unsent.append(rest)
        self._paused = self._unsent.size > self._limits.high_water
        self._loop.interests.update(self)

    def _flush(self) -> None:
        """The kernel has room again: hand over what waits, until it is full or nothing is left."""
        unsent = self._unsent
        while unsent:
            first = unsent.first()
            try:
                sent = self._send(first)
            except BlockingIOError:
                break
            except OSError as error:
                self._lost(error)
                return
            unsent.consume(sent)
            if sent < len(first):
                break
        self.active = self._loop.time
        if not unsent:
            self._unsent = None
            self._all_sent()
        if self._paused and self.buffered <= self._limits.low_water:
            self._paused = False
        if not self.closed:
            self._loop.interests.update(self)

    # -- ending ------------------------------------------------------------------------

    def _end_of_stream(self) -> None:
        """recv gave b"": the peer's FIN. What waits for it is still sent, for it may read on (half-close)."""
        self.eof = True
        if self._unsent:
            self._loop.interests.update(self)
        else:
            self.close("drained" if self.ending else "eof")

    def _all_sent(self) -> None:
        if self.eof:
            self.close("drained" if self.ending else "eof")
        elif self.ending:
            self._half_close()

    def _half_close(self) -> None:
        try:
            self._loop.kernel.shutdown(self.sock)
        except OSError as error:  # ENOTCONN: the peer was faster
            self._lost(error)

    def drain(self) -> None:
        """End well: answer what has already arrived, send all, say FIN, and wait for the peer's.

        To close at once would throw away requests that the peer believes received, and
        answer bytes that come later with a reset. A peer that is too far ahead of what
        it reads, as always, is not read.
        """
        try:
            for _ in range(LAST_READS):
                if self._paused or not self.on_ready(IN):
                    break
        except Exception as error:  # noqa: BLE001 - as in the loop, which did not call this one
            self.fail(error)
        if self.closed:
            return
        self.ending = True
        if not self._unsent:
            self._half_close()

    def _lost(self, error: OSError) -> None:
        """The connection broke: ECONNRESET, EPIPE, ETIMEDOUT… An ending like another, with its reason."""
        self.close("error", error.errno)

    def fail(self, error: Exception) -> None:
        """A handler raised: this connection ends, and nobody else's."""
        self._loop.failed("connection", error, self.sock)
        self.close("handler-error")

    def close(self, reason: CloseReason, error: int | None = None) -> None:
        """Say no more, hear no more. What the kernel has taken, it still sends."""
        if self.closed:
            return
        self.closed = True
        self.eof = True  # what is left of this `on_ready`, after `_flush`, or of `drain` reads no more
        buffered, self._unsent = self.buffered, None
        self._loop.let_go(self, reason, buffered=buffered, error=error)
        for timer in self.timers:
            self._loop.timers.cancel(timer)
        self._limits.on_close(self)
