"""Threads that sleep in a poll, and threads that are in no call of a socket at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Poll, Unseen
from evloop_trace.model.diagnosis.finding import Finding, evidence
from evloop_trace.model.diagnosis.present import is_recent, kernel_says, task_says
from evloop_trace.model.diagnosis.state import Stream
from evloop_trace.model.diagnosis.words import SLOW, call, join, moment, past, place, sentence, since, who
from evloop_trace.model.filters import due
from evloop_trace.numbers import duration, plural

if TYPE_CHECKING:
    from evloop_trace.model.diagnosis.scene import Scene
    from evloop_trace.model.diagnosis.state import Process, Thread

__all__ = ["own_code", "sleeping", "stopped"]

_NAMED = 4  # sockets of a poll that are named
_NOTES = 2  # of what goes past the log
_ANYTHING = "it runs its own code, or is in a call such as sleep(), input() or join()"


def sleeping(scene: Scene, process: Process, thread: Thread) -> Finding | None:
    """A poll wakes for what it watches, for its timeout, and for nothing else (poll(2), epoll_wait(2))."""
    if thread not in scene.polling(process):
        return None
    wait = thread.wait
    begun = wait.t if wait is not None else _slept(thread)
    masks = {name: mask for name, mask in scene.masks(process, thread).items() if mask}
    forever = _deadline(process) is None if wait is None else wait.timeout is None
    stuck = forever and not masks
    doing = f"{who(process, thread)} has slept in poll(){since(begun, scene.now(process))}{place(wait)}"
    text = f"{doing}, {_until(process, thread)}, and watches {_watches(masks)}."
    nothing = "Nothing can wake it but a signal." if stuck else ""
    late = "" if wait is not None else "Or it hangs in the turn that came next: a turn is written at its end."
    events = (thread.polled, process.prepare if process.loops else None, wait)
    return Finding(
        "poll-nothing" if stuck else "poll-idle",
        join(sentence(text), nothing, late),
        process.label,
        thread.name,
        None,
        begun,
        evidence((process, events)),
        stuck,
    )


def _slept(thread: Thread) -> int:
    """When our loop, whose poll is not in the log before it returns, was about to sleep."""
    return 0 if thread.last is None else due(thread.last)


def _deadline(process: Process) -> int | None:
    """Until when our loop was going to sleep; None is for ever."""
    return None if process.prepare is None else process.prepare.until


def _until(process: Process, thread: Thread) -> str:
    """How long a poll is willing to sleep, and why if that is known."""
    wait = thread.wait
    if wait is None or (isinstance(wait, Poll) and wait.timeout is None):
        return process.prepare.why if process.prepare is not None else "until something is ready"
    if wait.timeout is None:
        return "for as long as nothing is ready"
    why = f" ({wait.why})" if isinstance(wait, Poll) else ""
    return f"for at most {duration(wait.timeout)}{why}"


def _watches(masks: dict[str, str]) -> str:
    """What it waits for, the first few by name."""
    named = [f"{name} for {mask}" for name, mask in list(masks.items())[:_NAMED]]
    if len(masks) > _NAMED:
        named.append(f"{plural(len(masks) - _NAMED, 'more socket')}")
    return ", ".join(named[:-1]) + (" and " if named[1:] else "") + named[-1] if named else "nothing"


def own_code(scene: Scene, process: Process, thread: Thread) -> Finding | None:
    """Between two calls the log sees nothing: the program computes, or sleeps in a call that is no socket's.

    A thread that was the last to use something open is still there; of another nothing tells whether it
    has ended, so nothing is said, but of the main thread.
    """
    last = thread.last
    if last is None or thread.wait is not None:
        return None
    begun = due(last)
    if thread.resumes is not None and thread.resumes - begun < SLOW:
        return None
    now = scene.now(process)
    if is_recent(process, begun):
        return None
    holds = scene.holds(process, thread)
    if thread.name and not holds:
        return None
    resumed = "" if thread.resumes is None else f"It made its next call at {moment(thread.resumes)}."
    name = getattr(last, "conn", None) or getattr(last, "sock", None)
    knows = task_says(process, thread)
    if isinstance(last, Unseen):
        name = last.what if last.what in process.sockets else None
        doing = "has made no call that is in the log"
        did = f"The last that is there{f',{where}' if (where := place(last)) else ''}: {past(process, last)}."
    else:
        doing = "has been in no socket's call"
        did = f"Its last was {call(last)}{f' on {name}' if name else ''}{place(last)}."
    guess = "" if knows or isinstance(last, Unseen) else f": {_ANYTHING}"
    text = f"{who(process, thread)} {doing}{since(begun, now)}{guess}."
    sock = process.sockets.get(name or "")
    kernel = kernel_says(sock) if isinstance(sock, Stream) else ""
    unseen = [event for event in _unseen(scene, process, thread) if event is not last][:_NOTES]
    notes = [sentence(f"{past(process, event)}.") for event in unseen]
    stuck = holds or not any(other.wait is not None for other in process.threads.values())
    return Finding(
        "own-code", join(sentence(text), did, knows, kernel, *notes, resumed),
        process.label, thread.name, name, begun, evidence((process, [last, *unseen])), stuck,
    )  # fmt: skip


def _unseen(scene: Scene, process: Process, thread: Thread) -> list[Unseen]:
    """What goes past the log, and may be what this thread is in: its own sockets over TLS, and modules."""
    own = [sock.unseen for sock in process.sockets.values() if sock.unseen and scene.user(sock) is thread]
    return [*own, *process.modules]


def stopped(process: Process) -> Finding:
    """Whatever its calls wait for, nothing of it runs."""
    of = f" of {process.label}" if process.label else ""
    lasts = [thread.last for thread in process.threads.values() if thread.last is not None]
    last = max(lasts, key=due, default=None)
    text = (
        f"The process{of} is stopped by a signal (SIGSTOP, or Ctrl-Z in its terminal): nothing in it runs, "
        f"whatever comes, until `kill -CONT {process.header.pid}`, or `fg` in its terminal."
    )
    did = "" if last is None else f"Its last call was over at {moment(due(last))}."
    return Finding("stopped", join(text, did), process.label, evidence=evidence((process, [last])))
