"""Callers whose handshake is finished, and nobody accepts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Accept
from evloop_trace.model.diagnosis.finding import Elsewhere, Finding, evidence, with_more
from evloop_trace.model.diagnosis.present import is_recent
from evloop_trace.model.diagnosis.words import join, moment, sentence
from evloop_trace.model.filters import due
from evloop_trace.numbers import plural

if TYPE_CHECKING:
    from evloop_trace.model.diagnosis.scene import Callers, Scene
    from evloop_trace.model.diagnosis.state import Listener, Process, Thread

__all__ = ["meanwhile", "queue_of", "unaccepted"]

_NAMED = 3  # callers


def meanwhile(scene: Scene, process: Process, thread: Thread, finding: Finding) -> Finding:
    """The finding, with the callers that wait for its thread: it alone accepted them until now."""
    for listener in scene.neglected(process):
        if scene.user(listener) is thread:
            queue = queue_of(scene, listener)
            waits = scene.callers(listener).number > 0
            more = with_more(finding, queue)
            text = f"Meanwhile {queue.text}" if waits else sentence(queue.text)
            if queue.text in finding.sentence:
                text = ""  # it calls its own listener
            return more._replace(sentence=join(more.sentence, text), stuck=more.stuck or waits)
    return finding


def unaccepted(scene: Scene, process: Process, listener: Listener) -> Finding | None:
    """The kernel finishes handshakes up to the backlog, whether anybody calls accept(2) or not.

    The callers are connected, may send, and get no answer. When the queue is full, further SYNs are dropped:
    nobody is refused.
    """
    if listener not in scene.neglected(process) or not scene.callers(listener).number:
        return None
    user = scene.user(listener)
    if user is not None and user.wait is not None and user not in scene.polling(process):
        return None  # it is told with the thread
    if user is not None and user.last is not None and is_recent(process, due(user.last)):
        return None  # who accepts is busy, and may come back
    queue = queue_of(scene, listener)
    polled = f"The poll does not watch {listener.name}." if scene.watched(listener) is not None else ""
    limits = [limit for limit in process.limits.values() if limit.sock in {listener.name, None}]
    held = f"A limit holds since {moment(limits[-1].t)}: {limits[-1].what}." if limits else ""
    return Finding(
        "queue",
        join(sentence(queue.text), polled, held),
        process.label,
        None,
        listener.name,
        None if listener.sample is None else listener.sample.t,
        evidence((process, [listener.opened, *limits]), *queue.found),
    )


def queue_of(scene: Scene, listener: Listener) -> Elsewhere:
    """What is known of a listener's queue."""
    callers = scene.callers(listener)
    backlog = "" if listener.backlog is None else f" (backlog {listener.backlog})"
    queue = f"{listener.name}'s queue{backlog}"
    if not callers.number:
        if callers.counted is not None:
            return Elsewhere(f"nobody waits in {queue}{_how(callers)}.")
        return Elsewhere(_nobody(listener, queue), [(listener.process, [listener.sample])])
    verb = "waits" if callers.number == 1 else "wait"
    text = f"{plural(callers.number, 'finished handshake')} {verb} in {queue}{_how(callers)}."
    if listener.backlog is not None and callers.number > max(listener.backlog, 0):
        text += " It is full: the SYNs of others are dropped."
    ours = (listener.process, [callers.sampled, *callers.later])
    return Elsewhere(text, [ours, *((caller.process, [caller.opened]) for caller in callers.known[:_NAMED])])


def _how(callers: Callers) -> str:
    """How the number is known."""
    now = "" if callers.counted is None else f", as the kernel counts now, at {moment(callers.counted)}"
    if len(callers.known) == callers.number > 0:
        names = ", ".join(stream.name for stream in callers.known[:_NAMED])
        more = f" and {callers.number - _NAMED:,} more" if callers.number > _NAMED else ""
        return f"{now}: {names}{more}"
    if now:
        return now
    if callers.sampled is None or callers.number > callers.queued:
        return ", as their later accepts tell"
    what = "at the last accept" if isinstance(callers.sampled, Accept) else "when it was looked at"
    return f", counted {what}, at {moment(due(callers.sampled))}"


def _nobody(listener: Listener, queue: str) -> str:
    """Nothing says that anybody waits."""
    if listener.sample is None:
        return f"whether anybody waits in {queue} is not in the log."
    return (
        f"nobody waited in {queue} at {moment(due(listener.sample))}; who has called since is not in the log."
    )
