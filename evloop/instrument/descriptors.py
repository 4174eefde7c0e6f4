"""os.read, os.write, os.sendfile, os.close and their kin: the same system calls, by the descriptor's number.

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
    for name, make in _MAKERS.items():
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
        stream, datagram = ("recv", "recvfrom") if "read" in self.name else ("send", "sendto")
        return stream if self.known.is_stream else datagram


def _read(instrument: Instrument, real: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    sockets = instrument.sockets

    def read(fd: int, length: int, /) -> bytes:
        known = sockets.get(fd)
        if known is None:
            return real(fd, length)
        made = _Made("os.read", known, length, frame_at(1), now())
        try:
            _may_sleep(instrument, made, known.readable)
            data = asleep(real, fd, length)
        except BaseException as error:
            _record_read(instrument, made, None, errno=outcome(error))
            raise
        _record_read(instrument, made, len(data), data[: instrument.payload_limit])
        return data

    return read


def _readv(instrument: Instrument, real: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    sockets = instrument.sockets

    def readv(fd: int, buffers: Any, /) -> int:
        known = sockets.get(fd)
        views = _views(buffers) if known is not None else None
        if known is None or views is None:
            return real(fd, buffers)
        made = _Made("os.readv", known, sum(map(len, views)), frame_at(1), now())
        try:
            _may_sleep(instrument, made, known.readable)
            n = asleep(real, fd, buffers)
        except BaseException as error:
            _record_read(instrument, made, None, errno=outcome(error))
            raise
        _record_read(instrument, made, n, _first(views, min(n, instrument.payload_limit)))
        return n

    return readv


def _may_sleep(instrument: Instrument, made: _Made, ready: Callable[[int], list[tuple[int, int]]]) -> None:
    if not ready(0) and _is_blocking(made.known.fd):
        instrument.block(made.awaits, made.known, made.frame, None, made.size)


def _record_read(
    instrument: Instrument, made: _Made, n: int | None, kept: bytes = b"", errno: str | None = None
) -> None:
    recorder, known, place = instrument.recorder, made.known, instrument.place(made.frame)
    begin = 0, made.t - recorder.origin, recorder.tick, now() - made.t, known.name, known.fd
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


def _writev(instrument: Instrument, real: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    sockets, limit = instrument.sockets, instrument.payload_limit

    def writev(fd: int, buffers: Any, /) -> int:
        known = sockets.get(fd)
        views = _views(buffers) if known is not None else None
        if known is None or views is None:
            return real(fd, buffers)
        made = _Made("os.writev", known, sum(map(len, views)), frame_at(1), now())
        return _send(instrument, made, partial(real, fd, buffers), lambda n: _first(views, min(n, limit)))

    return writev


def _views(buffers: Any) -> list[memoryview] | None:
    """What lies in several buffers; None if they are such as `os` refuses."""
    if not hasattr(type(buffers), "__getitem__") or isinstance(buffers, dict):
        return None
    try:
        return [memoryview(it).cast("B") for it in buffers]
    except TypeError:
        return None


def _first(views: list[memoryview], n: int) -> bytes:
    """The first `n` bytes that lie in them, one behind the other."""
    kept = b""
    for view in views:
        kept += view[: n - len(kept)]
    return kept


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
        _may_sleep(instrument, made, known.writable)
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


_MAKERS: dict[str, Callable[[Instrument, Any], Any]] = {
    "read": _read,
    "readv": _readv,
    "write": _write,
    "writev": _writev,
    "sendfile": _sendfile,
    "close": _close,
}
