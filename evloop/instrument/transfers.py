"""recv, send and their kin: the calls that move bytes.

Each makes the real call once, if it can be answered at once. On a socket that
blocks, the question whether it can is asked with MSG_DONTWAIT where the call
has flags to say so, else with a poll(2) that does not wait; then a `block` event
is written before the thread goes to sleep in the real call.
"""

from __future__ import annotations

import _socket
import socket
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.address import format_sockaddr
from evloop.events.schema import Recv, Recvfrom, Send, Sendto
from evloop.instrument.caller import thread_name
from evloop.instrument.outcome import now, outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.instrument.instrument import Instrument
    from evloop.instrument.known import Known

__all__ = ["patch"]

_real = _socket.socket
_fileno, _gettimeout = _real.fileno, _real.gettimeout
_frame = sys._getframe  # noqa: SLF001

DONTWAIT = _socket.MSG_DONTWAIT
# These show bytes that the stream's next recv gives again, or that are not in the stream at all.
_APART = _socket.MSG_PEEK | _socket.MSG_OOB | getattr(_socket, "MSG_ERRQUEUE", 0)


class _Words(dict[int, str]):
    """Flags → "MSG_PEEK|MSG_WAITALL", put together once for each combination that occurs."""

    def __missing__(self, flags: int) -> str:
        named = {name: getattr(_socket, name) for name in dir(_socket) if name.startswith("MSG_")}
        words = self[flags] = "|".join(name for name, bit in named.items() if bit and flags & bit == bit)
        return words


_words = _Words({0: ""})


class _Got(NamedTuple):
    """What a call that receives gave."""

    data: bytes | memoryview
    peer: Any = None
    flags: int = 0  # msg_flags


def patch(instrument: Instrument) -> None:
    """Replace the methods of `socket.socket` that move bytes."""
    patched = {
        "recv": _receiver(instrument, "recv", _real.recv, _size_first, lambda _, data: _Got(data), 1),
        "recv_into": _receiver(
            instrument,
            "recv_into",
            _real.recv_into,
            _buffer_first,
            lambda args, n: _Got(_view(args[0], n)),
            2,
        ),
        "recvfrom": _receiver(
            instrument, "recvfrom", _real.recvfrom, _size_first, lambda _, got: _Got(got[0], got[1]), 1
        ),
        "recvfrom_into": _receiver(
            instrument,
            "recvfrom_into",
            _real.recvfrom_into,
            _buffer_first,
            lambda args, got: _Got(_view(args[0], got[0]), got[1]),
            2,
        ),
        "recvmsg": _receiver(
            instrument,
            "recvmsg",
            _real.recvmsg,
            _size_first,
            lambda _, got: _Got(got[0], got[3], got[2]),
            2,
        ),
        "recvmsg_into": _receiver(
            instrument,
            "recvmsg_into",
            _real.recvmsg_into,
            lambda args: sum(memoryview(buffer).nbytes for buffer in args[0]),
            lambda args, got: _Got(_views(args[0], got[0]), got[3], got[2]),
            2,
        ),
        "send": _sender(instrument, "send", _real.send),
        "sendall": _sender(instrument, "sendall", _real.sendall),
        "sendto": _sendto(instrument),
        "sendmsg": _sendmsg(instrument),
    }
    for name, replacement in patched.items():
        replacement.__name__ = replacement.__qualname__ = name
        replacement.__doc__ = getattr(_real, name).__doc__
        instrument.patch(socket.socket, name, replacement)


# -- receiving ---------------------------------------------------------------------------


def _size_first(args: tuple[Any, ...]) -> int:
    return int(args[0])


def _buffer_first(args: tuple[Any, ...]) -> int:
    return (len(args) > 1 and args[1]) or memoryview(args[0]).nbytes


def _view(buffer: Any, n: int) -> memoryview:
    return memoryview(buffer).cast("B")[:n]


def _views(buffers: Any, n: int) -> bytes:
    return b"".join(bytes(memoryview(buffer).cast("B")) for buffer in buffers)[:n]


