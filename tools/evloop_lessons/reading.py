"""A folder in which a run was kept → the run."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from evloop_trace.logs import open_logs
from evloop_trace.numbers import plural
from evloop_trace.packeting import opened
from evloop_trace.packets.capture_file import CaptureError
from evloop_trace.timeline import Timeline

from evloop.errors import LogError
from evloop_lessons.lesson import PACKETS, SOCKETS
from evloop_lessons.plan import CAPTURE, SAMPLES, STEPS
from evloop_lessons.run import Run, Sample, Socket, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop_lessons.plan import Plan


__all__ = ["read_run"]


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
        if whole:
            run.remarks += [
                f"{it}.jsonl has {plural(n, 'line')} that cannot be read" for it, n in broken.items()
            ]
            run.remarks += [f"{CAPTURE} {it}" for it in timeline.capture.problems]
        clock = timeline.clocks.of_mono
    run.steps = [Step(clock(*it["t"]), it["step"]) for it in _objects(folder / STEPS)]
    if run.steps and not run.steps[-1].name:  # from here on it is only tidied up
        curtain = run.steps.pop().t
        run.entries = [it for it in run.entries if it.t < curtain]
    run.samples = [
        Sample(clock(*it["t"]), tuple([Socket(*row) for row in it["sockets"]]), it["counters"])
        for it in _objects(folder / SAMPLES)
    ]
    if not run.samples:
        run.lacks[SOCKETS] = f"{SAMPLES} is missing or empty"
    return run


def _logs(folder: Path, plan: Plan, run: Run) -> Iterator[str]:
    """The paths of the logs that can be read, and are of this run."""
    for name, pid in plan.programs.items():
        path = folder / f"{name}.jsonl"
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
    if not path.exists() or not os.path.getsize(path):
        run.lacks[PACKETS] = f"{CAPTURE} is missing or empty"
        return ()
    try:
        return _until_broken(files.enter_context(opened(str(path), timeline.capture)), run)
    except CaptureError as error:
        run.lacks[PACKETS] = str(error)
        return ()


def _until_broken(packets: Any, run: Run) -> Iterator[Any]:
    try:
        yield from packets
    except CaptureError as error:
        run.lacks[PACKETS] = str(error)


def _objects(path: Path) -> Iterator[Any]:
    """The lines of a file of ours; a line that is torn, or none of ours, ends it."""
    try:
        data = path.read_bytes()
    except OSError:
        return
    for line in data.splitlines(keepends=True):
        try:
            found = msgspec.json.decode(line) if line.endswith(b"\n") else None
        except msgspec.DecodeError:
            return
        if not isinstance(found, dict):
            return
        yield found
