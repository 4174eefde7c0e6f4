"""accept(2) in batches: what an error says of the next one."""

from __future__ import annotations

from evloop.bugs.bug import Bug
from evloop.net.listener import Listener
from evloop.net.shortage import Shortage
from evloop.parts import Parts
from evloop.servers.loop import LoopServer

__all__ = ["BUGS"]


class _NeverGivesUp(Shortage):
    def may_go_on(self, error: OSError) -> bool:
        """Without descriptors it backs off, and then asks for the next one all the same."""
        super().may_go_on(error)
        return True


class _NeverGivesUpListener(Listener):
    shortage_class = _NeverGivesUp


class _NeverGivesUpServer(LoopServer):
    listener_class = _NeverGivesUpListener


class _GivesUpTooSoon(Shortage):
    def may_go_on(self, error: OSError) -> bool:
        """One connection that failed on its way ends the batch, as if there were no more."""
        super().may_go_on(error)
        return False


class _GivesUpTooSoonListener(Listener):
    shortage_class = _GivesUpTooSoon


class _GivesUpTooSoonServer(LoopServer):
    listener_class = _GivesUpTooSoonListener


BUGS = (
    Bug(
        name="emfile-no-return",
        wrong="accept fails for want of descriptors. The server stops watching the listener and sets a "
        "timer to try again, as it should, but its batch of accepts goes on: every one of them "
        "fails, and sets a timer of its own.",
        project="CPython's asyncio, from 3.8 on: one EMFILE gave a hundred calls of the handler and a "
        "hundred timers. The test asserted that it was called, and did not count",
        thread="https://github.com/python/cpython/issues/151615",
        cure="Return: the shortage is over when somebody closes something, and not for the next one of "
        "the batch.",
        lint="spin-accept",
        parts=Parts(server=_NeverGivesUpServer),
        prefix="ulimit -n 16;",
        provoke=(
            "# more clients than there are descriptors for",
            "for i in {1..12}; do exec {fd}<>/dev/tcp/127.0.0.1/8080; done; sleep 0.5",
        ),
        seen="A batch of accepts fails with EMFILE, one after another, and a tenth of a second later as many "
        "timers run in one tick.",
    ),
    Bug(
        name="abort-stops-batch",
        wrong="A connection that was aborted before it was accepted ends the batch, as if the queue "
        "were empty. Those behind it wait for another turn of the loop, each time.",
        project="CPython's asyncio, 3.12 to 3.14: ECONNABORTED shared its branch with EAGAIN, which means "
        "that there are no more",
        thread="https://github.com/python/cpython/issues/127529",
        cure="Tell the errors of accept(2) apart: EAGAIN is the end of the queue, ECONNABORTED and the "
        "network's are of one connection, a shortage is of the system.",
        lint="accept-stopped",
        parts=Parts(server=_GivesUpTooSoonServer),
        prefix="strace -D -qq -o /dev/null -e trace=accept4 -e inject=accept4:error=ECONNABORTED:when=1",
        provoke=(
            "# three clients are there when it looks, and the first, it is told, was aborted",
            "kill -STOP $SERVER; for i in {1..3}; do exec {fd}<>/dev/tcp/127.0.0.1/8080; done",
            "echo hello >&$fd; kill -CONT $SERVER; head -n1 <&$fd",
        ),
        needs=("strace",),
        seen="The accept that failed is the last of its tick, though others wait: the listener is "
        "reported again, at once.",
    ),
)
