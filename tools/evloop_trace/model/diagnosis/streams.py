"""Open connections on which no thread sleeps: whose turn it is, and who would notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Recv
from evloop_trace.model.diagnosis.far import far_end
from evloop_trace.model.diagnosis.finding import Cause, Finding
from evloop_trace.model.diagnosis.present import has_news, is_recent, kernel_says, seen_of
from evloop_trace.model.diagnosis.waits import unanswered
from evloop_trace.model.diagnosis.words import (
    call,
    close_wait,
    join,
    on,
    peer_of,
    place,
    sentence,
    since,
    when,
    who,
)
from evloop_trace.model.filters import due
from evloop_trace.numbers import size

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.model.diagnosis.scene import Scene
    from evloop_trace.model.diagnosis.state import Stream

__all__ = ["standing"]


def standing(scene: Scene, stream: Stream) -> Finding | None:
    """What the first rule that holds of an open connection says of it."""
    if scene.waiters(stream):
        return None  # it is told with the thread
    cause = next((cause for rule in _RULES if (cause := rule(scene, stream)) is not None), None)
    if cause is None:
        return None
    return Finding(
        cause.kind,
        sentence(join(cause.text, kernel_says(stream), cause.elsewhere.text)),
        stream.process.label,
        getattr(stream.touched, "thread", None),
        stream.name,
        cause.since,
        cause.evidence(stream.process),
        cause.stuck and not is_recent(stream.process, cause.since),
    )


def _connecting(scene: Scene, stream: Stream) -> Cause | None:
    """A non-blocking connect(2) goes on by itself; at its end the socket is writable."""
    begun = stream.connecting
    if begun is None or _awake(scene, stream):
        return None
    now = scene.now(stream.process)
    text = f"{stream.name} has been connecting to {peer_of(stream)}{since(begun.t, now)}{place(begun)}."
    if "WRITE" in _mask(scene, stream):
        return Cause("connect-unanswered", text, [begun], unanswered(scene, stream.peer), begun.t)
    text = f"{text} Nobody watches it for WRITE, so nobody learns how that ends."
    return Cause("connect-unwatched", text, [begun], since=begun.t)


def _broken(_scene: Scene, stream: Stream) -> Cause | None:
    """After a reset nothing moves any more; the descriptor stays open until close(2)."""
    failed = stream.broken
    if failed is None:
        return None
    how = f"{call(failed)} failed with {failed.errno} {when(failed)}"
    text = f"{stream.name} is broken: {how}; it is still open."
    return Cause("broken", text, [stream.opened, failed], since=due(failed), stuck=False)


def _unsent(scene: Scene, stream: Stream) -> Cause | None:
    """EAGAIN, or less taken than offered: the kernel's buffer is full, since the peer does not read.

    The rest can be sent when the socket is writable again, which only who watches it for WRITE learns.
    """
    rest = stream.rest
    if rest is None or _awake(scene, stream):
        return None
    taken = "nothing" if rest.n is None else size(rest.n)
    text = (
        f"{call(rest)} on {stream.name} took {taken} of {size(rest.size)} {when(rest)}: the kernel's buffer "
    )
    if "WRITE" in _mask(scene, stream):
        kind = "send-full"
        text += f"is full, as {peer_of(stream)} does not read. The poll waits until there is room."
    else:
        kind = "send-lost"
        text += (
            "is full, and the rest is never sent: nobody watches it for WRITE, and nobody has tried again."
        )
    return Cause(kind, text, [stream.opened, rest], far_end(scene, stream), due(rest))


def _close_wait(_scene: Scene, stream: Stream) -> Cause | None:
    """recv() = 0 is the peer's FIN: the connection stays in CLOSE-WAIT until we close it, if ever."""
    end = stream.ends.first
    if end is None:
        return None
    return Cause("close-wait", close_wait(stream, end), [stream.opened, end], since=due(end))


def _fin_wait(scene: Scene, stream: Stream) -> Cause | None:
    """After shutdown(SHUT_WR) the peer reads our end; the connection is over when it closes too."""
    shut = stream.shut
    if shut is None:
        return None
    text = (
        f"We have finished sending on {stream.name}, {when(shut)}, and wait for {peer_of(stream)} to close "
        "its side."
    )
    events = [stream.opened, stream.last, shut]
    return Cause("fin-wait", text, events, far_end(scene, stream), shut.t)


