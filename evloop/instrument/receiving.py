"""recv and its kin.

Each makes the real call once, if it can be answered at once. On a socket that
blocks, the question whether it can is asked with MSG_DONTWAIT where the call
has flags to say so, else with a poll(2) that does not wait; then a `block` event
is written before the thread goes to sleep in the real call.
"""

from __future__ import annotations

import _socket
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from evloop.address import format_sockaddr
from evloop.events.schema import Recv, Recvfrom
from evloop.instrument.caller import frame_at, thread_name
from evloop.instrument.flags import APART, DONTWAIT, flag_words
from evloop.instrument.interrupts import asleep
from evloop.instrument.outcome import WRONG, now, outcome
from evloop.socket_state import unread_bytes

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


class _Got(NamedTuple):
    """What a call gave."""

    data: bytes | memoryview
    peer: Any = None
    flags: int = 0  # msg_flags


class _Call(NamedTuple):
    """What is particular to one of the calls."""

    name: str
    real: Callable[..., Any]
    flags_at: int
    """Which argument the flags are."""
    size: Callable[[Arguments], int]
    """The bytes asked for."""
    take: Callable[[Arguments, Any], _Got]
    """What it gave, of its arguments and its result."""


class _Made:
    """A call that was made."""

    __slots__ = ("args", "call", "frame", "known", "t", "waits")

    def __init__(self, call: _Call, known: Known, t: int, args: Arguments, frame: FrameType) -> None:
        """`t` is when, in monotonic ns; `frame` is of who made it."""
        self.call, self.known, self.t, self.args, self.frame = call, known, t, args, frame
        self.waits = False
        """Its `block` event has been written."""

    @property
    def flags(self) -> int:
        """The call's flags."""
        return self.args[self.call.flags_at] if len(self.args) > self.call.flags_at else 0


def _first(args: Arguments) -> int:
    return int(args[0])


def _room(args: Arguments) -> int:
    return (len(args) > 1 and args[1]) or memoryview(args[0]).nbytes


def _filled(buffer: Any, n: int) -> memoryview:
    return memoryview(buffer).cast("B")[:n]


def _bytes_of(buffers: Any) -> bytes:
    return b"".join(memoryview(buffer).cast("B") for buffer in buffers)


_RECV = _Call("recv", _real.recv, 1, _first, lambda _, data: _Got(data))
_CALLS = (
    _Call("recvfrom", _real.recvfrom, 1, _first, lambda _, got: _Got(got[0], got[1])),
    _Call("recvmsg", _real.recvmsg, 2, _first, lambda _, got: _Got(got[0], got[3], got[2])),
    _Call("recv_into", _real.recv_into, 2, _room, lambda args, n: _Got(_filled(args[0], n))),
    _Call(
        "recvfrom_into",
        _real.recvfrom_into,
        2,
        _room,
        lambda args, got: _Got(_filled(args[0], got[0]), got[1]),
    ),
    _Call(
        "recvmsg_into",
        _real.recvmsg_into,
        2,
        lambda args: len(_bytes_of(args[0])),
        lambda args, got: _Got(_bytes_of(args[0])[: got[0]], got[3], got[2]),
    ),
)


def patch(instrument: Instrument) -> None:
    """Replace the methods of `socket.socket` that receive."""
    instrument.patch(socket.socket, "recv", _recv(instrument))
    for call in _CALLS:
        instrument.patch(socket.socket, call.name, _receiver(instrument, call))


def _recv(instrument: Instrument) -> Callable[..., bytes]:
    """recv(2) of a stream, nearly all that most programs call; what is rarer goes the long way."""
    sockets, recorder, where = instrument.sockets, instrument.recorder, instrument.where
    record, origin, limit = recorder.record, recorder.origin, instrument.payload_limit
    real = _real.recv

    def recv(self: Any, size: Any = None, flags: int = 0, /, *wrong: Any) -> bytes:
        known = sockets.get(_fileno(self))
        timeout = _gettimeout(self)
        if wrong:
            return real(self, size, flags, *wrong)
        if known is None or flags or timeout or size is None or known.low_water or not known.is_connection:
            args = () if size is None else (size, flags)
            return _receive(instrument, _RECV, self, args, frame_at(1))  # type: ignore[no-any-return]
        t = now()
        waits = False
        try:
            try:
                data = real(self, size, DONTWAIT)
            except BlockingIOError:
                if timeout is not None:
                    raise
                waits = True
            if waits:
                instrument.block("recv", known, frame_at(1), None, size)
                data = asleep(real, self, size)
        except BaseException as error:
            if waits or not isinstance(error, WRONG):  # of wrong arguments: no call was made
                _record_failure(instrument, _Made(_RECV, known, t, (size,), frame_at(1)), outcome(error))
            raise
        dur = now() - t
        try:
            frame = _getframe(1)
        except ValueError:  # see frame_at()
            frame = None
        n = len(data)
        start = known.received
        known.received = end = start + n
        record(
            Recv(
                0, t - origin, recorder.tick, dur, known.name, known.fd, size, n, (start, end),
                data if n <= limit else data[:limit], thread=thread_name(), where=where(frame),
            )
        )  # fmt: skip
        return data

    recv.__name__ = recv.__qualname__ = "recv"
    recv.__doc__ = real.__doc__
    return recv


