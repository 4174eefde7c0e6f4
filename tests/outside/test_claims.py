"""What lessons claim: it is seen when they are played, and it can fail."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from evloop_lessons.judging import happened, judge
from evloop_lessons.leading.translation import translation
from evloop_lessons.library import find, library
from evloop_lessons.plan import read_plan
from evloop_lessons.reading import read_run
from evloop_trace.correlate.entries import CallEntry, PacketEntry
from evloop_trace.packets.segments import RST
from evloop_trace.views.timeline import TimelineView

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from evloop_lessons.run import Run, Sample

    Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.needs("namespaces")

LESSON = (sys.executable, "-P", "-m", "evloop", "lesson")
MINUTE = 60_000_000_000  # ns
LONGEST = 50  # seconds: a lesson waits longer for what must come than others have for all that they do
LESSONS = library([])
ENGLISH = re.compile(r"(?<![\w./-])[a-z]{2,} [a-z]{2,}(?![\w.(/-])|^(?!fd|tcp_info|eof)[a-z ]{3,}$")
FALSE = [(str(it.lesson.number), setting) for it in LESSONS for setting in it.false]


def played(run: Command, folder: Path, number: str, *options: str) -> tuple[int, Run]:
    """A lesson's exit code, and its run; coverage is not measured here, since it takes time."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = run(*LESSON, number, "--no-ask", "--save", str(folder), *options, env=plain, seconds=LONGEST)
    assert not done.stderr
    return done.returncode, read_run(folder, read_plan(folder))


@pytest.mark.parametrize("number", [str(it.lesson.number) for it in LESSONS])
def test_all_that_must_be_seen_is_seen(run: Command, tmp_path: Path, number: str) -> None:
    """Each claim holds, with evidence; and would not if the run had been another."""
    code, was = played(run, tmp_path / "saved", number)
    entry = find(LESSONS, number)
    texts = entry.texts("en")
    judged = judge(entry.claims, texts.claims, was)
    assert code == 0, [it for it in judged if not it.passed]
    assert all(it.passed for it in judged)
    assert any(it.evidence for it in judged)
    outcome = happened(entry.outcome, was, entry.lesson.needs)
    assert outcome in texts.choices if texts.choices else outcome.lstrip("-").isdigit()
    assert not english(was), "what the Chinese ladder leaves in English"

    believed = {it.key for it in entry.claims}
    for _, other in altered(was):
        believed -= {it.key for it in judge(entry.claims, texts.claims, other) if it.passed is False}
    assert not believed, "claims that hold whatever happens"


@pytest.mark.parametrize(("number", "setting"), FALSE)
def test_what_is_not_so_is_seen_not_to_be_so(run: Command, tmp_path: Path, number: str, setting: str) -> None:
    """A lesson played so that some of its claims are false: these fail, and no others."""
    code, was = played(run, tmp_path / "saved", number, "--set", setting)
    assert code == 1
    entry = find(LESSONS, number)
    judged = judge(entry.claims, entry.texts("en").claims, was)
    assert {it.key for it in judged if not it.passed} == entry.false[setting], judged


def english(run: Run) -> list[str]:
    """What the ladder, drawn in Chinese, says in English: no payload, and no name."""
    left: list[str] = []

    def say(sentence: str) -> str:
        said = translation("zh")(sentence)
        if ENGLISH.search(said) and not said.startswith('"'):
            left.append(said)
        return said

    list(TimelineView(237, run.labels, say=say).lines(run.entries))
    return left


def test_every_lesson_has_a_variant_in_which_it_is_not_so() -> None:
    """Else nobody knows whether it can fail."""
    assert {number for number, _ in FALSE} == {str(it.lesson.number) for it in LESSONS}


