"""The event-loop server: one thread for all listeners, connections and datagrams."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from evloop.address import parse_inet
from evloop.errors import AddressError
from evloop.kernel import MAX_DATAGRAM, is_missing_address
from evloop.loop.wakeup import Wakeup
from evloop.net.datagram import Datagrams
from evloop.net.listener import Listener
from evloop.net.stream import Stream, StreamLimits
from evloop.protocols import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evloop.address import Inet, UnixPath
    from evloop.kernel import Socket
    from evloop.loop.loop import Loop

__all__ = ["LoopServer", "ServerOptions"]

MOST_SAMPLES = 1000  # a turn of the loop: some milliseconds
PORT_TRIES = 16  # a free port of one family may be taken in the other


class ServerOptions(NamedTuple):
    """What a server does and how much it allows. Times are seconds, sizes bytes; None is no limit."""

    mode: str = "upper"
    backlog: int = 128
    max_connections: int | None = None
    idle_timeout: float | None = None
    lifetime: float | None = None
    high_water: int = 256 * 1024
    recv_size: int | None = None
    drain_timeout: float = 5.0
    sample: float | None = None


class LoopServer:
    """Opens sockets, takes connections in, and ends them all when told to."""

    # What it is made of, for who makes one of other parts: `evloop.bugs`.
    listener_class = Listener
    stream_class = Stream
    datagrams_class = Datagrams

    def __init__(self, loop: Loop, options: ServerOptions, report: Callable[[str], None]) -> None:
        """`report` gets sentences for the person who runs the server."""
        self._loop = loop
        self._options = options
        self._report = report
        self._limits = StreamLimits(
            PROTOCOLS[options.mode], options.high_water, options.recv_size, self._on_close
        )
        self._listeners: list[Listener] = []
        self._datagrams: list[Datagrams] = []
        self._paths: list[tuple[UnixPath, int]] = []
        self._udp_ports: set[int] = set()
        # In the order in which they came: a set's changes from run to run, and with it who is drained first.
        self._streams: dict[Stream, None] = {}
        self._stopping = False
        self.reason = ""
        self._wakeup: Wakeup | None = None
        self._heard: dict[str, Callable[[str], None]] = {}

    # -- opening -----------------------------------------------------------------------

    def listen_tcp(self, address: Inet) -> list[str]:
        """Listen on every address of a host, with one port for all; gives them as they were bound."""

        def open_one(numeric: Inet) -> Listener:
            return self.listener_class(self._loop, numeric, self._options.backlog, self._on_accept)

        opened = _open_all(self._loop.kernel.resolve(address), open_one)
        self._listeners += opened
        return [listener.address for listener in opened]

    def bind_udp(self, address: Inet) -> list[str]:
        """Receive datagrams on every address of a host; gives them as they were bound."""
        respond = PROTOCOLS[self._options.mode]
        size = self._options.recv_size or MAX_DATAGRAM

        def open_one(numeric: Inet) -> Datagrams:
            return self.datagrams_class(self._loop, numeric, respond, size, self._udp_ports)

        opened = _open_all(self._loop.kernel.resolve(address, datagram=True), open_one)
        self._datagrams += opened
        self._udp_ports.update(parse_inet(datagrams.address).port for datagrams in opened)
        return [datagrams.address for datagrams in opened]

    def listen_unix(self, address: UnixPath) -> list[str]:
        """Listen on a path; a path that a dead server left is taken over."""
        self._listeners.append(
            self.listener_class(self._loop, address, self._options.backlog, self._on_accept)
        )
        self._paths.append((address, self._loop.kernel.inode_of(address)))
        return [str(address)]

    # -- connections -------------------------------------------------------------------

    def _on_accept(self, sock: Socket) -> bool:
        """Take a connection in; whether there is room for another."""
        stream = self.stream_class(self._loop, sock, self._limits)
        self._streams[stream] = None
        if self._options.idle_timeout or self._options.lifetime:
            self._set_timers(stream)
        return self._when_full() if self._is_full else True

    def _when_full(self) -> bool:
        """The last place is taken, and nobody else is let in until one is free; whether there is room."""
        self._loop.trace.limit("connections", active=True)
        for listener in self._listeners:
            listener.pause(f"{len(self._streams)} connections are open, as many as are allowed")
        return False

    @property
    def _is_full(self) -> bool:
        return len(self._streams) >= (self._options.max_connections or sys.maxsize)

    def _on_close(self, stream: Stream) -> None:
        full = self._is_full
        self._streams.pop(stream, None)
        if self._stopping:
            self._stop_when_empty()
        elif full:
            self._loop.trace.limit("connections", active=False)
            for listener in self._listeners:
                listener.resume()

    def _set_timers(self, stream: Stream) -> None:
        """An idle time-out, which every byte moves on, and a lifetime, which nothing moves."""
        loop, options = self._loop, self._options
        if options.lifetime:
            expire = loop.after(
                options.lifetime, lambda: stream.close("lifetime"), "a connection's lifetime ends"
            )
            stream.timers += (expire,)
        if options.idle_timeout:
            self._watch_idle(stream, options.idle_timeout)

    def _watch_idle(self, stream: Stream, seconds: float) -> None:
        """Look again when the connection would have been idle for too long, had nothing come since now.

        Moving a timer for every read would cost more than the read; so the timer
        stays, and is set anew only when it fires too early.
        """
        loop = self._loop
        left = seconds - (loop.time - stream.active) / 1e9
        if left <= 0:
            stream.close("idle-timeout")
            return
        again = loop.after(
            left, lambda: self._watch_idle(stream, seconds), "a connection may be idle for too long"
        )
        stream.timers = (*(timer for timer in stream.timers if not timer.done), again)

    # -- running and ending ------------------------------------------------------------

    def handle_signals(
        self,
        signals: tuple[str, ...] = ("SIGINT", "SIGTERM"),
        heard: Mapping[str, Callable[[str], None]] | None = None,
    ) -> None:
        """From now on these signals stop the server well; those `heard` only call what they name.

        To be called before it says that it listens: who waited for that may send one at once.
        """
        loop = self._loop
        self._heard.update(heard or {})
        self._wakeup = Wakeup(loop, loop.kernel.signals((*signals, *self._heard)), self._on_signal)

    def run(self) -> None:
        """Serve until a signal says to stop, and all is closed."""
        if self._options.sample and self._loop.trace.samples:
            self._sample_later(self._options.sample)
        self._loop.run()

    def _sample_later(self, seconds: float, left: tuple[Stream, ...] = ()) -> None:
        """Look at the connections every so many seconds; at those that are `left` in the next turn."""
        why = "look at what TCP says of the connections"
        self._loop.after(0 if left else seconds, lambda: self._sample(seconds, left), why)

    def _sample(self, seconds: float, left: tuple[Stream, ...]) -> None:
        trace = self._loop.trace
        if not left:
            left = tuple(self._streams)
            for listener in self._listeners:
                trace.queue(listener.sock)
        for stream in left[:MOST_SAMPLES]:
            if not stream.closed:
                trace.tcp_info(stream.sock)
        self._sample_later(seconds, left[MOST_SAMPLES:])

    def close(self) -> None:
        """Close what is still open, ignore signals from now on, and remove our paths; the loop lives on."""
        self.abort()
        if self._wakeup:
            self._wakeup.close()
        self._loop.finish()

    def _on_signal(self, name: str) -> None:
        if name in self._heard:
            self._heard[name](name)
            return
        self._loop.trace.stopping(name)
        if self._stopping:
            self._report(f"{name} again: stopping at once")
            self.abort()
        else:
            self.stop(name)

    def stop(self, reason: str) -> None:
        """End well: accept no more, let everybody have their answers, close; at the deadline, break off."""
        self._stopping = True
        self.reason = reason
        self._let_nobody_in()
        for stream in tuple(self._streams):
            stream.drain()
        waiting = len(self._streams)
        if waiting:
            seconds = self._options.drain_timeout
            self._report(f"stopping: waiting at most {seconds:g} s for {waiting} open connections to end")
            self._loop.after(seconds, self._give_up, "the time for a graceful stop ends")
        self._stop_when_empty()

    def _let_nobody_in(self) -> None:
        """Close all but the connections, and remove our paths first of all.

        A path of a closed socket is anybody's: another server takes it over, and its file may even get
        our inode's number. Ours cannot be taken for another's as long as the socket is open.
        """
        for address, inode in self._paths:
            self._loop.kernel.remove_path(address, inode)
        self._paths.clear()
        for listener in self._listeners:
            listener.close()
        for datagrams in self._datagrams:
            datagrams.close()

    def _give_up(self) -> None:
        self._report(f"stopping: {len(self._streams)} connections did not end in time and were closed")
        for stream in tuple(self._streams):
            stream.close("drain-timeout")

    def _stop_when_empty(self) -> None:
        if not self._streams:
            self._loop.stop()

    def abort(self) -> None:
        """End at once."""
        self._stopping = True
        self._let_nobody_in()
        for stream in tuple(self._streams):
            stream.close("aborted")
        self._loop.stop()


_Opened = TypeVar("_Opened", Listener, Datagrams)


def _open_all(addresses: list[Inet], open_one: Callable[[Inet], _Opened]) -> list[_Opened]:
    """Open one socket an address family, all on one port; a family that this machine lacks is no failure.

    For port 0 the system finds a port that is free in the first family. If it is taken in the other, that
    of the next try may not be.
    """
    tries_left = 1 if addresses[0].port else PORT_TRIES
    while True:
        opened, failure = _try_all(addresses, open_one)
        if failure is None:
            return opened
        for one in opened:
            one.close()
        tries_left -= 1
        if not (opened and tries_left):
            raise failure


def _try_all(
    addresses: list[Inet], open_one: Callable[[Inet], _Opened]
) -> tuple[list[_Opened], AddressError | None]:
    """What could be opened, and the failure because of which that is not enough."""
    opened: list[_Opened] = []
    port, missing = addresses[0].port, None
    for address in addresses:
        try:
            one = open_one(address._replace(port=port))
        except AddressError as error:
            if not is_missing_address(error):
                return opened, error
            missing = error
        else:
            opened.append(one)
            port = parse_inet(one.address).port
    return opened, None if opened else missing