def _once(_scene: Scene, stream: Stream) -> Cause | None:
    """With EPOLLONESHOT a socket is watched until it is ready once; epoll_ctl(2) has to arm it again."""
    armed, told = stream.interest, stream.ready.last
    if armed is None or "once" not in armed.reason or told is None or told.seq < armed.seq:
        return None
    text = (
        f"{stream.name} is watched no more: it was registered for one readiness{place(armed)}, of which the "
        f"poll told {when(told)}, and nobody has armed it again."
    )
    return Cause("unwatched", text, [stream.opened, armed, told], since=due(told))


def _edge(_scene: Scene, stream: Stream) -> Cause | None:
    """An edge-triggered poll tells of what comes and not of what is left: epoll(7) says, read to EAGAIN."""
    armed, got = stream.interest, stream.recv
    if armed is None or "edge-triggered" not in armed.reason or got is None:
        return None
    if stream.touched is not got or got.n != got.size:
        return None
    if seen_of(stream) is not None and not has_news(stream):
        return None  # nothing was left
    text = (
        f"{stream.name} is watched edge-triggered{place(armed)}, and the last recv() filled its "
        f"{size(got.size)}, {when(got)}: bytes that were left behind wake nobody."
    )
    return Cause("edge-left", text, [stream.opened, armed, got], since=due(got))


def _unwatched(scene: Scene, stream: Stream) -> Cause | None:
    """A poll tells only of what it was asked: bytes on another socket wake nobody.

    What another thread used last is that thread's affair: a server may start one for every connection.
    """
    if scene.watched(stream) != "" or _is_read(stream):
        return None
    polling, user = scene.polling(stream.process), scene.user(stream)
    if user is not None and user not in polling:
        return None
    thread = polling[0] if user is None else user
    text = (
        f"Nobody watches {stream.name}: {who(stream.process, thread)} sleeps in poll(), and neither bytes "
        f"from {peer_of(stream)} nor its end wake it."
    )
    events = [stream.opened, stream.touched, thread.wait]
    return Cause("unwatched", text, events, far_end(scene, stream), _touched(stream))


def _quiet(scene: Scene, stream: Stream) -> Cause | None:
    """It is watched, so the next step is the peer's; whether that is as it should be, its last bytes tell."""
    watched, last = scene.watched(stream), stream.last
    if not watched or last is None or isinstance(last, Recv) == stream.client or _is_read(stream):
        return None  # nobody has asked, or who asked was answered
    if stream.client:
        kind = "poll-reply"
        text = f"We have sent {size(stream.sent)} on {stream.name}, the last {when(last)}, and wait for the "
        text += f"answer: {peer_of(stream)} has sent nothing since."
    else:
        kind = "poll-more"
        text = f"{peer_of(stream)} has sent {size(stream.received)} on {stream.name}, the last {when(last)}, "
        text += "and nothing since; we have not answered."
    text += f" The poll watches it for {watched}."
    events = [stream.opened, stream.recv, stream.send]
    return Cause(kind, text, events, far_end(scene, stream), due(last))


def _unattended(scene: Scene, stream: Stream) -> Cause | None:
    """A thread that sleeps in one call serves nobody else."""
    thread = scene.user(stream)
    if thread is None or thread.wait is None or scene.watched(stream) or _is_read(stream):
        return None
    wait, now = thread.wait, scene.now(stream.process)
    text = (
        f"Nobody waits for {stream.name}: {who(stream.process, thread)}, which used it last, has been in "
        f"{call(wait)}{on(thread)}{since(wait.t, now)}{place(wait)}."
    )
    events = [stream.opened, stream.touched, wait]
    waits = has_news(stream) or (stream.other is not None and stream.other.sent > stream.received)
    return Cause("unattended", text, events, far_end(scene, stream), _touched(stream), waits)


_RULES: tuple[Callable[[Scene, Stream], Cause | None], ...] = (
    _connecting, _broken, _unsent, _close_wait, _fin_wait, _once, _edge, _unwatched, _quiet, _unattended,
)  # fmt: skip


def _is_read(stream: Stream) -> bool:
    """One end of a pair with which a program wakes itself, and all that was written to it is read."""
    other = stream.other
    return bool(stream.paired) and other is not None and other.sent <= stream.received


def _mask(scene: Scene, stream: Stream) -> str:
    """What it is watched for, by a poll that sleeps or, if none does, by the next one."""
    watched = scene.watched(stream)
    return stream.watched if watched is None else watched


def _awake(scene: Scene, stream: Stream) -> bool:
    """The thread that used it last is in no call, so it may still do what is to be done."""
    thread = scene.user(stream)
    return thread is not None and thread.wait is None and thread not in scene.polling(stream.process)


def _touched(stream: Stream) -> int | None:
    return None if stream.touched is None else due(stream.touched)
