"""`evloop-trace audit`: a server runs under strace, and then its log is held against what strace saw."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from evloop.errors import EvloopError, LogError
from evloop.files import written_twice
from evloop_trace.apps.beside import blocked, run_beside
from evloop_trace.apps.program import Program
from evloop_trace.audit import counters, strace
from evloop_trace.audit.compare import compare
from evloop_trace.audit.report import Mismatch, Report, mismatch, not_compared, rows
from evloop_trace.audit.told import Log
from evloop_trace.logs import family, open_logs
from evloop_trace.numbers import plural
from evloop_trace.whole_file import open_anew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evloop_trace.audit.compare import Comparison

__all__ = ["Wanted", "audit"]

_COUNTERS = ("/proc/net/snmp", "/proc/net/netstat", "/proc/net/snmp6")
_NO_LOG = "there is no log to compare"
_INSTALL = "strace is not installed (Debian: apt install strace)"


class _Child(Program):
    """strace, whose signals are meant for the program under it."""

    def send(self, number: int) -> None:
        """Pass a signal on to what strace has started."""
        if self.poll() is None:
            children = f"/proc/{self.pid}/task/{self.pid}/children"
            with suppress(OSError, IndexError), open(children) as file:  # or it has ended at this moment
                os.kill(int(file.read().split()[0]), number)


class _Heard(NamedTuple):
    """What there is of one process."""

    log: Log
    account: counters.Account
    name: str


class Wanted(NamedTuple):
    """How it is to be done."""

    kept: str | None = None
    """Where what strace wrote shall stay; if nowhere, it is removed."""
    faults: Sequence[str] = ()
    """What strace is to do to calls: SYSCALL:error=ERRNO:when=EXPR, strace(1)."""
    spare: bool = False
    """Nobody has named the log: it is removed in the end."""


def audit(command: Sequence[str], log: str, wanted: Wanted, tell: Callable[[str], None]) -> Report:
    """Run a command to its end, and compare.

    Args:
        command: It writes the log.
        log: The log's name.
        wanted: What else is asked for.
        tell: Takes what there is to say before the server begins.

    Raises:
        EvloopError: the command cannot be started, or there is nothing to compare.
    """
    if shutil.which(command[0]) is None:
        raise EvloopError(f"{command[0]} cannot be started: there is no such command")
    if twice := written_twice([("--log", log), ("--strace", wanted.kept)]):
        raise EvloopError(twice)
    why = _no_strace()
    if why and wanted.faults:
        raise EvloopError(f"--inject needs strace: {why}")
    for fault in wanted.faults:
        _check(fault)
    if why:
        kept = f"; {wanted.kept} stays as it is" if wanted.kept is not None else ""
        tell(f"{why}: its calls are not compared, only the kernel's counters{kept}")
    alone = _is_alone()
    with (
        tempfile.TemporaryDirectory(prefix="evloop-audit-") as folder,
        _kept(folder, None if why else wanted.kept, tell) as out,
    ):
        before = _count() if alone else {}
        code = _run(command if why else [*_prefix(out, wanted.faults), *command], plain=bool(why))
        if code and not why and not os.path.exists(out):
            raise EvloopError("strace did not start the command: what it said is the reason")
        grown = {name: n - before.get(name, 0) for name, n in _count().items()} if alone else {}
        if wanted.spare and not os.path.exists(log):
            raise EvloopError(f"{_NO_LOG}, the command ended {_ending(code)}: it wrote none")
        heard = _read(log, code)
        reader = strace.Reader()
        if not why:
            _read_strace(out, reader)
    report = _report(command, log, heard, why or reader, grown)
    if code:
        report.not_compared.append(f"the command ended {_ending(code)}")
    return report


@contextmanager
def _kept(folder: str, name: str | None, tell: Callable[[str], None]) -> Iterator[str]:
    """Where strace writes: a file of ours, as it follows links; in the end it is copied to its place."""
    out = os.path.join(folder, "strace.out")
    if name is None:
        yield out
        return
    try:
        kept = open_anew(name)
    except OSError as error:
        raise EvloopError(f"{name} cannot be written: {error.strerror}") from None
    try:
        yield out
    finally:
        try:
            with open(kept, "wb") as file, suppress(FileNotFoundError), open(out, "rb") as written:
                shutil.copyfileobj(written, file)
        except OSError as error:
            tell(f"{name} is not whole: {error.strerror}")


def _prefix(out: str, faults: Sequence[str]) -> list[str]:
    """How strace is called: it prints no payload, and stops a process only at calls that are looked at.

    With one -q, so that it writes how each thread ended: a file without that at its end is not whole.
    """
    names = [f"?{name}" for name in strace.CALLS] + [fault.partition(":")[0] for fault in faults]
    calls = ",".join(names)  # the filter lets pass what is not among them, and strace could not make it fail
    inject = [word for fault in faults for word in ("-e", f"inject={fault}")]
    return [
        *("strace", "-f", "--seccomp-bpf", "-ttt", "-yy", "-s", "0", "-q", "-e", f"trace={calls}"),
        *(*inject, "-o", out, "--"),
    ]


def _no_strace() -> str:
    """Why there is none; nothing if there is."""
    if shutil.which("strace") is None:
        return _INSTALL
    with open(os.devnull, "w") as null, suppress(OSError):
        program = os.posix_spawnp(
            "strace", ["strace", "-qq", "-o", os.devnull, "true"], os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, null.fileno(), 2)],
        )  # fmt: skip
        if os.waitstatus_to_exitcode(os.waitpid(program, 0)[1]) == 0:
            return ""
    return "strace may not trace here (in a container, whoever runs that forbids ptrace)"


def _check(fault: str) -> None:
    """Whether strace knows what is meant: -V comes after it has read what stands before."""
    words = ["strace", "-e", f"trace={fault.partition(':')[0]}", "-e", f"inject={fault}", "-V"]
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="backslashreplace").strip().removeprefix("strace: ")
        raise EvloopError(f"--inject {fault}: {said}: write it as accept4:error=EMFILE:when=1, see strace(1)")


def _run(command: Sequence[str], *, plain: bool) -> int:
    with blocked():
        try:
            return run_beside((Program if plain else _Child)(command, os.environ), None)
        except OSError as error:
            raise EvloopError(f"{command[0]} cannot be started: {error.strerror}") from None


def _is_alone() -> bool:
    """Whether this network is a lab: not the one of the machine's first process, and nothing leads out."""
    with suppress(OSError):  # an ordinary user, and root of a lab, may not look; elsewhere there is no /proc
        if os.path.samefile("/proc/self/ns/net", "/proc/1/ns/net"):
            return False
    with suppress(OSError), open("/proc/net/dev") as file:
        rows = [line.partition(":") for line in file if ":" in line]
        # Tunnels that the kernel puts into every network are there, too; the first number is bytes received.
        return all(name.strip() == "lo" or numbers.split()[0] == "0" for name, _, numbers in rows)
    return False


