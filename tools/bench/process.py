"""Processes: where they run, what they cost, and that they end. What a system cannot tell is None."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Cores", "Cpu", "cpu_of", "pin", "raise_file_limit", "rss_of", "started", "until_it_listens"]

STARTING = 20.0  # seconds until a server must listen
ENDING = 10.0  # seconds until a process that was asked to end is killed
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Cores(NamedTuple):
    """Which core whose process runs on; None where it cannot be chosen."""

    server: int | None = None
    load: int | None = None
    viewer: int | None = None

    @classmethod
    def choose(cls) -> Cores:
        """Three different ones if there are three; the viewer shares the load's if there are two.

        Two hardware threads of one core share what it has, so a core counts once.
        """
        if not hasattr(os, "sched_setaffinity"):
            return cls()
        cores: dict[str, int] = {}
        for cpu in sorted(os.sched_getaffinity(0)):
            cores.setdefault(_siblings(cpu), cpu)
        chosen = list(cores.values())
        if len(chosen) < 2:
            return cls()
        return cls(chosen[0], chosen[1], chosen[min(2, len(chosen) - 1)])


def _siblings(cpu: int) -> str:
    """The hardware threads of this one's core, as the system writes them."""
    try:
        with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as file:
            return file.read()
    except OSError:
        return str(cpu)


def pin(pid: int, core: int | None) -> None:
    """Keep a process, and whoever it starts from now on, on one core."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def raise_file_limit() -> int:
    """Allow as many open files as we may; how many. Whoever we start inherits it."""
    import resource  # noqa: PLC0415 - not everywhere

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS refuses "infinite"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft


# -- what a process costs -----------------------------------------------------------------------


class Cpu(NamedTuple):
    """CPU time of a process since it began."""

    ns: int  # in all, exact where the system counts so
    user: int  # clock ticks, sampled: good for the share, not for the sum
    system: int
    waited: int = 0  # ns, ready to run while another process had the core

    def since(self, before: Cpu) -> tuple[float, float]:
        """(user, system) nanoseconds since `before`."""
        ns, user, system, _ = (now - then for now, then in zip(self, before, strict=True))
        share = user / (user + system) if user + system else 0.5
        return ns * share, ns * (1 - share)


def cpu_of(pid: int) -> Cpu | None:
    """What a single-threaded process has used: proc_pid_stat(5), and schedstat for the sum."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    user, system = int(fields[11]), int(fields[12])
    try:
        with open(f"/proc/{pid}/schedstat") as file:
            ns, waited, _ = map(int, file.read().split())
            return Cpu(ns, user, system, waited)
    except OSError:  # not built into every kernel
        return Cpu((user + system) * 1_000_000_000 // TICKS, user, system)


def rss_of(pid: int) -> int | None:
    """Bytes of memory that a process holds now."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * PAGE
    except OSError:
        return None


# -- starting and ending ------------------------------------------------------------------------


@contextlib.contextmanager
def started(
    command: Sequence[str], core: int | None = None, **options: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child that ends with the block: asked first, then killed."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)  # type: ignore[call-overload]
    try:
        with contextlib.suppress(ProcessLookupError):
            pin(child.pid, core)
        yield child
    finally:
        child.terminate()
        try:
            child.wait(ENDING)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdout, child.stderr):
            if pipe:
                pipe.close()


def until_it_listens(server: subprocess.Popen[bytes]) -> str:
    """Where a server listens, which it says in a line on its standard error: listening KIND ADDRESS.

    Raises:
        RuntimeError: it ended, or said nothing for too long.
    """
    assert server.stderr
    fd, said, deadline = server.stderr.fileno(), b"", time.monotonic() + STARTING
    while not (found := re.search(rb"listening \w+ (.+)\n", said)):
        left = deadline - time.monotonic()
        data = os.read(fd, 65536) if left > 0 and select.select([fd], [], [], left)[0] else b""
        if not data:
            raise RuntimeError(f"a server did not listen, but said: {said.decode(errors='replace')!r}")
        said += data
    return found[1].decode()
