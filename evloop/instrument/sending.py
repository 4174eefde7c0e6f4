"""send and its kin.

A blocking send(2) sleeps until the kernel has room for all. So the first try is
made with MSG_DONTWAIT: what fits is taken at once, as it would be anyway. Only
if something is left, a `block` event is written, and the rest is sent by a call
that sleeps.
"""

from __future__ import annotations

import _socket
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from evloop.address import format_sockaddr
from evloop.events.schema import Send, Sendto
from evloop.instrument.caller import frame_at, thread_name
from evloop.instrument.flags import DONTWAIT, flag_words
from evloop.instrument.interrupts import asleep
from evloop.instrument.outcome import WRONG, now, outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from evloop.instrument.instrument import Instrument
    from evloop.instrument.known import Known

    Arguments: TypeAlias = tuple[Any, ...]

__all__ = ["patch"]

_real = _socket.socket
_fileno, _gettimeout = _real.fileno, _real.gettimeout
_getframe = sys._getframe  # noqa: SLF001
_SLEPT = 1_000_000  # ns in a send, from which on one asks why


class _Said(NamedTuple):
    """What a call is to send."""

    data: Any  # a buffer
    flags: int
    peer: Any = None


class _Call(NamedTuple):
    """What is particular to one of the calls."""

    name: str
    real: Callable[..., Any]
    said: Callable[[Arguments], _Said]
    attempt: Callable[[Instrument, _Made, Any], int]
    """The real call, on a socket that may block: how many bytes were sent."""
    least: int = 1
    """Arguments that it must have."""


class _Made:
    """A call that was made; what becomes of it is filled in meanwhile."""

    __slots__ = ("args", "blocked", "call", "frame", "known", "t", "taken")

    def __init__(self, call: _Call, known: Known, t: int, args: Arguments, frame: FrameType) -> None:
        """`t` is when, in monotonic ns; `frame` is of who made it."""
        self.call, self.known, self.t, self.args, self.frame = call, known, t, args, frame
        self.taken = 0
        """Bytes that the kernel took before the call failed, if it did."""
        self.blocked = False
        """It had to wait."""

    @property
    def said(self) -> _Said:
        """What it is to send."""
        return self.call.said(self.args)


def patch(instrument: Instrument) -> None:
    """Replace the methods of `socket.socket` that send."""
    instrument.patch(socket.socket, "send", _send(instrument))
    for call in _CALLS:
        if hasattr(_real, call.name):
            instrument.patch(socket.socket, call.name, _sender(instrument, call))


def _send(instrument: Instrument) -> Callable[..., int]:
    """send(2) of bytes on a stream, nearly all that most programs call; what is rarer goes the long way."""
    sockets, recorder, where = instrument.sockets, instrument.recorder, instrument.where
    record, origin, limit = recorder.record, recorder.origin, instrument.payload_limit
    real = _real.send

    def send(self: Any, data: Any = None, flags: int = 0, /, *wrong: Any) -> int:
        known = sockets.get(_fileno(self))
        timeout = _gettimeout(self)
        if wrong:
            return real(self, data, flags, *wrong)
        if known is None or flags or timeout or type(data) is not bytes or not known.is_connection:
            args = () if data is None else (data, flags)
            return _send_it(instrument, _SEND, self, args, frame_at(1))  # type: ignore[no-any-return]
        size = len(data)
        t = now()
        try:
            n = 0
            try:
                n = real(self, data, DONTWAIT)
            except BlockingIOError:
                if timeout is not None:
                    raise
            if blocked := n < size and timeout is None:
                n = _send_rest(instrument, _Made(_SEND, known, t, (data,), frame_at(1)), self, n)
        except BaseException as error:
            made = _Made(_SEND, known, t, (data,), frame_at(1))
            _record(instrument, made, n or None, outcome(error))
            raise
        dur = now() - t
        try:
            frame = _getframe(1)
        except ValueError:  # see frame_at()
            frame = None
        start = known.sent
        known.sent = end = start + n
        record(
            Send(
                0, t - origin, recorder.tick, dur, known.name, known.fd, size, n, (start, end),
                data if n == size <= limit else data[: min(n, limit)],
                thread=thread_name(), where=where(frame),
            )
        )  # fmt: skip
        if n < size or (blocked and dur >= _SLEPT):
            instrument.tcp_info(known, "send")
        return n

    send.__name__ = send.__qualname__ = "send"
    send.__doc__ = real.__doc__
    return send


