"""Sockets on which a program works at full speed and gets nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.model.diagnosis.finding import Finding, evidence
from evloop_trace.model.diagnosis.state import Listener, Stream
from evloop_trace.model.diagnosis.words import call, moment, peer_of, place, rate, sentence, who
from evloop_trace.model.filters import due
from evloop_trace.numbers import duration

if TYPE_CHECKING:
    from evloop_trace.model.diagnosis.scene import Scene
    from evloop_trace.model.diagnosis.state import Open, Process, Thread, Vain

__all__ = ["asking", "spinning"]

_OFTEN = 10  # calls in vain, before it is no accident
_MILLISECOND = 1_000_000
_RECENT = 1_000_000_000  # ns since the last of them


def spinning(scene: Scene, sock: Open) -> Finding | None:
    """What goes round at a socket, if something does."""
    rules = (_end, _asking, _failing, _ready)
    return next((found for rule in rules if (found := rule(scene, sock)) is not None), None)


def _end(scene: Scene, sock: Open) -> Finding | None:
    """At the end of a stream recv(2) returns 0 at once, as often as it is called."""
    if not isinstance(sock, Stream) or not _spins(scene, sock.process, sock.ends):
        return None
    text = f"{peer_of(sock)} has closed, and the program keeps asking: recv() on {sock.name} has returned 0"
    return _round(sock, "spin-end", sock.ends, text, "It is the end of the stream, not an empty message.")


def _asking(scene: Scene, sock: Open) -> Finding | None:
    """A call that may not sleep fails with EAGAIN when there is nothing; asking again burns the processor."""
    if not isinstance(sock, Stream) or not _spins(scene, sock.process, sock.vain):
        return None
    errno = getattr(sock.vain.last, "errno", "")
    text = f"The program asks {sock.name} again and again: {call(sock.vain.last)} has brought {errno}"
    return _round(sock, "spin-asking", sock.vain, text, f"{peer_of(sock)} has sent nothing in that time.")


def _failing(scene: Scene, sock: Open) -> Finding | None:
    """accept(2) that fails with EMFILE leaves the caller in the queue, and the listener ready."""
    if not isinstance(sock, Listener) or not _spins(scene, sock.process, sock.failed):
        return None
    errno = getattr(sock.failed.last, "errno", "")
    text = f"accept() on {sock.name} has failed with {errno}"
    return _round(
        sock, "spin-accept", sock.failed, text, "The caller stays in the queue, so it is ready again."
    )


def _ready(scene: Scene, sock: Open) -> Finding | None:
    """A level-triggered poll tells of a ready socket until something is done about it.

    A socket is nearly always writable: who watches WRITE with nothing to send never sleeps.
    """
    if not _spins(scene, sock.process, sock.ready):
        return None
    if "OUT" in sock.bits and "IN" not in sock.bits:
        kind, why = (
            "spin-write",
            "Its buffer has room, and nothing is sent: the interest in WRITE was left on.",
        )
    else:
        kind, why = "spin-ready", "Nothing is done about it: nobody reads it, and it stays ready."
    text = f"poll() has returned at once, as {sock.name} is ready ({sock.bits}),"
    return _round(sock, kind, sock.ready, text, why)


def asking(scene: Scene, process: Process, thread: Thread) -> Finding | None:
    """A poll with timeout 0 returns at once: a loop around it never sleeps."""
    vain = thread.asking
    first, last = vain.first, vain.last
    if first is None or last is None or not _spins(scene, process, vain):
        return None
    took = due(last) - first.t
    if vain.count * _MILLISECOND < took:
        return None  # it sleeps elsewhere, in between
    text = (
        f"{who(process, thread)} asks poll() again and again without waiting: {vain.count:,} times since "
        f"{moment(first.t)}, {rate(vain.count, took)}, nothing was ready{place(last)}."
    )
    found = evidence((process, [first, last]))
    return Finding("spin-poll", sentence(text), process.label, thread.name, None, first.t, found)


def _spins(scene: Scene, process: Process, vain: Vain) -> bool:
    """It went on until now."""
    if vain.count < _OFTEN or vain.last is None:
        return False
    return scene.now(process) - due(vain.last) <= _RECENT


def _round(sock: Open, kind: str, vain: Vain, text: str, why: str) -> Finding:
    first, last = vain.first, vain.last
    assert first is not None
    assert last is not None
    took = due(last) - first.t
    often = f"{vain.count:,} times since {moment(first.t)}, {rate(vain.count, took)}, for {duration(took)}"
    return Finding(
        kind,
        f"{text} {often}{place(last)}. {why}",
        sock.process.label,
        getattr(last, "thread", None),
        sock.name,
        first.t,
        evidence((sock.process, [first, last])),
    )
