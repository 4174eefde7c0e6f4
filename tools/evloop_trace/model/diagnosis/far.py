"""What the other end of a connection does, where its log is among those that are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Unseen
from evloop_trace.model.diagnosis.finding import Elsewhere
from evloop_trace.model.diagnosis.present import OPEN, has_news, is_recent, is_stopped, seen_of
from evloop_trace.model.diagnosis.words import call, join, moment, on, past, place, when, who
from evloop_trace.model.filters import due
from evloop_trace.numbers import size

if TYPE_CHECKING:
    from evloop.events.schema import Close
    from evloop_trace.model.diagnosis.scene import Scene
    from evloop_trace.model.diagnosis.state import Stream, Thread

__all__ = ["both_wait", "far_end"]


def both_wait(scene: Scene, stream: Stream, thread: Thread) -> bool:
    """Whether a thread waits at the other end for the same as this one does here: neither will be served.

    Bytes on their way may wake whoever waits to read them, another thread may speak, and who is stopped by a
    signal may go on. Of a moment in the middle of a log it is known whether somebody was served after all.
    """
    other = stream.other
    if other is None or other.closed is not None or is_stopped(other.process):
        return False
    if thread.awaits == "recv" and any(_has_more(end) or _may_speak(end) for end in (stream, other)):
        return False
    waiting = [one for one in scene.waiters(other) if one.awaits == thread.awaits]
    return bool(waiting) and not any(_was_served(one) for one in (thread, *waiting))


def _has_more(stream: Stream) -> bool:
    """Something, or its end, has been sent that the program has not read."""
    return (stream.other is not None and stream.other.sent > stream.received) or has_news(stream)


def _may_speak(stream: Stream) -> bool:
    """The thread that sent last is in no call: it does not read, and may send again."""
    thread = None if stream.send is None else stream.process.threads.get(stream.send.thread)
    return thread is not None and thread.wait is None


def _was_served(thread: Thread) -> bool:
    """The call, in which it sleeps at the moment, brought something when it returned."""
    return bool(getattr(thread.returned, "n", None))


def far_end(scene: Scene, stream: Stream) -> Elsewhere:
    """Sentences about the other end, and its events; nothing if no log has it."""
    other = stream.other
    if other is None:
        return _queued(scene, stream)
    process = other.process
    if other.closed is not None:
        return Elsewhere(_closed(stream, other, other.closed), [(process, [other.closed])])
    moved = _on_the_way(stream, other)
    if is_stopped(process) and process is not stream.process:
        text = join(moved, f"At the other end {process.label} is stopped by a signal.")
        return Elsewhere(text, [(process, [other.touched])])
    thread = next(iter(scene.waiters(other)), scene.user(other))
    if thread is None:
        return Elsewhere(moved, [(process, [other.touched])])
    text = join(moved, _doing(scene, other, thread))
    return Elsewhere(text, [(process, [other.touched, thread.wait])])


def _queued(scene: Scene, stream: Stream) -> Elsewhere:
    """Nobody has accepted it: its other end is in the queue of a listener, if that is known at all."""
    listener = scene.listener_of(stream.peer) if stream.unmet else None
    if listener is None:
        return Elsewhere()
    process, thread = listener.process, scene.user(listener)
    text = f"Nobody has accepted it: it waits in {listener.name}'s queue"
    if thread is None or thread.wait is None or scene.accepts(listener):
        return Elsewhere(f"{text}.", [(process, [listener.opened])])
    text = f"{text}, while {who(process, thread)} is in {call(thread.wait)}{on(thread)}{place(thread.wait)}."
    return Elsewhere(text, [(process, [listener.opened, thread.wait])])


def _closed(stream: Stream, other: Stream, close: Close) -> str:
    """close(2) ends a connection if it was the last descriptor; who forks, or hands one on, has another."""
    text = f"The other end, {other.name}, was closed {when(close)}"
    seen = seen_of(stream)
    if seen is None or seen.state not in OPEN or seen.unread or is_recent(stream.process, due(close)):
        return f"{text}."
    return (
        f"{text}, but no FIN has come: something else may have it open: another descriptor of the program, "
        "or a child that inherited it."
    )


def _on_the_way(stream: Stream, other: Stream) -> str:
    """Bytes that one end has sent and the other has not read."""
    ours, theirs = "", ""
    if stream.sent > other.received:
        ours = f"The other end has read {size(other.received)} of our {size(stream.sent)}."
    if other.sent > stream.received:
        theirs = f"The other end has sent {size(other.sent)}, of which we have read {size(stream.received)}."
    return join(ours, theirs)


def _doing(scene: Scene, other: Stream, thread: Thread) -> str:
    """What the other end's thread is at."""
    name, wait = who(other.process, thread), thread.wait
    if thread in scene.polling(other.process):
        mask = scene.masks(other.process, thread).get(other.name, "")
        state = f"watches {other.name} for {mask}" if mask else f"does not watch {other.name}"
        return f"At the other end {name} sleeps in poll() and {state}."
    if wait is None and isinstance(thread.last, Unseen):
        return f"At the other end {name} does what is not in the log: {past(other.process, thread.last)}."
    if wait is None:
        last = f": its last was {call(thread.last)} {when(thread.last)}" if thread.last is not None else ""
        return f"At the other end {name} is in no socket's call{last}."
    busy = "" if thread.on == other.name else f"nobody reads {other.name}, as "
    return (
        f"At the other end {busy}{name} is in {call(wait)}{on(thread)} since {moment(wait.t)}{place(wait)}."
    )
