"""From socket to close: the calls that make, connect and end sockets."""

from __future__ import annotations

import _socket
import os
import socket
import struct
import warnings
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from evloop.address import format_sockaddr
from evloop.events.schema import (
    Accept,
    Bind,
    Close,
    CloseReason,
    Connect,
    Listen,
    Setsockopt,
    Shutdown,
    Socket,
    Unseen,
)
from evloop.instrument.caller import Place, frame_at, thread_name
from evloop.instrument.interrupts import asleep
from evloop.instrument.known import local_address, peer_address, protocol
from evloop.instrument.outcome import WRONG, now, outcome
from evloop.socket_state import accept_queue, errno_name, peer_process, queue_wait, unread_bytes, unsent_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.schema import Event
    from evloop.instrument.instrument import Instrument
    from evloop.instrument.known import Known

    _Stamp: TypeAlias = tuple[int, int, int, int]  # number, time, tick, duration

__all__ = ["close_all", "patch", "record_close"]

_T = TypeVar("_T")

_real = _socket.socket
_fileno, _gettimeout, _close = _real.fileno, _real.gettimeout, _real.close
_getsockopt = _real.getsockopt


def patch(instrument: Instrument) -> None:
    """Replace the methods of `socket.socket` that make, connect and end sockets."""
    calls = _Calls(instrument)
    for name, make in (
        ("__init__", calls.init),
        ("bind", calls.bind),
        ("listen", calls.listen),
        ("accept", calls.accept),
        ("connect", calls.connect),
        ("connect_ex", calls.connect_ex),
        ("dup", calls.dup),
        ("shutdown", calls.shutdown),
        ("setsockopt", calls.setsockopt),
        ("getsockopt", calls.getsockopt),
        ("_real_close", calls.real_close),
        ("__del__", calls.finalize),
    ):
        real = getattr(socket.socket, name)
        replacement = make(real)
        replacement.__name__, replacement.__qualname__ = name, f"socket.{name}"
        replacement.__doc__ = real.__doc__
        instrument.patch(socket.socket, name, replacement)
    instrument.patch(socket, "socketpair", calls.socketpair(socket.socketpair))


def close_all(instrument: Instrument) -> None:
    """The process ends: the kernel will close what is still open. Record what is lost with it."""
    for known in tuple(instrument.sockets.values()):
        record_close(instrument, known, "exit", None)
    instrument.sockets.clear()