def _sender(instrument: Instrument, call: _Call) -> Callable[..., Any]:
    def send(self: Any, /, *args: Any) -> Any:
        return _send_it(instrument, call, self, args, frame_at(1))

    send.__name__ = send.__qualname__ = call.name
    return send


def _send_it(instrument: Instrument, call: _Call, sock: Any, args: Arguments, frame: FrameType) -> Any:
    known = instrument.sockets.get(_fileno(sock)) or instrument.sockets.adopt(sock)
    if known is None or len(args) < call.least:  # it is closed, or Python will say what is wrong: no call
        return call.real(sock, *args)
    if call.name == "sendmsg" and isinstance(args[0], Iterator):  # which can be asked only once
        args = [*args[0]], *args[1:]
    made = _Made(call, known, now(), args, frame)
    try:
        if _gettimeout(sock) == 0 and call is not _SENDALL:
            n = call.real(sock, *args)
        else:
            n = call.attempt(instrument, made, sock)
    except BaseException as error:
        if made.blocked or not isinstance(error, WRONG):  # of wrong arguments: no call was made
            _record(instrument, made, made.taken or None, outcome(error))
        raise
    _record(instrument, made, n, None)
    return None if call is _SENDALL else n


# -- sockets that block ------------------------------------------------------------------


def _attempt_send(instrument: Instrument, made: _Made, sock: Any) -> int:
    said, known = made.said, made.known
    timeout = _gettimeout(sock)
    n = 0
    if timeout is None or known.writable(0):
        try:
            n = _real.send(sock, said.data, said.flags | DONTWAIT)
        except BlockingIOError:
            pass
        else:
            # With a time-out the kernel's part is over, as it would be without us: send(2) takes what it can.
            if timeout is not None or not known.is_stream or n == memoryview(said.data).nbytes:
                return n
    return _send_rest(instrument, made, sock, n)


def _send_rest(instrument: Instrument, made: _Made, sock: Any, n: int) -> int:
    """Send what is left after `n` bytes, which the thread has to wait for; how many were sent in all."""
    said = made.said
    whole = memoryview(said.data).cast("B")
    _block(instrument, made, _gettimeout(sock), len(whole))
    made.taken = n
    try:
        return n + asleep(_real.send, sock, whole[n:], said.flags)
    except OSError:
        if n:  # send(2), too, tells then of the bytes that it took, and of the error the next time
            return n
        raise