def altered(run: Run) -> Iterator[tuple[str, Run]]:
    """The run as it was not: what was altered, and the run in which all of that kind is."""
    for at in range(len(run.labels)):
        yield f"{run.labels[at]} later", _moved(run, lambda it, at=at: _is_of(it, at), MINUTE)
        yield f"{run.labels[at]} earlier", _moved(run, lambda it, at=at: _is_of(it, at), -MINUTE)
    yield "the programs' names exchanged", _with(run, labels=[*run.labels[1:], *run.labels[:1]])
    yield "and the other way", _with(run, labels=[*run.labels[-1:], *run.labels[:-1]])
    yield "packets later", _moved(run, _is_packet, MINUTE)
    yield "packets earlier", _moved(run, _is_packet, -MINUTE)
    yield "slower", _timed(run, lambda t: t * 100)
    yield "faster", _timed(run, lambda t: t // 100)
    yield "packets the other way round", _each(run, packet=lambda it: {"client": not it.client})
    yield "nothing of a client's", _only(run, lambda it: not (_is_packet(it) and it.packet.client))
    yield "nothing of a server's", _only(run, lambda it: not _is_packet(it) or it.packet.client)
    yield "resets", _each(run, packet=lambda it: {"flags": it.flags | RST})
    yield "longer", _each(run, packet=lambda it: {"end": it.end + 1}, event=_longer)
    yield "empty", _each(run, packet=lambda it: {"end": it.begin}, event=lambda _: {"n": 0, "data": b""})
    yield "errors", _each(run, event=lambda it: {"errno": "EIO"} if it.errno is None else {"errno": None})
    yield "everything twice", _with(run, entries=[it for entry in run.entries for it in (entry, entry)])
    echo = [msgspec.structs.replace(it, t=step.t + 1) for step in run.steps for it in run.entries]
    yield "everything in every step", _with(run, entries=sorted([*run.entries, *echo], key=lambda it: it.t))
    yield "other sockets", _sampled(run, lambda it: it._replace(sockets=tuple(_other(s) for s in it.sockets)))
    yield "no sockets", _sampled(run, lambda it: it._replace(sockets=(), counters={}))
    yield (
        "other counters",
        _sampled(run, lambda it: it._replace(counters={name: n + 1 for name, n in it.counters.items()})),
    )


def _with(run: Run, **changes: Any) -> Run:
    return msgspec.structs.replace(run, **changes)


def _is_packet(entry: Any) -> bool:
    return isinstance(entry, PacketEntry)


def _is_of(entry: Any, log: int) -> bool:
    return isinstance(entry, CallEntry) and entry.log == log


def _only(run: Run, test: Callable[[Any], bool]) -> Run:
    return _with(run, entries=[it for it in run.entries if test(it)])


def _moved(run: Run, test: Callable[[Any], bool], by: int) -> Run:
    entries = [msgspec.structs.replace(it, t=it.t + by) if test(it) else it for it in run.entries]
    return _with(run, entries=sorted(entries, key=lambda it: it.t))


def _timed(run: Run, time: Callable[[int], int]) -> Run:
    return _with(
        run,
        entries=[msgspec.structs.replace(it, t=time(it.t)) for it in run.entries],
        steps=[it._replace(t=time(it.t)) for it in run.steps],
        samples=[it._replace(t=time(it.t)) for it in run.samples],
    )


def _each(run: Run, packet: Any = None, event: Any = None) -> Run:
    """Fields of every packet, of every event: those that it has."""
    entries: list[Any] = []
    for it in run.entries:
        name, change = ("packet", packet) if isinstance(it, PacketEntry) else ("event", event)
        if change:
            part = getattr(it, name)
            had = {field: value for field, value in _asked(change, part).items() if hasattr(part, field)}
            entries.append(msgspec.structs.replace(it, **{name: msgspec.structs.replace(part, **had)}))
        else:
            entries.append(it)
    return _with(run, entries=entries)


def _asked(change: Any, part: Any) -> dict[str, Any]:
    try:
        changes: dict[str, Any] = change(part)
    except AttributeError:  # it is no such event
        return {}
    return changes


def _longer(event: Any) -> dict[str, Any]:
    return {"n": (event.n or 0) + 1, "data": (event.data or b"") + b"?"}


def _sampled(run: Run, change: Callable[[Sample], Sample]) -> Run:
    return _with(run, samples=[change(it) for it in run.samples])


def _other(socket: Any) -> Any:
    return socket._replace(state="CLOSED", unread=socket.unread + 1, unsent=socket.unsent + 1)
