"""What the selector is asked to watch for: too much, or nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.bugs.bug import Bug
from evloop.kernel import WRITE
from evloop.loop.interest import Interests
from evloop.loop.loop import Loop
from evloop.net.stream import Stream
from evloop.parts import Parts
from evloop.servers.loop import LoopServer

if TYPE_CHECKING:
    from evloop.kernel import Poller
    from evloop.loop.interest import Watched
    from evloop.trace import Trace

__all__ = ["BUGS"]


class _WritesForEver(Stream):
    __slots__ = ()

    def wants(self) -> tuple[int, str]:
        """What was watched for once, is watched for ever: nobody takes WRITE back when all is sent."""
        mask, reason = super().wants()
        return mask | self.watching & WRITE, reason


class _WritesForEverServer(LoopServer):
    stream_class = _WritesForEver


class _RegisteredForNothing(Interests):
    """Who wants nothing stays registered, with a mask of 0: what else should come?

    ERR and HUP come, whatever the mask: epoll_ctl(2). Nobody is there to take them, so they come again.
    """

    def __init__(self, poller: Poller, trace: Trace) -> None:
        super().__init__(poller, trace)
        self._still_there: set[int] = set()  # descriptors, registered for nothing

    def watch(self, item: Watched, mask: int, reason: str) -> None:
        """As in `Interests`, but with a mask of 0 where that unregisters."""
        fd, old = item.fd, item.watching
        if old and not mask:
            self._poller.modify(fd, 0)
            self._still_there.add(fd)
            del self.watched[fd]
        elif mask and fd in self._still_there:
            self._poller.modify(fd, mask)
            self._still_there.remove(fd)
            self.watched[fd] = item
        else:
            super().watch(item, mask, reason)
            return
        item.watching = mask
        self._trace.interest(item.sock, old, mask, reason)

    def drop(self, item: Watched, reason: str) -> None:
        """Who goes for good is unregistered."""
        super().watch(item, 0, reason)
        if item.fd in self._still_there:
            self._still_there.remove(item.fd)
            self.newcomers.discard(item.fd)
            self._poller.unregister(item.fd)


class _RegisteredForNothingLoop(Loop):
    interests_class = _RegisteredForNothing


BUGS = (
    Bug(
        name="write-interest-left-on",
        wrong="When the last byte has been sent, the connection is still watched for WRITE. A socket is "
        "nearly always writable: every poll returns at once, and the loop spins.",
        project="libuv: uv__drain() did not always stop POLLOUT, and a program with one idle client used "
        "a whole core",
        thread="https://github.com/libuv/libuv/issues/3671",
        cure="Compute the interest from the state in one place, and let nobody else call modify: "
        "without bytes to send there is no WRITE.",
        lint="spin-write",
        parts=Parts(server=_WritesForEverServer),
        provoke=(
            "# sends 16 MB, reads the answer later, and then says nothing and stays",
            "exec 3<>/dev/tcp/127.0.0.1/8080; head -c 16M /dev/zero >&3 &",
            "sleep 0.5; head -c 16M <&3 | wc -c; sleep 0.3",
            "# when you have seen it",
            "exec 3>&-",
        ),
        seen="A client that says nothing wakes the loop at once, every time: poll returns OUT, and no "
        "call follows. One core is busy with an idle connection.",
    ),
    Bug(
        name="mask0-hup-spin",
        wrong="A connection that shall not be read just now is watched for nothing, but stays "
        "registered. When its peer leaves, the kernel reports HUP, which no mask keeps out, and "
        "does so for ever.",
        project="SwiftNIO: EPOLLHUP was ignored, and a Unix socket whose peer had closed kept epoll_wait "
        "from sleeping. libuv (issue 2162, a paused socket) and Bun (pull request 37928) had the "
        "same",
        thread="https://github.com/apple/swift-nio/issues/277",
        cure="Unregister what is watched for nothing, and register it again when it is of interest.",
        lint="spin-hup",
        parts=Parts(loop=_RegisteredForNothingLoop),
        options=("--unix", "./bug.sock", "--control", "./bug.control"),
        provoke=(
            "# somebody comes and has an answer; reading is held back; and they go",
            "coproc socat - UNIX:bug.sock; echo hello >&${COPROC[1]}; read <&${COPROC[0]}",
            "echo hold read | socat -t1 - UNIX:bug.control; kill $COPROC_PID; sleep 0.3",
        ),
        needs=("socat",),
        seen="From then on every poll returns HUP of a connection that nobody watches, and nothing is "
        "done about it.",
        selectors=("epoll", "poll"),
    ),
)