class _Calls:
    """What takes the place of each method; each is given the real one."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._recorder = instrument.recorder
        self._sockets = instrument.sockets

    def _known(self, sock: Any) -> Known | None:
        return self._sockets.get(_fileno(sock)) or self._sockets.adopt(sock)

    def _stamp(self, t: int) -> _Stamp:
        """What every call's event begins with: number, time, tick, duration."""
        return 0, t - self._recorder.origin, self._recorder.tick, now() - t

    # -- making ------------------------------------------------------------------------

    def init(self, real: Callable[..., None]) -> Callable[..., None]:
        """socket(2), unless an open descriptor is given."""

        def init(self_: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> None:  # noqa: A002
            t = now()
            try:
                real(self_, family, type, proto, fileno)
            except OSError as error:
                if fileno is None:
                    errno = errno_name(error.errno)
                    self._recorder.record(
                        Socket(*self._stamp(t), errno=errno, **self._instrument.place(frame_at(1)))
                    )
                raise
            if fileno is None:
                self._made(self_, t, self._instrument.place(frame_at(1)))
            elif self_.__class__.__name__ == "SSLSocket":
                self._tls(self_, self._instrument.place(frame_at(1)))

        return init

    def _made(self, sock: Any, t: int, place: Place, pair: str | None = None) -> Known:
        stamp = self._stamp(t)
        known = self._sockets.add(_fileno(sock), protocol(sock.family, sock.type))
        self._recorder.record(Socket(*stamp, known.name, known.fd, known.proto, pair, **place))
        return known

    def _tls(self, sock: Any, place: Place) -> None:
        known = self._known(sock)
        if known is not None:
            reason = (
                f"what {known.name} sends and receives is encrypted by OpenSSL, which calls the system itself"
            )
            self._recorder.record(
                Unseen(0, self._recorder.clock(), self._recorder.tick, known.name, reason, **place)
            )

    def socketpair(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """socketpair(2): two sockets, connected with each other."""

        def socketpair(*args: Any, **kwargs: Any) -> Any:
            t = now()
            pair = real(*args, **kwargs)
            place = self._instrument.place(frame_at(1))
            first = self._made(pair[0], t, place)
            self._made(pair[1], t, place, first.name)
            return pair

        return socketpair

    def dup(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """dup(2): another descriptor of the same socket, whose bytes are counted on from there."""

        def dup(self_: Any) -> Any:
            known, copy = self._known(self_), real(self_)
            new = self._sockets.get(_fileno(copy)) or self._sockets.adopt(copy, known)
            if known is not None and new is not None:
                new.is_connection = known.is_connection
            return copy

        return dup

    # -- servers -----------------------------------------------------------------------

    def _called(self, call: Callable[[], None], event: Callable[[_Stamp, str | None], Event]) -> None:
        """Make a call that gives nothing, and record the `event` of how it ended."""
        t = now()
        try:
            call()
        except WRONG:  # the arguments were wrong: no call was made
            raise
        except OSError as error:
            self._recorder.record(event(self._stamp(t), outcome(error)))
            raise
        except BaseException:  # a signal's handler has raised: none of these calls sleeps, so it was over
            self._recorder.record(event(self._stamp(t), None))
            raise
        self._recorder.record(event(self._stamp(t), None))

    def bind(self, real: Callable[..., None]) -> Callable[..., None]:
        """bind(2): what address it got is asked of the system, which may have chosen the port."""

        def bind(self_: Any, address: Any, /) -> None:
            known, frame = self._known(self_), frame_at(1)
            if known is None:
                real(self_, address)
                return

            def event(stamp: _Stamp, errno: str | None) -> Bind:
                bound = _format(address) if errno else local_address(self_)
                place = self._instrument.place(frame)
                return Bind(*stamp, known.name, known.fd, known.proto, bound, errno, **place)

            self._called(lambda: real(self_, address), event)

        return bind

    def listen(self, real: Callable[..., None]) -> Callable[..., None]:
        """listen(2)."""

        def listen(self_: Any, backlog: int | None = None, /) -> None:
            known, frame = self._known(self_), frame_at(1)
            asked = min(socket.SOMAXCONN, 128) if backlog is None else backlog  # as CPython takes it
            if known is None:
                real(self_, asked)
                return

            def event(stamp: _Stamp, errno: str | None) -> Listen:
                known.listens = errno is None
                place = self._instrument.place(frame)
                address = local_address(self_)
                return Listen(*stamp, known.name, known.fd, known.proto, address, asked, errno, **place)

            self._called(lambda: real(self_, asked), event)

        return listen

    def accept(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """accept(2), with what the system knows of the queue."""

        def accept(self_: Any) -> Any:
            listener = self._known(self_)
            if listener is None:
                return real(self_)
            frame = frame_at(1)
            t = now()
            try:
                timeout = _gettimeout(self_)
                if timeout != 0 and not listener.readable(0):
                    self._instrument.block("accept", listener, frame, timeout)
                sock, peer = asleep(real, self_)
            except BaseException as error:
                stamp = self._stamp(t)
                self._recorder.record(
                    Accept(*stamp, listener.name, errno=outcome(error), **self._instrument.place(frame))
                )
                raise
            stamp = self._stamp(t)
            known = self._sockets.add(_fileno(sock), listener.proto)
            known.is_connection, known.peer = True, _format(peer)
            queue = accept_queue(self_)
            self._recorder.record(
                Accept(
                    *stamp, listener.name, known.name, known.fd, known.peer, local_address(sock),
                    queue[0] if queue else None, None, queue_wait(sock), peer_process(sock),
                    **self._instrument.place(frame),
                )
            )  # fmt: skip
            return sock, peer

        return accept

    # -- clients -----------------------------------------------------------------------

    def connect(self, real: Callable[..., None]) -> Callable[..., None]:
        """connect(2); where it waits for a handshake, that it does so is always said before."""

        def connect(self_: Any, address: Any, /) -> None:
            known, frame = self._known(self_), frame_at(1)
            if known is None:
                real(self_, address)
            else:
                self._connect(real, self_, known, address, frame)

        return connect

    def connect_ex(self, real: Callable[..., int]) -> Callable[..., int]:
        """connect(2), whose errno is given and not raised."""

        def connect_ex(self_: Any, address: Any, /) -> int:
            known, frame = self._known(self_), frame_at(1)
            if known is None:
                return real(self_, address)
            return self._connect(real, self_, known, address, frame)

        return connect_ex

    def _connect(self, real: Callable[..., _T], sock: Any, known: Known, address: Any, frame: Any) -> _T:
        known.is_connection = known.is_stream
        t = now()
        timeout = _gettimeout(sock)
        waits = known.is_stream and timeout != 0
        if waits and timeout is None:
            timeout = _patience(sock)
        try:
            if waits:
                self._instrument.block("connect", known, frame, timeout, peer=_format(address))
            errno = asleep(real, sock, address)
        except BaseException as error:  # also of connect_ex: that there is no such host, it raises
            if waits or not isinstance(error, WRONG):
                self._connected(sock, known, t, address, errno=outcome(error), frame=frame)
            raise
        word = errno_name(errno) if isinstance(errno, int) and errno else None
        self._connected(sock, known, t, address, errno=word, frame=frame)
        return errno

    def _connected(
        self, sock: Any, known: Known, t: int, address: Any, *, errno: str | None, frame: Any, call: str = ""
    ) -> None:
        stamp = self._stamp(t)
        known.connecting = errno == "EINPROGRESS"
        local = None if errno and known.proto != "tcp" else local_address(sock)
        if errno and (not local or local.endswith(":0")):  # it failed before the kernel chose a port
            local = None
        known.peer = (peer_address(sock) if errno is None else "") or _format(address) or known.peer
        self._recorder.record(
            Connect(
                *stamp, known.fd, known.conn, known.sock, known.peer, local, errno, call=call,
                **self._instrument.place(frame),
            )
        )  # fmt: skip

    def getsockopt(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """getsockopt(2): SO_ERROR is how a program asks what became of a connect that went on."""

        def getsockopt(self_: Any, level: int, option: int, *rest: Any) -> Any:
            t = now()
            value = real(self_, level, option, *rest)
            if option == _socket.SO_ERROR and level == _socket.SOL_SOCKET:
                known = self._sockets.get(_fileno(self_))
                if known is not None and known.connecting:
                    errno = errno_name(value) if value else None
                    call = "getsockopt(SO_ERROR)"
                    self._connected(self_, known, t, None, errno=errno, frame=frame_at(1), call=call)
            return value

        return getsockopt

    # -- options and ends --------------------------------------------------------------

    def setsockopt(self, real: Callable[..., None]) -> Callable[..., None]:
        """setsockopt(2)."""

        def setsockopt(self_: Any, level: int, option: int, value: Any, *rest: Any) -> None:
            known, frame = self._known(self_), frame_at(1)
            if known is None:
                real(self_, level, option, value, *rest)
                return

            def event(stamp: _Stamp, errno: str | None) -> Setsockopt:
                if errno is None and (level, option) == (_socket.SOL_SOCKET, _socket.SO_RCVLOWAT):
                    known.low_water = value != 1
                shown = _setting(value, whole=self._instrument.payload_limit > 0)
                return Setsockopt(
                    *stamp, known.fd, *_option_words(level, option), shown, known.conn, known.sock, errno,
                    **self._instrument.place(frame),
                )  # fmt: skip

            self._called(lambda: real(self_, level, option, value, *rest), event)

        return setsockopt

    def shutdown(self, real: Callable[..., None]) -> Callable[..., None]:
        """shutdown(2)."""

        def shutdown(self_: Any, how: int, /) -> None:
            known, frame = self._known(self_), frame_at(1)
            if known is None:
                real(self_, how)
                return

            def event(stamp: _Stamp, errno: str | None) -> Shutdown:
                word = {0: "SHUT_RD", 1: "SHUT_WR", 2: "SHUT_RDWR"}.get(how, str(how))
                return Shutdown(*stamp, known.name, known.fd, word, errno, **self._instrument.place(frame))

            self._called(lambda: real(self_, how), event)

        return shutdown

    def real_close(self, real: Callable[..., None]) -> Callable[..., None]:
        """close(2): `socket.close` calls this when no file made of the socket is open any more."""

        def real_close(self_: Any, *args: Any) -> None:
            known = self._sockets.pop(_fileno(self_), None)
            if known is None:
                real(self_, *args)
                return
            record_close(self._instrument, known, "close", lambda: real(self_, *args), frame_at(1))

        return real_close

    def finalize(self, real: Callable[[Any], None]) -> Callable[[Any], None]:
        """Nobody has the socket any more: the interpreter warns, and closes it.

        It would say that the warning's place is here; so we warn in its stead, of our caller.
        """

        def finalize(self_: Any) -> None:
            fd = _fileno(self_)
            if fd < 0:
                return
            close: Callable[[Any], None] = _close
            try:
                warnings.warn(f"unclosed {self_!r}", ResourceWarning, stacklevel=2, source=self_)
            except ResourceWarning:  # with -W error; a finalizer cannot raise, but Python can say that
                close = real
            known = self._sockets.pop(fd, None)
            if known is None:
                close(self_)
            else:
                record_close(self._instrument, known, "collected", lambda: close(self_), frame_at(1))

        return finalize


def record_close(
    instrument: Instrument,
    known: Known,
    reason: CloseReason,
    close: Callable[[], None] | None,
    frame: Any = None,
) -> None:
    """Close a socket, after a look at what is lost with it."""
    recorder = instrument.recorder
    unread = unsent = None
    if known.is_connection and not known.shared:
        instrument.tcp_info(known, "close")
        unread = unread_bytes(known.fd)
        unsent = unsent_bytes(known.fd) if known.proto == "tcp" and known.sent else None
    place: Place = {"thread": thread_name(), "where": instrument.where(frame) if frame else ""}
    t, errno = now(), None
    try:
        if close:
            close()
    except OSError as error:
        errno = outcome(error)
        raise
    finally:
        recorder.record(
            Close(
                0, t - recorder.origin, recorder.tick, now() - t, known.fd, reason, known.conn, known.sock,
                unread, unsent, 0, known.received, known.sent, errno, **place,
            )
        )  # fmt: skip


def _format(address: Any) -> str:
    """An address as the program gave it."""
    try:
        return format_sockaddr(os.fsdecode(address) if isinstance(address, os.PathLike) else address)
    except (TypeError, IndexError):
        return repr(address)


# Names that begin as those of SOL_SOCKET do, and belong to a level of their own.
_ELSEWHERE = ("SO_J1939", "SO_VM_", "SO_HCI_", "SO_L2CAP_")


def _patience(sock: Any) -> float | None:
    """How many seconds connect(2) of a blocking socket waits: SO_SNDTIMEO, socket(7). None is for ever."""
    try:
        seconds, rest = struct.unpack("ll", _getsockopt(sock, _socket.SOL_SOCKET, _socket.SO_SNDTIMEO, 16))
    except (OSError, struct.error):
        return None
    return seconds + rest / 1e6 or None


_LONGEST_SETTING = 20  # bytes: struct ipv6_mreq; what is longer is mostly a key or a program, as of TLS


def _setting(value: Any, *, whole: bool) -> str:
    """An option's value as the program wrote it; where no payload is kept, what is long only by its size."""
    if isinstance(value, int):
        return str(int(value))
    if whole or value is None or memoryview(value).nbytes <= _LONGEST_SETTING:
        return repr(value)
    return f"({memoryview(value).nbytes} bytes)"


def _option_words(level: int, option: int) -> tuple[str, str]:
    """(SOL_SOCKET, SO_REUSEADDR), as man pages write them."""
    level_name, prefix = {
        _socket.SOL_SOCKET: ("SOL_SOCKET", "SO_"),
        _socket.IPPROTO_TCP: ("IPPROTO_TCP", "TCP_"),
        _socket.IPPROTO_IP: ("IPPROTO_IP", "IP_"),
        _socket.IPPROTO_IPV6: ("IPPROTO_IPV6", "IPV6_"),
    }.get(level, (str(int(level)), ""))
    if prefix:
        for name in dir(_socket):
            if (
                name.startswith(prefix)
                and not name.startswith(_ELSEWHERE)
                and getattr(_socket, name) == option
            ):
                return level_name, name
    return level_name, str(int(option))
