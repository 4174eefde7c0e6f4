"""Callers whose handshake is finished, and nobody accepts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Accept
from evloop_trace.model.diagnosis.finding import Finding, evidence, with_more
from evloop_trace.model.diagnosis.words import join, moment, plural, sentence
from evloop_trace.model.filters import due

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent
    from evloop_trace.model.diagnosis.scene import Callers, Scene
    from evloop_trace.model.diagnosis.state import Listener, Process, Thread

__all__ = ["meanwhile", "queue_of", "unaccepted"]


def meanwhile(scene: Scene, process: Process, thread: Thread, finding: Finding) -> Finding:
    """The finding, with the callers that wait for its thread: it alone accepted them until now."""
    for listener in scene.neglected(process):
        if scene.user(listener) is thread:
            text, events = queue_of(scene, listener)
            waits = scene.callers(listener).number > 0
            more = with_more(finding, process, events)
            text = f"Meanwhile {text}" if waits else sentence(text)
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
    text, events = queue_of(scene, listener)
    polled = f"The poll does not watch {listener.name}." if scene.watched(listener) is not None else ""
    limits = [limit for limit in process.limits.values() if limit.sock in {listener.name, None}]
    held = f"A limit holds since {moment(limits[-1].t)}: {limits[-1].what}." if limits else ""
    return Finding(
        "queue",
        join(sentence(text), polled, held),
        process.label,
        None,
        listener.name,
        None if listener.sample is None else listener.sample.t,
        evidence((process, [listener.opened, *events, *limits])),
    )


def queue_of(scene: Scene, listener: Listener) -> tuple[str, list[AnyEvent | None]]:
    """What is known of a listener's queue, and by which events."""
    callers = scene.callers(listener)
    backlog = "" if listener.backlog is None else f" (backlog {listener.backlog})"
    queue = f"{listener.name}'s queue{backlog}"
    if not callers.number:
        return _nobody(listener, queue), [listener.sample]
    verb = "waits" if callers.number == 1 else "wait"
    text = f"{plural(callers.number, 'finished handshake')} {verb} in {queue}{_how(callers)}."
    if listener.backlog is not None and callers.number > max(listener.backlog, 0):
        text += " It is full: the SYNs of others are dropped."
    return text, [callers.sampled, *callers.later, *[stream.opened for stream in callers.known[:3]]]


def _how(callers: Callers) -> str:
    """How the number is known."""
    if len(callers.known) == callers.number:
        names = ", ".join(stream.name for stream in callers.known[:3])
        return f": {names}" + (f" and {callers.number - 3:,} more" if callers.number > 3 else "")
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
