"""A connection: a full buffer, the end of a stream, a client that never pauses."""

from __future__ import annotations

from evloop.bugs.bug import Bug
from evloop.kernel import IN
from evloop.loop.loop import SECOND
from evloop.net.stream import Stream
from evloop.parts import Parts
from evloop.servers.loop import LoopServer

__all__ = ["BUGS"]

# The bug has no such bound. Ours is there so that Ctrl-C, which the loop hears between two turns, is heard.
PATIENCE = 1 * SECOND


class _ForgetsTheRest(Stream):
    __slots__ = ()

    def _keep(self, rest: bytes | memoryview) -> None:
        """Whether send(2) took all of it, nobody asks: the rest is gone."""


class _ForgetsTheRestServer(LoopServer):
    stream_class = _ForgetsTheRest


class _HangsOn(Stream):
    __slots__ = ()

    def _end_of_stream(self) -> None:
        """The peer has ended: there is nothing more to read, so nobody looks at it again, nor closes it."""
        self.eof = True
        self._loop.interests.update(self)

    def _all_sent(self) -> None:
        if not self.eof:
            super()._all_sent()


class _HangsOnServer(LoopServer):
    stream_class = _HangsOn


class _DrainsForEver(Stream):
    __slots__ = ()

    def on_ready(self, bits: int) -> bool:
        """Read until there is nothing more (EAGAIN): it saves polls, and others can wait."""
        now, more = self._loop.kernel.now, super().on_ready(bits)
        until = now() + PATIENCE
        while more and not self._paused and now() < until:
            more = super().on_ready(IN)
        return False


class _DrainsForEverServer(LoopServer):
    stream_class = _DrainsForEver


BUGS = (
    Bug(
        name="partial-send-dropped",
        wrong="send takes less than it is offered when the kernel's buffer is full, and says so. The "
        "server does not look, and the rest of the answer is lost.",
        project="CPython's asyncio, 3.12: what writelines() could not send at once was never sent",
        thread="https://github.com/python/cpython/issues/103462",
        cure="Keep what send did not take, watch for WRITE, and send it when there is room.",
        lint="lost-interest",
        parts=Parts(server=_ForgetsTheRestServer),
        provoke=(
            "# sends 16 MB, and reads the answer later: how much comes back?",
            "exec 3<>/dev/tcp/127.0.0.1/8080; head -c 16M /dev/zero >&3 &",
            "sleep 0.5; timeout --foreground 1 cat <&3 | wc -c; exec 3>&-",
        ),
        seen="A send that took less than it was offered, and the next begins behind what was never "
        "sent: 16,777,216 bytes go in, and fewer come out.",
    ),
    Bug(
        name="eof-ignored",
        wrong="recv gives nothing: the client has ended. The server stops reading, and leaves the "
        "connection as it is. Its descriptor and its place are gone for good: CLOSE-WAIT.",
        project="ws, for Node: the sockets that it got from an HTTP server stay open when the peer has "
        "ended (allowHalfOpen), and nobody closed them",
        thread="https://github.com/websockets/ws/pull/540",
        cure="At the end of the stream send what is still to be sent, and close.",
        lint="close-wait",
        parts=Parts(server=_HangsOnServer),
        options=("--drain-timeout", "1"),
        provoke=(
            "for i in {1..3}; do evloop client 127.0.0.1:8080 hello; done",
            "ss -tn state close-wait",
        ),
        needs=("ss",),
        seen="Connections end and stay: recv = 0, and no close. ss shows them in CLOSE-WAIT for as "
        "long as the server lives.",
    ),
    Bug(
        name="drain-forever",
        wrong="A connection is read until there is nothing more. A client that sends as fast as the "
        "server reads always has more: nobody else is served, no timer runs, Ctrl-C is not heard. "
        "(Here it ends after 1 s, so that you can stop it.)",
        project="curio: a read or write that need not wait did not give way. Of two clients of an echo "
        "server one had 220 exchanges in a row, and the other waited for 100 ms",
        thread="https://github.com/dabeaz/curio/issues/106",
        cure="A bounded piece of work a readiness: level-triggered, what is left is reported again, "
        "after the others had their turn.",
        lint="starvation",
        parts=Parts(server=_DrainsForEverServer),
        options=("--recv-size", "1024"),
        provoke=(
            "# one that never pauses, and one that asks a short question meanwhile",
            "exec 3<>/dev/tcp/127.0.0.1/8080; timeout 2 cat /dev/zero >&3 &",
            "head -c 1M <&3 > /dev/null; timeout 2 cat <&3 > /dev/null &",
            "exec 4<>/dev/tcp/127.0.0.1/8080; echo hello >&4; time head -n1 <&4; wait",
        ),
        seen="Ticks of up to a second each, full of one connection's reads. The short question waits in the "
        "accept queue until it is over. While a tick lasts the server says nothing, and the picture only "
        "that it works; of the reads it has heard few, and the log has all.",
    ),
)
