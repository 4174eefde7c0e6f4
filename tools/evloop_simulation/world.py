"""The server, its kernel and its clients; and the moves that somebody may make in their world.

A move that cannot be made now does nothing, so that any list of moves is a run, and a run from which some
are taken out is one, too. `who` counts the clients that are there, from the oldest on, round and round.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from evloop.control.gates import GATES
from evloop.testing import MAY_FAIL
from evloop_simulation.afterwards import at_end, at_rest, at_stop
from evloop_simulation.clients import POISON, Client, WrongError
from evloop_simulation.invariants import Invariants
from evloop_simulation.made import PORT, Classes, Made

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from evloop.address import InetSockaddr
    from evloop.testing import SimulatedStream
    from evloop_simulation.setup import Setup

    Move: TypeAlias = tuple[Any, ...]  # a method's name and its arguments, whole numbers

__all__ = ["CALLS", "PORT", "Classes", "World"]

TURNS = frozenset({"tick", "sleep", "settle"})  # moves of the loop's own
MOST_CLIENTS = 12
FOREIGN = "192.0.2.7"
MOST_TURNS = 20_000  # until nothing is left to be done
CALLS = ("accept", "recv", "send", "recvfrom", "sendto", "shutdown", "register")
SHORT = (errno.ENOMEM, errno.ENOBUFS)
PATIENCE = 50  # rounds in which nothing happens, before it is said that nothing will
SECOND = 1_000_000_000  # ns


class World(Made):
    """One server from its start to its end."""

    def __init__(self, setup: Setup, classes: Classes = Classes()) -> None:  # noqa: B008 - it never changes
        super().__init__(setup, classes)
        self.clients: list[Client] = []
        self.client_of: dict[SimulatedStream, Client] = {}
        self.ticks = self.moves = 0  # turns of the loop; what others have done
        self.signals = 0
        self.pipe_ended = False
        self._ports = 50_000
        self.invariants = Invariants(self)

    # -- moves of clients ------------------------------------------------------------------

    def make(self, move: Move) -> None:
        """Make a move."""
        getattr(self, move[0])(*move[1:])
        if move[0] not in TURNS:
            self.moves += 1
            self.invariants.moved()

    def _client(self, who: int) -> Client | None:
        if self.clients:
            return self.clients[who % len(self.clients)]
        self.moves -= 1  # it is none
        return None

    def connect(self, kind: int) -> None:
        """Somebody calls, over TCP (0) or Unix (1)."""
        if len(self.clients) >= MOST_CLIENTS:
            return
        self._ports += 1
        listener = self.listeners[kind % 2]
        end = listener.connect(("127.0.0.1", self._ports) if listener.protocol == "tcp" else "")
        if end is not None:
            client = self.client_of[end.peer] = Client(end)
            self.clients.append(client)

    def say(self, who: int, n: int) -> None:
        """A client sends."""
        client = self._client(who)
        if client is not None:
            client.say(n)

    def poison(self, who: int) -> None:
        """A client sends what the server's handler does not survive."""
        client = self._client(who)
        if client is not None:
            client.poison()

    def hear(self, who: int, n: int) -> None:
        """A client reads."""
        client = self._client(who)
        if client is not None:
            client.hear(n)

    def shut(self, who: int) -> None:
        """A client has said all, and goes on listening."""
        client = self._client(who)
        if client is not None:
            client.shut()

    def leave(self, who: int, abruptly: int) -> None:
        """A client closes; abruptly, with a reset."""
        client = self._client(who)
        if client is not None:
            client.leave(abruptly=bool(abruptly))
            self.clients.remove(client)

    def datagram(self, size: int, port: int, host: int, many: int) -> None:
        """Datagrams come, all alike, from one of our hosts (0) or a foreign one; it may be forged."""
        sender: InetSockaddr = (FOREIGN if host else "127.0.0.1", port)
        data = POISON if size < 0 else b"%d postcard " % size * (size // 4 + 1)
        for _ in range(many):
            self.mailbox.deliver(data[: abs(size)], sender)

    # -- moves of the kernel ----------------------------------------------------------------

    def icmp(self, which: int) -> None:
        """A router says that a datagram did not arrive."""
        if not self.mailbox.closed:
            self.mailbox.refuse((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)[which % 3])

    def fail(self, call: int, which: int, who: int) -> None:
        """A call is to fail, once: on one connection's socket, or on a listener or the mailbox."""
        name = CALLS[call % len(CALLS)]
        numbers = MAY_FAIL[name]
        of = self._of_whom(name, who)
        if of is not None and of.fd >= 0:
            self.kernel.faults.add(name, numbers[which % len(numbers)], of)
            self.invariants.hurt.add(of)

    def _of_whom(self, call: str, who: int) -> Any:
        if call == "accept":
            return self.listeners[who % 2]
        if call == "register":
            return self.listeners[who % 3] if who % 3 < 2 else None
        if call in {"recvfrom", "sendto"}:
            return self.mailbox
        client = self._client(who)
        return client.end.peer if client is not None else None

    def register_fails(self, which: int) -> None:
        """The next that is to be watched cannot be, whoever it is."""
        self.kernel.faults.add("register", MAY_FAIL["register"][which % 2])
        self.invariants.register_failed = True

    def lasting(self, which: int, who: int) -> None:
        """Memory is short for a while: no call on a listener, or on the mailbox, succeeds."""
        of: Any = (*self.listeners, self.mailbox)[who % 3]
        if of.fd >= 0:
            self.kernel.faults.lasting["accept" if who % 3 < 2 else "recvfrom", of] = SHORT[
                which % len(SHORT)
            ]

    def well(self) -> None:
        """There is memory again."""
        self.kernel.faults.lasting.clear()

    def little(self, who: int, n: int) -> None:
        """The next send to a client takes no more than so many bytes."""
        client = self._client(who)
        if client is not None:
            client.end.peer.most = max(n, 1)

    def descriptors(self, left: int) -> None:
        """The process may open so many more; -1 is as many as it likes."""
        kernel = self.kernel
        kernel.descriptors = 1 << 16 if left < 0 else max(kernel.open) + 1 + left

    def rotate(self, n: int) -> None:
        """The selector reports in another order."""
        self.kernel.rotation = n

    def signal(self) -> None:
        """A signal says to stop."""
        pipe = self.kernel.pipes[0]
        if not pipe.closed:
            self.signals += 1
            pipe.arrive("SIGTERM")

    def pipe_ends(self) -> None:
        """Somebody closes the other end of the signal pipe, which is how the loop is told of gates."""
        if self.gates is not None:
            return
        self.pipe_ended = True
        self.kernel.pipes[0].end()

    def gate(self, which: int, held: int) -> None:
        """A gate is held, or released."""
        if self.gates is not None:
            self.gates.set(GATES[which % len(GATES)], held=bool(held))
            self.kernel.pipes[0].knock()

    # -- time -----------------------------------------------------------------------------

    def wait(self, ms: int) -> None:
        """Time passes before the loop polls again: the machine was busy, or asleep."""
        self.kernel.pass_time(ms / 1000)

    def handler_is_slow(self, ms: int) -> None:
        """The next handler takes so long, and everybody waits."""
        self.slow = ms * 1_000_000

    def oversleep(self, ms: int) -> None:
        """The next sleep to its end is longer than it should be."""
        self.kernel.oversleep = ms * 1_000_000

    def tick(self) -> None:
        """The loop takes a turn, if it would not just sleep."""
        if self.poller.is_anybody_ready or self.kernel.away:
            self._turn()

    def sleep(self) -> None:
        """The loop takes a turn; it sleeps to the next timer, if it may."""
        if self.poller.is_anybody_ready or self.loop.timers:
            self._turn()

    def _turn(self) -> None:
        if not self.is_running or (not self.loop.timers and not self.poller.is_anybody_ready):
            return
        self.ticks += 1
        self.invariants.before()
        self.loop.tick()
        self.invariants.after()

    def settle(self) -> None:
        """The loop takes turns until nobody is ready: without end, only if it does nothing in them."""
        if self.is_loud:
            self.tick()
            return
        for _ in range(MOST_TURNS):
            if not (self.poller.is_anybody_ready and self.is_running):
                return
            self._turn()
        raise WrongError("the loop does not come to rest")

    # -- the end --------------------------------------------------------------------------

    def calm(self) -> None:
        """All is well from now on: everybody must be answered, or be ended, and leave nothing behind."""
        kernel = self.kernel
        kernel.faults.clear()
        kernel.descriptors, kernel.oversleep, self.slow = 1 << 16, 0, 0
        if self.gates is not None:
            self.gates.open()
            self.kernel.pipes[0].knock()
        for client in self.clients:
            client.shut()
        idle = 0
        while idle < PATIENCE and self.is_running:
            work = kernel.work
            self._hear_all()
            self.settle()
            idle = 0 if kernel.work > work else idle + 1
            if idle:
                left = self.streams or any(listener.queue for listener in self.listeners)
                if not left and len(self.loop.timers) <= bool(self.setup.sample):
                    break
                self.sleep()
        self._hear_all()
        at_rest(self)

    def _hear_all(self) -> None:
        for client in self.clients:
            while client.hear(1 << 20):
                pass

    def finish(self) -> None:
        """Stop the server, and close it: nothing must be left."""
        if self.pipe_ended:
            self.server.stop("nobody can send a signal any more")
        elif self.is_running:
            self.signal()
        for _ in range(MOST_TURNS):
            if not self.is_running:
                break
            if not self.poller.is_anybody_ready and not self.loop.timers:
                raise WrongError("the server would never stop: nobody is ready and no timer is set")
            self._turn()
        at_stop(self)
        self.server.close()
        if self.recorder is not None:
            self.recorder.close(self.kernel.time - self.recorder.origin)
        self.loop.close()
        at_end(self)
