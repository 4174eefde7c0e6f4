"""What the kernel says of the main thread of a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from evloop_trace.model.diagnosis import Task
from evloop_trace.proc_task import task_of

SECONDS = 30.0


def test_a_process_that_sleeps_and_is_stopped() -> None:
    """In a function of the kernel's, and until it may go on."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        until(process, "S", "pipe_read")
        os.kill(process.pid, signal.SIGSTOP)
        until(process, "T", "")
        os.kill(process.pid, signal.SIGCONT)
        until(process, "S", "pipe_read")
        process.kill()


def test_a_process_that_runs_is_in_no_function_of_the_kernel() -> None:
    """We do, while we ask."""
    assert task_of(os.getpid()) == Task("R")


def test_a_process_that_is_gone() -> None:
    """Nothing is known of it."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert task_of(process.pid) == Task()


def until(process: subprocess.Popen[bytes], state: str, where: str) -> None:
    """Wait until it is in this state, in such a function."""
    deadline = time.monotonic() + SECONDS
    while (task := task_of(process.pid)).state != state or where not in task.wchan:
        assert time.monotonic() < deadline, task