def _receiver(instrument: Instrument, call: _Call) -> Callable[..., Any]:
    def receive(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if kwargs:  # of recv_into and recvfrom_into, the only ones that take keywords
            named = dict(zip(("buffer", "nbytes", "flags"), args, strict=False)) | kwargs
            args = named["buffer"], named.get("nbytes", 0), named.get("flags", 0)
        return _receive(instrument, call, self, args, frame_at(1))

    receive.__name__ = receive.__qualname__ = call.name
    return receive


def _receive(instrument: Instrument, call: _Call, sock: Any, args: Arguments, frame: FrameType) -> Any:
    known = instrument.sockets.get(_fileno(sock)) or instrument.sockets.adopt(sock)
    if known is None or not args:  # it is closed, or Python will say what is wrong: no call will be made
        return call.real(sock, *args)
    if call.name == "recvmsg_into" and isinstance(args[0], Iterator):  # which can be asked only once
        args = [*args[0]], *args[1:]
    made = _Made(call, known, now(), args, frame)
    try:
        result = _try(instrument, made, sock)
    except BaseException as error:
        if made.waits or not isinstance(error, WRONG):  # of wrong arguments: no call was made
            _record_failure(instrument, made, outcome(error))
        raise
    _record(instrument, made, call.take(args, result))
    return result


def _try(instrument: Instrument, made: _Made, sock: Any) -> Any:
    """The real call, and before it a `block` event if it has to wait."""
    call, known, args = made.call, made.known, made.args
    timeout = _gettimeout(sock)
    if timeout == 0:
        return call.real(sock, *args)
    if timeout is None and call.flags_at == 1 and not made.flags and not known.low_water:
        try:
            return call.real(sock, args[0], DONTWAIT)
        except BlockingIOError:
            waits = True
    else:
        waits = not known.readable(0) or (
            # For what has not come yet it waits although something has.
            bool(made.flags & _socket.MSG_WAITALL) and (unread_bytes(known.fd) or 0) < call.size(args)
        )
    if waits and call.size(args) >= 0:  # of a negative one Python says what is wrong
        awaits = "recv" if known.is_stream else "recvfrom"
        made.waits = True
        instrument.block(awaits, known, made.frame, timeout, call.size(args))
    return asleep(call.real, sock, *args)


def _record(instrument: Instrument, made: _Made, got: _Got) -> None:
    recorder, limit = instrument.recorder, instrument.payload_limit
    call, known, t, args, frame = made.call, made.known, made.t, made.args, made.frame
    dur = now() - t
    n = len(got.data)
    # A copy: the buffer is the program's.
    kept = bytes(got.data if n <= limit else got.data[:limit])
    start = known.received
    if not made.flags & APART:
        known.received += n
    words, place = flag_words[made.flags], instrument.place(frame)
    if known.is_stream:
        known.is_connection = True
        recorder.record(
            Recv(
                0, t - recorder.origin, recorder.tick, dur, known.name, known.fd, call.size(args), n,
                (start, start + n), kept, None, words, call="" if call.name == "recv" else call.name, **place,
            )
        )  # fmt: skip
    else:
        peer = format_sockaddr(got.peer) if got.peer else known.peer
        recorder.record(
            Recvfrom(
                0, t - recorder.origin, recorder.tick, dur, known.name, known.fd, n, peer,
                bool(got.flags & _socket.MSG_TRUNC), kept, None, words,
                call="" if call.name == "recvfrom" else call.name, **place,
            )
        )  # fmt: skip


def _record_failure(instrument: Instrument, made: _Made, errno: str) -> None:
    recorder = instrument.recorder
    call, known, t, args, frame = made.call, made.known, made.t, made.args, made.frame
    dur = now() - t
    words, place = flag_words[made.flags], instrument.place(frame)
    if known.is_stream:
        recorder.record(
            Recv(
                0, t - recorder.origin, recorder.tick, dur, known.name, known.fd, call.size(args),
                errno=errno, flags=words, call="" if call.name == "recv" else call.name, **place,
            )
        )  # fmt: skip
    else:
        recorder.record(
            Recvfrom(
                0, t - recorder.origin, recorder.tick, dur, known.name, known.fd, errno=errno, flags=words,
                call="" if call.name == "recvfrom" else call.name, **place,
            )
        )  # fmt: skip
