"""Sockets on which a program works at full speed and gets nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.model.diagnosis.finding import Finding, evidence
from evloop_trace.model.diagnosis.state import Datagrams, Listener, Stream
from evloop_trace.model.diagnosis.words import call, moment, peer_of, place, rate, sentence, who
from evloop_trace.model.filters import due
from evloop_trace.numbers import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop.events.schema import AnyEvent
    from evloop_trace.model.diagnosis.scene import Scene
    from evloop_trace.model.diagnosis.state import Open, Process, Thread, Vain

__all__ = ["Round", "asking", "often", "polled", "rounds", "spinning"]

_OFTEN = 10  # calls in vain, before it is no accident
_MILLISECOND = 1_000_000
_RECENT = 1_000_000_000  # ns since the last of them


class Round(NamedTuple):
    """What goes round, and the calls in vain that show it."""

    kind: str
    vain: Vain
    text: str
    """How its sentence begins, up to how often."""
    why: str
    """The sentence behind it."""


def spinning(scene: Scene, sock: Open) -> Finding | None:
    """What goes round at a socket, if something does."""
    found = next((found for found in rounds(sock) if _spins(scene, sock.process, found.vain)), None)
    return None if found is None else _finding(sock, found)


def rounds(sock: Open) -> Iterator[Round]:
    """All that was asked for in vain, and may be asked for again and again."""
    if isinstance(sock, Stream):
        yield _end(sock)
        yield _asking(sock, f"{peer_of(sock)} has sent nothing in that time.")
    elif isinstance(sock, Listener):
        yield _failing(sock)
    else:
        assert isinstance(sock, Datagrams)
        yield _asking(sock, "No datagram has come in that time.")
    yield polled(sock)


def _end(sock: Stream) -> Round:
    """At the end of a stream recv(2) returns 0 at once, as often as it is called."""
    text = f"{peer_of(sock)} has closed, and the program keeps asking: recv() on {sock.name} has returned 0"
    return Round("spin-end", sock.ends, text, "It is the end of the stream, not an empty message.")


def _asking(sock: Stream | Datagrams, why: str) -> Round:
    """A call that may not sleep fails with EAGAIN when there is nothing; asking again burns the processor."""
    last = sock.vain.last
    how = "" if last is None else f"{call(last)} has brought {getattr(last, 'errno', '')}"
    return Round("spin-asking", sock.vain, f"The program asks {sock.name} again and again: {how}", why)


def _failing(sock: Listener) -> Round:
    """accept(2) that fails with EMFILE leaves the caller in the queue, and the listener ready."""
    text = f"accept() on {sock.name} has failed with {getattr(sock.failed.last, 'errno', '')}"
    return Round("spin-accept", sock.failed, text, "The caller stays in the queue, so it is ready again.")


def polled(sock: Open) -> Round:
    """A level-triggered poll tells of a ready socket until something is done about it.

    A socket is nearly always writable: who watches WRITE with nothing to send never sleeps.
    """
    if "OUT" in sock.bits and "IN" not in sock.bits:
        kind, why = (
            "spin-write",
            "Its buffer has room, and nothing is sent: the interest in WRITE was left on.",
        )
    else:
        kind, why = "spin-ready", "Nothing is done about it: nobody reads it, and it stays ready."
    return Round(
        kind, sock.ready, f"poll() has returned at once, as {sock.name} is ready ({sock.bits}),", why
    )


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
    if vain.count - vain.excused < _OFTEN or vain.last is None:
        return False
    return scene.now(process) - due(vain.last) <= _RECENT


def _finding(sock: Open, found: Round) -> Finding:
    first, last = found.vain.first, found.vain.last
    assert first is not None
    assert last is not None
    return Finding(
        found.kind,
        f"{found.text} {often(found.vain.count, first, last)}. {found.why}",
        sock.process.label,
        getattr(last, "thread", None),
        sock.name,
        first.t,
        evidence((sock.process, [first, last])),
    )


def often(count: int, first: AnyEvent, last: AnyEvent) -> str:
    """How often, since when, for how long and where."""
    took = due(last) - first.t
    times = f"{count:,} times since {moment(first.t)}, {rate(count, took)}, for {duration(took)}"
    return times + place(last)