def _receiver(
    instrument: Instrument,
    call: str,
    real: Callable[..., Any],
    size_of: Callable[[tuple[Any, ...]], int],
    take: Callable[[tuple[Any, ...], Any], _Got],
    flags_at: int,
) -> Callable[..., Any]:
    """A call that receives; its flags are the argument `flags_at`."""
    sockets, recorder, where, limit = (
        instrument.sockets, instrument.recorder, instrument.where, instrument.payload_limit
    )  # fmt: skip
    record, origin = recorder.record, recorder.origin
    asks_by_flag = flags_at == 1  # and no keyword, and no other argument to be filled in
    stream_call = "" if call == "recv" else call
    datagram_call = "" if call == "recvfrom" else call

    def traced(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        known = sockets.get(_fileno(self)) or sockets.adopt(self)
        if known is None:  # it is closed: no call will be made
            return real(self, *args, **kwargs)
        if kwargs:
            args = _positional(kwargs, args)
        flags = args[flags_at] if len(args) > flags_at else 0
        timeout = _gettimeout(self)
        t = now()
        try:
            result = None
            if timeout != 0:
                if asks_by_flag and timeout is None and not flags:
                    try:
                        result = real(self, args[0], DONTWAIT)
                    except BlockingIOError:
                        instrument.block(awaits(known), known, _frame(1), None, size_of(args))
                elif not known.readable(0):
                    instrument.block(awaits(known), known, _frame(1), timeout, size_of(args))
            if result is None:
                result = real(self, *args)
        except (TypeError, ValueError):  # the arguments were wrong: no call was made
            raise
        except BaseException as error:
            dur = now() - t
            failed(known, t, dur, size_of(args), flags, outcome(error), _frame(1))
            raise
        dur = now() - t
        got = take(args, result)
        n = len(got.data)
        kept: Any = got.data if n <= limit else got.data[:limit]
        if known.is_stream:
            start = known.received
            end = start + n
            if not flags & _APART:
                known.received = end
                known.is_connection = True
            record(
                Recv(
                    0, t - origin, recorder.tick, dur, known.name, known.fd, size_of(args), n, (start, end),
                    kept, None, _words[flags],
                    call=stream_call, thread=thread_name(), where=where(_frame(1)),
                )
            )  # fmt: skip
        else:
            peer = format_sockaddr(got.peer) if got.peer else known.peer
            if not flags & _APART:
                known.received += n
            record(
                Recvfrom(
                    0, t - origin, recorder.tick, dur, known.name, known.fd, n, peer,
                    bool(got.flags & _socket.MSG_TRUNC), kept, None, _words[flags],
                    call=datagram_call, thread=thread_name(), where=where(_frame(1)),
                )
            )  # fmt: skip
        return result

    def awaits(known: Known) -> str:
        return "recv" if known.is_stream else "recvfrom"

    def failed(known: Known, t: int, dur: int, size: int, flags: int, errno: str, frame: Any) -> None:
        place = {"thread": thread_name(), "where": where(frame)}
        common = 0, t - origin, recorder.tick, dur, known.name, known.fd
        if known.is_stream:
            record(Recv(*common, size, errno=errno, flags=_words[flags], call=stream_call, **place))
        else:
            record(Recvfrom(*common, errno=errno, flags=_words[flags], call=datagram_call, **place))

    return traced


def _positional(kwargs: dict[str, Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """(buffer, nbytes, flags) of recv_into and recvfrom_into, the only ones that take keywords."""
    named = dict(zip(("buffer", "nbytes", "flags"), args, strict=False)) | kwargs
    return named["buffer"], named.get("nbytes", 0), named.get("flags", 0)


# -- sending -----------------------------------------------------------------------------


def _sender(instrument: Instrument, call: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """send(2), and sendall, which goes on until all is sent."""
    sockets, recorder, where, limit = (
        instrument.sockets, instrument.recorder, instrument.where, instrument.payload_limit
    )  # fmt: skip
    record, origin = recorder.record, recorder.origin
    real_send = _real.send
    sends_all = call == "sendall"
    stream_call = call if sends_all else ""

    def traced(self: Any, data: Any, flags: int = 0, /) -> Any:
        known = sockets.get(_fileno(self)) or sockets.adopt(self)
        if known is None:
            return real(self, data, flags)
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        timeout = _gettimeout(self)
        t = now()
        n = 0
        try:
            if timeout == 0:
                n = real(self, data, flags)
            else:
                if timeout is None or known.writable(0):
                    try:
                        n = real_send(self, data, flags | DONTWAIT)
                    except BlockingIOError:
                        n = -1
                else:
                    n = -1
                if n < size and (n < 0 or known.is_stream):
                    n = max(n, 0)
                    instrument.block(awaits(known), known, _frame(1), timeout, size)
                    rest = memoryview(data).cast("B")[n:]
                    more = real(self, rest, flags)
                    n = size if sends_all else n + more
        except (TypeError, ValueError):
            raise
        except BaseException as error:
            if n and not sends_all and isinstance(error, OSError):
                pass  # the kernel, too, tells of the bytes that it took, and of the error next time
            else:
                dur = now() - t
                failed(known, t, dur, size, flags, outcome(error), _frame(1))
                raise
        if sends_all and timeout == 0:
            n = size
        dur = now() - t
        kept: Any = data if n == size <= limit else memoryview(data).cast("B")[: min(n, limit)]
        if known.is_stream:
            start = known.sent
            known.sent = end = start + n
            known.is_connection = True
            record(
                Send(
                    0, t - origin, recorder.tick, dur, known.name, known.fd, size, n, (start, end),
                    kept, None, _words[flags],
                    call=stream_call, thread=thread_name(), where=where(_frame(1)),
                )
            )  # fmt: skip
        else:
            known.sent += n
            record(
                Sendto(
                    0, t - origin, recorder.tick, dur, known.name, known.fd, known.peer, n, kept, None,
                    _words[flags], call=call, thread=thread_name(), where=where(_frame(1)),
                )
            )  # fmt: skip
        return None if sends_all else n

    def awaits(known: Known) -> str:
        return "send" if known.is_stream else "sendto"

    def failed(known: Known, t: int, dur: int, size: int, flags: int, errno: str, frame: Any) -> None:
        place = {"thread": thread_name(), "where": where(frame)}
        common = 0, t - origin, recorder.tick, dur, known.name, known.fd
        if known.is_stream:
            record(Send(*common, size, errno=errno, flags=_words[flags], call=stream_call, **place))
        else:
            record(Sendto(*common, known.peer, errno=errno, flags=_words[flags], call=call, **place))

    return traced


def _sendto(instrument: Instrument) -> Callable[..., Any]:
    """sendto(2): the flags may be left out in the middle."""
    real = _real.sendto

    def attempt(sock: Any, known: Known, args: tuple[Any, ...], timeout: float | None, frame: Any) -> int:
        if timeout is None:
            data, flags, peer = args if len(args) > 2 else (args[0], 0, args[1])
            try:
                return real(sock, data, flags | DONTWAIT, peer)
            except BlockingIOError:
                pass
        if timeout is None or not known.writable(0):
            instrument.block("sendto", known, frame, timeout, memoryview(args[0]).nbytes)
        return real(sock, *args)

    def parts(args: tuple[Any, ...]) -> tuple[Any, int, Any]:
        return args[0], args[1] if len(args) > 2 else 0, args[-1]

    return _message(instrument, "sendto", real, attempt, parts)


def _sendmsg(instrument: Instrument) -> Callable[..., Any]:
    """sendmsg(2): its data lie in several buffers, and beside them may be descriptors."""
    real = _real.sendmsg

    def attempt(sock: Any, known: Known, args: tuple[Any, ...], timeout: float | None, frame: Any) -> int:
        if not known.writable(0):
            awaits = "send" if known.is_stream else "sendto"
            instrument.block(awaits, known, frame, timeout, len(parts(args)[0]))
        return real(sock, *args)

    def parts(args: tuple[Any, ...]) -> tuple[Any, int, Any]:
        data = b"".join(bytes(memoryview(buffer).cast("B")) for buffer in args[0])
        return data, args[2] if len(args) > 2 else 0, args[3] if len(args) > 3 else None

    return _message(instrument, "sendmsg", real, attempt, parts)


def _message(
    instrument: Instrument,
    call: str,
    real: Callable[..., int],
    attempt: Callable[[Any, Known, tuple[Any, ...], float | None, Any], int],
    parts: Callable[[tuple[Any, ...]], tuple[Any, int, Any]],
) -> Callable[..., Any]:
    """A call that sends its arguments' `parts`, (data, flags, peer), at once; `attempt` may block."""
    sockets, limit = instrument.sockets, instrument.payload_limit

    def traced(self: Any, /, *args: Any) -> int:
        known = sockets.get(_fileno(self)) or sockets.adopt(self)
        if known is None:
            return real(self, *args)
        timeout = _gettimeout(self)
        t = now()
        n, errno = None, None
        try:
            n = real(self, *args) if timeout == 0 else attempt(self, known, args, timeout, _frame(1))
        except (TypeError, ValueError):
            raise
        except BaseException as error:
            errno = outcome(error)
            raise
        finally:
            if n is not None or errno is not None:
                dur = now() - t
                data, flags, peer = parts(args)
                moved = n or 0
                kept = memoryview(data).cast("B")[: min(moved, limit)]
                record(known, t, dur, len(data), flags, peer, n, kept, errno, _frame(1))
        return n

    def record(
        known: Known, t: int, dur: int, size: int, flags: int, peer: Any, n: int | None, kept: Any,
        errno: str | None, frame: Any,
    ) -> None:  # fmt: skip
        recorder = instrument.recorder
        place = {"call": call, "thread": thread_name(), "where": instrument.where(frame)}
        common = 0, t - recorder.origin, recorder.tick, dur, known.name, known.fd
        words = _words[flags]
        if known.is_stream:
            off = None if n is None else (known.sent, known.sent + n)
            known.is_connection = True
            event = Send(*common, size, n, off, kept, errno, words, **place)
        else:
            place["call"] = "" if call == "sendto" else call
            shown = format_sockaddr(peer) if peer else known.peer
            event = Sendto(*common, shown, n, kept, errno, words, **place)
        known.sent += n or 0
        recorder.record(event)

    return traced