def _count() -> dict[str, int]:
    text = ""
    for name in _COUNTERS:
        with suppress(OSError), open(name) as file:
            text += file.read()
    return counters.parse(text)


def _read(log: str, code: int) -> list[_Heard]:
    """The log, and those of the other processes of a run."""
    heard = []
    try:
        for name in family(log):
            with open_logs([name], alone=True) as logs:
                told, account = Log(logs.logs[0].header), counters.Account()
                for run in logs.runs():
                    told.feed(run.block.items)
                    account.feed(run.block.items)
                heard.append(_Heard(told, account, name))
    except (LogError, OSError) as error:
        why = str(error) if isinstance(error, LogError) else f"{log}: {error.strerror}"
        raise EvloopError(f"{_NO_LOG}, the command ended {_ending(code)}: {why}") from None
    return heard


def _ending(code: int) -> str:
    return f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"


def _read_strace(out: str, reader: strace.Reader) -> None:
    """What it wrote, to the end.

    Raises:
        EvloopError: it cannot be read, or is not whole: whatever is missing there would be missing in a log.
    """
    try:
        with open(out, encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            reader.feed(file)
    except OSError as error:
        raise EvloopError(f"what strace wrote cannot be read: {out}: {error.strerror}") from None
    if not reader.whole:
        folder = os.path.dirname(os.path.dirname(out))
        raise EvloopError(
            f"what strace wrote is not whole, so nothing can be compared: make room in {folder}, "
            "or set TMPDIR to a folder that has some"
        )
    reader.finish()


def _report(
    command: Sequence[str],
    log: str,
    heard: Sequence[_Heard],
    seen: strace.Reader | str,
    grown: dict[str, int],
) -> Report:
    """All that was found; `seen` is what strace saw, or why there is none."""
    compared: list[Comparison] = []
    differences: list[Mismatch] = []
    left_out: list[str] = []
    if isinstance(seen, str):
        left_out.append(f"calls: {seen}")
    else:
        for it, found in _compared(heard, seen, left_out):
            compared.append(found)
            differences += [mismatch(difference, it.log.header.pid) for difference in found.differences]
    whole = not any(it.log.since for it in heard)
    pids = {it.log.header.pid for it in heard}
    made_up = counters.made_up(
        [] if isinstance(seen, str) else (it for it in seen.calls if seen.process(it.thread) in pids)
    )
    comparable = {name: n for name, n in grown.items() if name not in made_up}
    balances = _balances(heard, comparable) if grown and whole else []
    if grown and not whole:
        left_out.append("the kernel's counters: they count what was before what is left of the log, too")
    elif grown:
        left_out += [
            f"the kernel's counter {name}: strace made up {plural(number, 'result')} in the log, "
            "of which the kernel knows nothing"
            for name, number in made_up.items()
        ]
        left_out += [
            f"{grown[name]:,} {what} ({name}), which only the kernel knows of"
            for name, what in counters.LOSSES.items()
            if grown.get(name)
        ]
    else:
        left_out.append(
            "the kernel's counters: others use this network, too; --lab gives the server one of its own"
        )
    differences += [
        Mismatch("counter", it.counter, None, "", heard[0].log.header.pid, f"{it.log:,}", f"{it.kernel:,}")
        for it in balances
        if not it.agrees
    ]
    injected = Counter([] if isinstance(seen, str) else [it.name for it in seen.calls if it.injected])
    return Report(
        ok=not differences,
        command=list(command),
        log=log,
        strace=not isinstance(seen, str),
        calls=rows(compared),
        differences=differences,
        counters=balances,
        not_compared=left_out,
        injected=dict(injected),
    )


def _compared(
    heard: Sequence[_Heard], seen: strace.Reader, left_out: list[str]
) -> Iterator[tuple[_Heard, Comparison]]:
    """Each process's log beside its calls."""
    calls: dict[int, list[strace.SystemCall]] = {}
    for call in seen.calls:
        calls.setdefault(seen.process(call.thread), []).append(call)
    for it in heard:
        label = f"{os.path.basename(it.name)}: " if len(heard) > 1 else ""
        its = calls.pop(it.log.header.pid, None)
        if its is None:
            pid = it.log.header.pid
            raise EvloopError(f"{it.name} is of process {pid}, which strace has not seen: an older run's?")
        found = compare(it.log, its)
        left_out += [f"{label}{sentence}" for sentence in not_compared(it.log, found)]
        yield it, found
    if seen.unread:
        left_out.append(f"{plural(seen.unread, 'line')} of strace's that make no sense")


def _balances(heard: Sequence[_Heard], grown: dict[str, int]) -> list[counters.Balance]:
    total = counters.Account()
    for it in heard:
        total.counts.update(it.account.counts)
        total.waiting += it.account.waiting
    return total.balances(grown)