def _attempt_sendall(instrument: Instrument, made: _Made, sock: Any) -> int:
    """As CPython does it: send(2) again and again, with one time-out for all of it."""
    said, known, timeout = made.said, made.known, _gettimeout(sock)
    whole = memoryview(said.data).cast("B")
    end = None if timeout is None else made.t + round(timeout * 1e9)
    n, blocked = 0, False
    while True:
        if timeout and not known.writable(0):
            if not blocked:
                _block(instrument, made, timeout, len(whole))
                blocked = True
            left = (end or 0) - now()
            if left <= 0 or not asleep(known.writable, left // 1_000_000 + 1):
                raise TimeoutError("timed out")
        try:
            n += _real.send(sock, whole[n:], said.flags | DONTWAIT)
        except BlockingIOError:
            if timeout is not None:
                raise
            if not blocked:
                _block(instrument, made, None, len(whole))
                blocked = True
            n += asleep(_real.send, sock, whole[n:], said.flags)
        if n == len(whole):
            return n
        made.taken = n


def _block(instrument: Instrument, made: _Made, timeout: float | None, size: int) -> None:
    awaits = "send" if made.known.is_stream else "sendto"
    made.blocked = True
    instrument.tcp_info(made.known, "send")  # before: of a send that never returns, `block` is the last word
    instrument.block(awaits, made.known, made.frame, timeout, size)


def _attempt_sendto(instrument: Instrument, made: _Made, sock: Any) -> int:
    data, flags, peer = made.said
    timeout = _gettimeout(sock)
    if timeout is None or made.known.writable(0):
        try:
            return _real.sendto(sock, data, flags | DONTWAIT, peer)
        except BlockingIOError:
            pass
    _block(instrument, made, timeout, memoryview(data).nbytes)
    return asleep(_real.sendto, sock, *made.args)


def _attempt_sendmsg(instrument: Instrument, made: _Made, sock: Any) -> int:
    data, flags, peer = made.said
    timeout = _gettimeout(sock)
    if timeout is None:
        beside = made.args[1] if len(made.args) > 1 else ()
        where = () if peer is None else (peer,)
        try:
            n = _real.sendmsg(sock, made.args[0], beside, flags | DONTWAIT, *where)
        except BlockingIOError:
            pass
        else:
            # What is sent beside the data has gone with the first of it.
            whole = n == len(data) or not made.known.is_stream
            return n if whole else _send_rest(instrument, made, sock, n)
    if timeout is None or not made.known.writable(0):
        _block(instrument, made, timeout, len(data))
    return asleep(_real.sendmsg, sock, *made.args)


# -- arguments, and the record -----------------------------------------------------------


def _said(args: Arguments) -> _Said:
    return _Said(args[0], args[1] if len(args) > 1 else 0)


def _said_to(args: Arguments) -> _Said:
    """(data, peer), or (data, flags, peer)."""
    return _Said(args[0], args[1] if len(args) > 2 else 0, args[-1])


def _said_in(args: Arguments) -> _Said:
    """Several buffers, beside which descriptors may be sent."""
    data = b"".join(memoryview(buffer).cast("B") for buffer in args[0])
    return _Said(data, args[2] if len(args) > 2 else 0, args[3] if len(args) > 3 else None)


_SEND = _Call("send", _real.send, _said, _attempt_send)
_SENDALL = _Call("sendall", _real.sendall, _said, _attempt_sendall)
_CALLS = (
    _SENDALL,
    _Call("sendto", _real.sendto, _said_to, _attempt_sendto, 2),
    _Call("sendmsg", _real.sendmsg, _said_in, _attempt_sendmsg),
)


def _record(instrument: Instrument, made: _Made, n: int | None, errno: str | None) -> None:
    recorder = instrument.recorder
    call, known, t, frame = made.call, made.known, made.t, made.frame
    dur = now() - t
    said = made.said
    data = memoryview(said.data).cast("B")
    kept = bytes(data[: min(n or 0, instrument.payload_limit)])
    start = known.sent
    known.sent += n or 0
    words, place = flag_words[said.flags], instrument.place(frame)
    if known.is_stream:
        known.is_connection = True
        off = None if n is None else (start, start + n)
        recorder.record(
            Send(
                0, t - recorder.origin, recorder.tick, dur, known.name, known.fd, len(data), n, off, kept,
                errno, words, call="" if call.name == "send" else call.name, **place,
            )
        )  # fmt: skip
        partial = n is not None and n < len(data)
        if partial or (made.blocked and dur >= _SLEPT) or errno in {"EAGAIN", "timeout"}:
            instrument.tcp_info(known, "send")
    else:
        peer = format_sockaddr(said.peer) if said.peer else known.peer
        recorder.record(
            Sendto(
                0, t - recorder.origin, recorder.tick, dur, known.name, known.fd, peer, n, kept, errno, words,
                call="" if call.name == "sendto" else call.name, **place,
            )
        )  # fmt: skip
