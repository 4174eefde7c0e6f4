"""What is looked at after every turn of the loop, and at the end.

Each says in its own words what must hold, and asks the server no more than it has to: where it says what
it believes (`wants`, `buffered`), that is held against what its calls have done.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Any

from evloop.kernel import READ, WRITE, is_broken_socket, is_resource_shortage
from evloop.loop.timers import COMPACT_ABOVE
from evloop.net.datagram import DATAGRAM_BATCH
from evloop.net.listener import ACCEPT_BATCH
from evloop.net.stream import LARGE_READ, LAST_READS, SMALL_READ
from evloop.testing import MAY_FAIL, SimulatedDatagrams, SimulatedListener, SimulatedStream, failure
from evloop_simulation.clients import POISON, WrongError
from evloop_simulation.reasons import Ending, why_not

if TYPE_CHECKING:
    from evloop.net.stream import Stream
    from evloop_simulation.world import World

__all__ = ["Invariants"]

# After these there is no other accept in a turn: nobody waits, nothing is left, or it will never succeed.
_LAST = {
    number
    for number in MAY_FAIL["accept"]
    if number == errno.EAGAIN or is_resource_shortage(failure(number)) or is_broken_socket(failure(number))
}

SECOND = 1_000_000_000  # ns
IDLE_TURNS = 4  # in a row, that wake the loop and do nothing
LOOK_EVERY = 32  # turns, at what takes longer to look at
PRIVILEGED = 1024
A_TICK = 50_000_000  # ns, more than a turn's calls take

# What the server may say that has failed. Anything else is a bug of its own.
_EXPECTED = re.compile(
    r"failed: (ValueError: poisoned|\w*Error: \[Errno|OSError|ConnectionError)|^stopping|again: stopping"
)


class Invariants:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kernel = kernel = world.kernel
        self._options = world.setup.options
        self._base = len(kernel.open)
        self._poller = kernel.pollers[0]
        self._read = self._options.recv_size or LARGE_READ
        self._first_read = self._options.recv_size or SMALL_READ
        self.hurt: set[object] = set()  # sockets of which a call was made to fail
        self.register_failed = False
        self._waited: dict[SimulatedStream, int] = {}
        self._idle = 0
        self._work = 0
        self._time = 0
        self._turns = 0
        self.stopping_at: int | None = None  # the loop's time when it began to stop
        self._said = 0
        self.reasons: dict[str, int] = {}

    # -- around a turn -----------------------------------------------------------------------

    def before(self) -> None:
        """The loop is about to take a turn."""
        if self.stopping_at is None and not self._waited and self._kernel.pipes[0].has_news:
            self._about_to_stop()
        self._work = self._kernel.work
        self._time = self._kernel.time

    def _about_to_stop(self) -> None:
        """What has arrived by now, and can be answered without waiting for anybody, will be."""
        for stream in self._world.streams:
            sock: Any = self._kernel.open[stream.fd]
            waits = len(sock.inbox)
            if stream.buffered + waits <= self._options.high_water and waits <= LAST_READS * self._first_read:
                self._waited[sock] = sock.received + waits

    def arrived(self, sock: SimulatedStream) -> int:
        """Bytes that the server had been sent when it was told to stop, and should have answered."""
        return 0 if sock in self.hurt else self._waited.get(sock, 0)

    def after(self) -> None:
        """It has taken it."""
        kernel, world = self._kernel, self._world
        gated = world.gates is not None and bool(world.gates.held)
        self._turns += 1
        began_to_stop = self._begins_to_stop()
        for sock in kernel.touched:
            if isinstance(sock, SimulatedStream):
                self._stream(sock, began_to_stop=began_to_stop, gated=gated)
            elif isinstance(sock, SimulatedListener):
                self._accepted(sock)
            elif isinstance(sock, SimulatedDatagrams) and sock.calls > DATAGRAM_BATCH:
                raise WrongError(f"{sock.calls} times recvfrom() in a turn")
        if kernel.taken or kernel.delivered:
            self._datagrams()
        if kernel.ended:
            self.ended()
        self._everything(gated=gated)
        self._does_something()
        if self._turns % LOOK_EVERY == 0:
            self._whoever_is_there(gated=gated)

    def _begins_to_stop(self) -> bool:
        if self.stopping_at is None and self._world.server._stopping:
            self.stopping_at = self._world.loop.time
            return True
        return False

    @staticmethod
    def _accepted(listener: SimulatedListener) -> None:
        """As many as wait, up to a batch; but none after a shortage, and on after one that has failed."""
        calls, error = listener.calls, listener.error
        if calls > ACCEPT_BATCH:
            raise WrongError(f"{calls} times accept() in a turn")
        if listener.shortages > 1:
            raise WrongError("accept() again after a shortage")
        if error and error not in _LAST and calls < ACCEPT_BATCH:
            raise WrongError(f"no accept() after one that failed ({errno.errorcode[error]})")

    # -- a connection --------------------------------------------------------------------------

    def _stream(self, sock: SimulatedStream, *, began_to_stop: bool, gated: bool) -> None:
        """What it is watched for is what it needs; it keeps what it owes, and no more than it may."""
        if sock.calls > (LAST_READS + 2 if began_to_stop else 1):
            raise WrongError(f"{sock.calls} times recv() on a connection in a turn")
        if sock.opened == self._kernel.woken and sock.calls and not began_to_stop:
            raise WrongError("it was read in the turn in which it was accepted: the event was another's")
        if sock.fd < 0:
            return
        stream: Any = self._world.loop.interests.watched.get(sock.fd)
        if stream is None:
            if gated or (self._world.gates is not None):
                return
            raise WrongError(f"descriptor {sock.fd} is open, and nobody watches it")
        mask = self._poller.masks.get(sock.fd, 0)
        if stream.watching != mask:
            raise WrongError(
                f"the stream believes that it is watched for {stream.watching}, it is for {mask}"
            )
        waiting, high = stream.buffered, self._options.high_water
        owed = sock.received - sock.sent
        if waiting != owed and not (stream.ending and waiting < owed):
            raise WrongError(f"{owed} bytes are still to be answered, and {waiting} wait to be sent")
        if waiting > high + self._read:
            raise WrongError(f"{waiting} bytes wait, the high-water mark is {high}")
        if not gated:
            self._need(stream, mask, waiting, high)

    @staticmethod
    def _need(stream: Stream, mask: int, waiting: int, high: int) -> None:
        """Watched for WRITE if and only if bytes wait; for READ, unless it has ended or too many wait."""
        if bool(mask & WRITE) != (waiting > 0):
            raise WrongError(f"{waiting} bytes wait to be sent, and it is watched for {mask}")
        if mask & READ:
            if stream.eof or waiting > high:
                why = "after the end of the stream" if stream.eof else f"though {waiting} bytes wait"
                raise WrongError(f"it is watched for READ {why}")
        elif not stream.eof and waiting <= high // 4:
            raise WrongError(f"{waiting} bytes wait, and it is not watched for READ")

    def ended(self) -> None:
        """Every connection ends with a reason, and the reason is true."""
        kernel = self._kernel
        for sock, reason, buffered, error in kernel.ended:
            if not isinstance(sock, SimulatedStream):
                continue
            client = self._world.client_of.pop(sock)
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            why = why_not(self._world, Ending(sock, client, reason, buffered, error))
            if why:
                raise WrongError(f"a connection was closed ({reason}), but {why}")
            self.hurt.discard(sock)
            self._waited.pop(sock, None)
            if reason in {"eof", "drained"}:
                client.promised = sock.sent
        kernel.ended.clear()

    # -- datagrams ------------------------------------------------------------------------------

    def _datagrams(self) -> None:
        """Each is answered once, in its turn, or refused; none goes where it might come back from."""
        kernel, world = self._kernel, self._world
        answers = iter(kernel.delivered)
        lost, perhaps, answer = 0, 0, next(answers, None)
        for data, mailbox, (host, port, *_) in kernel.taken:
            is_own = port in world.own_ports
            risky = port < PRIVILEGED or (is_own and host in kernel.local_hosts)
            if answer == (data.upper(), mailbox, (host, port)):
                if risky:
                    raise WrongError(f"a datagram from {host}:{port} was answered: that may never end")
                answer = next(answers, None)
            elif is_own:
                perhaps += 1  # without a descriptor nobody can tell whose host it is
            elif not risky and POISON not in data:
                lost += 1
        if answer is not None:
            raise WrongError(f"a datagram was sent that answers none, or out of order: {answer[0][:40]!r}")
        if not lost <= kernel.refused <= lost + perhaps:
            raise WrongError(f"{lost} datagrams were not answered, and {kernel.refused} could not be sent")
        kernel.taken.clear()
        kernel.delivered.clear()
        kernel.refused = 0

    # -- everything -------------------------------------------------------------------------------

    def _everything(self, *, gated: bool) -> None:
        """Descriptors, limits, listeners, timers: what can be told at a glance."""
        world, kernel, loop = self._world, self._kernel, self._world.loop
        streams, limit = len(world.streams), self._options.max_connections
        if limit and streams > limit:
            raise WrongError(f"{streams} connections are open, {limit} are allowed")
        if len(kernel.open) != self._base + streams and not gated:
            closed = sum(listener.closed for listener in world.listeners) + world.mailbox.closed
            if len(kernel.open) != self._base + streams - closed:
                raise WrongError(f"{len(kernel.open)} descriptors are open, for {streams} connections")
        if len(loop.interests.watched) != len(self._poller.masks):
            raise WrongError("what the loop watches and what the selector was told differ")
        if self.stopping_at is None and not gated:
            self._listeners(full=bool(limit) and streams >= (limit or 0))
        self._timers(streams)
        if len(world.said) > self._said:
            self._reports()
        self._stops_in_time(streams)

    def _timers(self, streams: int) -> None:
        loop = self._world.loop
        timer = loop.timers.next()
        if timer is not None and timer.when < loop.time:
            raise WrongError(f"a timer is late by {loop.time - timer.when} ns after its turn: {timer.why}")
        if len(loop.timers._heap) > 2 * len(loop.timers) + COMPACT_ABOVE + 1:
            raise WrongError(f"{len(loop.timers._heap)} timers are kept, {len(loop.timers)} of them alive")
        if len(loop.timers) > 2 * (streams + len(self._world.listeners) + 1):
            raise WrongError(f"{len(loop.timers)} timers are set for {streams} connections")

    def _reports(self) -> None:
        """What the server says that has failed was made to fail."""
        for sentence in self._world.said[self._said :]:
            if not _EXPECTED.search(sentence):
                raise WrongError(f"the server says: {sentence}")
        self._said = len(self._world.said)

    def _listeners(self, *, full: bool) -> None:
        for listener in self._world.server._listeners:
            if listener._closed:
                continue
            mask = self._poller.masks.get(listener.fd, 0)
            if full and mask:
                raise WrongError("there is no room for a connection, and a listener is watched")
            if not full and not mask and not listener._shortage.why:
                raise WrongError(
                    "there is room for a connection, and a listener is not watched: nobody will be let in"
                )

    def _stops_in_time(self, streams: int) -> None:
        if self.stopping_at is None:
            return
        world = self._world
        if streams and world.loop.time >= self.stopping_at + self._options.drain_timeout * SECOND + A_TICK:
            raise WrongError(f"the time to stop is over, and {streams} connections are open")
        if not streams and world.is_running:
            raise WrongError("all connections have ended, and the server does not stop")

    def _does_something(self) -> None:
        """Whoever wakes the loop for nothing, again and again, makes it spin."""
        kernel = self._kernel
        slept = kernel.time - self._time > A_TICK // 50
        if kernel.work > self._work or slept or self._world.is_loud:
            self._idle = 0
            return
        self._idle += 1
        if self._idle > IDLE_TURNS:
            raise WrongError(f"{self._idle} turns in a row have done nothing: the loop spins")

    def moved(self) -> None:
        """Somebody else has done something: what was done in vain before was not."""
        self._idle = 0

    def _whoever_is_there(self, *, gated: bool) -> None:
        """Each open connection, also those of which nothing was heard."""
        world, now = self._world, self._world.loop.time
        idle, life = self._options.idle_timeout, self._options.lifetime
        for stream in world.streams:
            sock: Any = self._kernel.open[stream.fd]
            self._stream(sock, began_to_stop=True, gated=gated)
            if idle and now - sock.when > idle * SECOND + A_TICK:
                raise WrongError(f"a connection was idle for {now - sock.when} ns, {idle} s are allowed")
            if life and now - sock.opened > life * SECOND + A_TICK:
                raise WrongError(f"a connection is {now - sock.opened} ns old, {life} s are allowed")
