"""A folder in which a run was kept → the run."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from evloop_trace.logs import open_logs
from evloop_trace.numbers import plural
from evloop_trace.packeting import opened
from evloop_trace.packets.capture_file import CaptureError
from evloop_trace.timeline import Timeline

from evloop.errors import LogError
from evloop_lessons.lesson import PACKETS, SOCKETS
from evloop_lessons.plan import CAPTURE, SAMPLES, STEPS, why_unread
from evloop_lessons.run import Run, Sample, Socket, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop_trace.packets.capture_file import Capture

    from evloop_lessons.plan import Plan

__all__ = ["read_run"]

_Line = TypeVar("_Line", "_Begun", "_Looked")


def read_run(folder: Path, plan: Plan, *, whole: bool = True) -> Run:
    """All that is there by now.

    Args:
        folder: Where.
        plan: What was played.
        whole: It is over: what is missing or torn is told.
    """
    run = Run(dict(plan.parameters), [], [], [], [], prediction=plan.prediction)
    with ExitStack() as files:
        paths = list(_logs(folder, plan, run))
        logs = files.enter_context(open_logs(paths, alone=True)) if paths else None
        run.labels = [Path(it).stem for it in paths]
        timeline = Timeline(logs)
        broken: dict[str, int] = {}

        def tell(name: str, _: Any) -> None:
            label = Path(name).stem
            broken[label] = broken.get(label, 0) + 1

        run.entries = list(timeline.entries(_packets(folder, timeline, run, files), tell=tell))
        if timeline.capture.dropped:
            run.lacks[PACKETS] = f"the capture lost {plural(timeline.capture.dropped, 'packet')}"
        elif whole and PACKETS not in run.lacks and not _ended(timeline.capture):
            run.lacks[PACKETS] = "the capture was broken off: nobody knows what is not in it"
        if whole:
            run.remarks += [
                f"{it}.jsonl has {plural(n, 'line')} that cannot be read" for it, n in broken.items()
            ]
            run.remarks += [f"{CAPTURE}: {it}" for it in timeline.capture.problems]
        clock = timeline.clocks.of_mono
    run.steps = [Step(clock(*it.t), it.step) for it in _lines(folder / STEPS, _Begun, run, whole=whole)]
    if run.steps and not run.steps[-1].name:  # from here on it is only tidied up
        curtain = run.steps.pop().t
        run.entries = [it for it in run.entries if it.t < curtain]
    elif not whole:
        now = clock(time.monotonic_ns(), time.time_ns())
        run.silence = now, timeline.silence(now)
    else:
        run.remarks.append("the run is not whole: it was broken off, or its steps are missing")
    run.samples = [
        Sample(clock(*it.t), tuple(it.sockets), it.counters)
        for it in _lines(folder / SAMPLES, _Looked, run, whole=whole)
    ]
    if not run.samples:
        run.lacks[SOCKETS] = f"{SAMPLES} is missing or empty"
    return run


def _logs(folder: Path, plan: Plan, run: Run) -> Iterator[str]:
    """The paths of the logs that can be read, and are of this run."""
    for name, pid in plan.programs.items():
        path = folder / f"{name}.jsonl"
        if why := why_unread(path):
            run.lacks[name] = why
            continue
        try:
            with open_logs([str(path)], alone=True) as logs:
                writer = logs.logs[0].header.pid
        except LogError as error:
            run.lacks[name] = str(error)
        else:
            if writer == pid:
                yield str(path)
            else:
                run.lacks[name] = f"{path.name} is of another run: process {writer} wrote it, and not {pid}"
    known = {f"{it}.jsonl" for it in plan.programs} | {STEPS, SAMPLES}
    run.remarks += [
        f"{it.name} is none of this run's files: nobody looks at it"
        for it in sorted(folder.glob("*.jsonl"))
        if it.name not in known
    ]


def _packets(folder: Path, timeline: Timeline, run: Run, files: ExitStack) -> Any:
    path = folder / CAPTURE
    if why := why_unread(path) or ("" if os.path.getsize(path) else f"{CAPTURE} is empty"):
        run.lacks[PACKETS] = why
        return ()
    try:
        return _until_broken(files.enter_context(opened(str(path), timeline.capture)), run)
    except CaptureError as error:
        run.lacks[PACKETS] = str(error)
        return ()


def _ended(capture: Capture) -> bool:
    """The last that a capture writes is how many packets it has lost, also if there are none."""
    return bool(capture.interfaces) and all(it.dropped is not None for it in capture.interfaces)


def _until_broken(packets: Any, run: Run) -> Iterator[Any]:
    try:
        yield from packets
    except CaptureError as error:
        run.lacks[PACKETS] = str(error)


class _Begun(msgspec.Struct):
    """A line of `STEPS`."""

    t: tuple[int, int]
    step: str


class _Looked(msgspec.Struct):
    """A line of `SAMPLES`."""

    t: tuple[int, int]
    sockets: list[Socket]
    counters: dict[str, int]


def _lines(path: Path, of: type[_Line], run: Run, *, whole: bool) -> Iterator[_Line]:
    """The lines of a file of ours; one that is torn, or none of ours, ends it."""
    if why_unread(path):
        return
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            yield msgspec.json.decode(line, type=of)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if whole:
                run.remarks.append(f"{path.name} cannot be read from line {number} on")
            return
