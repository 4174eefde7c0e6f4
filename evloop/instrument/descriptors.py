"""os.read, os.write, os.sendfile and os.close: the same system calls, of programs that hold only the number.

Of other descriptors than sockets they are passed on at once.
"""

from __future__ import annotations

import _socket
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.events.schema import Recv, Recvfrom, Send, Sendto
from evloop.instrument.caller import frame_at
from evloop.instrument.interrupts import asleep
from evloop.instrument.lifecycle import record_close
from evloop.instrument.outcome import now, outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from evloop.instrument.instrument import Instrument
    from evloop.instrument.known import Known

__all__ = ["patch"]

_is_blocking = os.get_blocking


def patch(instrument: Instrument) -> None:
    """Replace the functions of `os`."""
    for name, make in (("read", _read), ("write", _write), ("sendfile", _sendfile), ("close", _close)):
        if hasattr(os, name):
            instrument.patch(os, name, _named(make(instrument, getattr(os, name)), getattr(os, name)))
    instrument.patch(socket, "close", _named(_close(instrument, _socket.close), _socket.close))


def _named(replacement: Any, real: Any) -> Any:
    replacement.__name__ = replacement.__qualname__ = real.__name__
    replacement.__doc__ = real.__doc__
    return replacement


class _Made(NamedTuple):
    """A call that was made on a socket."""

    name: str
    known: Known
    size: int
    """Bytes offered or asked for."""
    frame: FrameType
    """Of who made it."""
    t: int
    """When, in monotonic ns."""

    @property
    def awaits(self) -> str:
        """The `ev` of its event."""
        stream, datagram = ("recv", "recvfrom") if self.name == "os.read" else ("send", "sendto")
        return stream if self.known.is_stream else datagram


def _read(instrument: Instrument, real: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    sockets = instrument.sockets

    def read(fd: int, length: int, /) -> bytes:
        known = sockets.get(fd)
        if known is None:
            return real(fd, length)
        made = _Made("os.read", known, length, frame_at(1), now())
        try:
            if not known.readable(0) and _is_blocking(fd):
                instrument.block(made.awaits, known, made.frame, None, length)
            data = asleep(real, fd, length)
        except BaseException as error:
            _record_read(instrument, made, None, outcome(error))
            raise
        _record_read(instrument, made, data, None)
        return data

    return read


def _record_read(instrument: Instrument, made: _Made, data: bytes | None, errno: str | None) -> None:
    recorder, known, place = instrument.recorder, made.known, instrument.place(made.frame)
    begin = 0, made.t - recorder.origin, recorder.tick, now() - made.t, known.name, known.fd
    n = None if data is None else len(data)
    kept = (data or b"")[: instrument.payload_limit]
    event: Recv | Recvfrom
    if known.is_stream:
        known.is_connection = True
        off = None if n is None else (known.received, known.received + n)
        event = Recv(*begin, made.size, n, off, kept, errno, call=made.name, **place)
    else:
        event = Recvfrom(*begin, n, known.peer, data=kept, errno=errno, call=made.name, **place)
    known.received += n or 0
    recorder.record(event)


def _write(instrument: Instrument, real: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    sockets, limit = instrument.sockets, instrument.payload_limit

    def write(fd: int, data: Any, /) -> int:
        known = sockets.get(fd)
        if known is None:
            return real(fd, data)
        view = memoryview(data).cast("B")
        made = _Made("os.write", known, len(view), frame_at(1), now())
        return _send(instrument, made, partial(real, fd, data), lambda n: bytes(view[: min(n, limit)]))

    return write


def _sendfile(instrument: Instrument, real: Callable[..., int]) -> Callable[..., int]:
    sockets = instrument.sockets

    def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int, *rest: Any, **named: Any) -> int:
        known = sockets.get(out_fd)
        if known is None:
            return real(out_fd, in_fd, offset, count, *rest, **named)
        made = _Made("os.sendfile", known, count, frame_at(1), now())
        # The bytes go from one file to the other inside the kernel: nobody here sees them.
        return _send(
            instrument, made, partial(real, out_fd, in_fd, offset, count, *rest, **named), lambda _: b""
        )

    return sendfile


def _send(instrument: Instrument, made: _Made, real: Callable[[], int], kept: Callable[[int], bytes]) -> int:
    recorder, known = instrument.recorder, made.known
    n = errno = None
    try:
        if not known.writable(0) and _is_blocking(known.fd):
            instrument.block(made.awaits, known, made.frame, None, made.size)
        n = asleep(real)
    except BaseException as error:
        errno = outcome(error)
        raise
    finally:
        begin = 0, made.t - recorder.origin, recorder.tick, now() - made.t, known.name, known.fd
        data, place = kept(n or 0), instrument.place(made.frame)
        event: Send | Sendto
        if known.is_stream:
            known.is_connection = True
            off = None if n is None else (known.sent, known.sent + n)
            event = Send(*begin, made.size, n, off, data, errno, call=made.name, **place)
        else:
            event = Sendto(*begin, known.peer, n, data, errno, call=made.name, **place)
        known.sent += n or 0
        recorder.record(event)
    return n


def _close(instrument: Instrument, real: Callable[[int], None]) -> Callable[[int], None]:
    sockets = instrument.sockets

    def close(fd: int) -> None:
        known = sockets.pop(fd, None)
        if known is None:
            real(fd)
        else:
            record_close(instrument, known, "close", lambda: real(fd), frame_at(1))

    return close
