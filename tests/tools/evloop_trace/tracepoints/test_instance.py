"""A trace buffer of our own, where there can be none, and one of mere files; and the command's options."""

from __future__ import annotations

import errno
import os
import sys

import pytest
from evloop_trace import cli
from evloop_trace.tracepoints import instance, tracefs
from evloop_trace.tracepoints.instance import Instance
from evloop_trace.tracepoints.recorder import Recorder

from evloop.errors import EvloopError


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EPERM, "--kernel needs the rights of the whole machine's root"),
        (errno.ENODEV, "this one was built without tracefs"),
        (errno.ENOSYS, "which is not mounted: mount -t tracefs nodev /sys/kernel/tracing"),
        (errno.ENOMEM, "--kernel cannot reach tracefs: Cannot allocate memory"),
    ],
)
def test_no_tracefs(monkeypatch, number, said):
    """What it needs."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tracefs, "_PLACES", ("/sys/kernel/tracing",) if number == errno.ENOSYS else ())
    monkeypatch.setattr(tracefs.os.path, "isdir", lambda _: False)
    monkeypatch.setattr(tracefs, "_call", refuse)
    with pytest.raises(EvloopError) as caught:
        tracefs.open_tracefs()
    assert said in str(caught.value)


def test_a_call_that_fails():
    """The errno is the kernel's."""
    with pytest.raises(OSError, match=r"No such device|not permitted|not implemented"):
        tracefs._call(tracefs._FSOPEN, b"no such file system", 0)


def test_elsewhere_there_is_none(monkeypatch):
    """Tracepoints are Linux's."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(EvloopError, match="--kernel needs Linux"):
        tracefs.open_tracefs()


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    """A folder that stands for tracefs, with one CPU and one event; what is made in it has these, too."""
    (tmp_path / "instances").mkdir()
    monkeypatch.setattr(tracefs, "_PLACES", (str(tmp_path),))
    mkdir = os.mkdir

    def make(path, *mode):
        mkdir(path, *mode)
        if not path.endswith(f"/evloop-{os.getpid()}"):
            return
        for folder in ("per_cpu", "per_cpu/cpu0"):
            mkdir(f"{path}/{folder}", *mode)
        with open(f"{path}/per_cpu/cpu0/stats", "w") as file:
            file.write("entries: 9\noverrun: 3\ncommit overrun: 1\ndropped events: 2\n")

    monkeypatch.setattr(instance.os, "mkdir", make)
    monkeypatch.setattr(instance, "_GUARD", "read nothing")
    return tmp_path / "instances"


def test_where_it_is_mounted(mounted):
    """The instance is made there, and what is lost is the sum of all ways to lose something."""
    ours = Instance()
    (folder,) = mounted.iterdir()
    assert folder.name == f"evloop-{os.getpid()}"
    assert (folder / "trace_clock").read_text() == "mono"
    assert ours.lost() == 6
    assert ours.read("events/no/such") == ""
    with pytest.raises(EvloopError, match="the kernel does not take '1' for events/no/such: No such file"):
        ours.write("events/no/such", "1")
    ours.close()
    ours.close()


def test_what_is_left_over(mounted, monkeypatch):
    """Of processes that are no more; nobody else's."""
    monkeypatch.setattr(instance.os.path, "exists", lambda path: path == "/proc/11")
    for name in ("evloop-11", "evloop-22", "perf-22", "evloop-"):
        os.mkdir(f"{mounted}/{name}")
    os.mkdir(f"{mounted}/early")
    os.rename(f"{mounted}/early", f"{mounted}/evloop-{os.getpid()}")  # of a process that had our number
    Instance().close()
    names = {it.name for it in mounted.iterdir()}
    assert names == {"evloop-11", "perf-22", "evloop-", f"evloop-{os.getpid()}"}


def test_one_with_our_number_that_is_in_use(mounted):
    """By a process of another PID namespace: here it is a file, which cannot be removed as a folder is."""
    (mounted / f"evloop-{os.getpid()}").touch()
    with pytest.raises(EvloopError, match="of its own: File exists"):
        Instance()


def test_an_instance_that_cannot_be(mounted, monkeypatch):
    """Tracefs may be there for others only, or hold no more."""
    for number, said in ((errno.EACCES, "needs the rights"), (errno.ENOMEM, "of its own: Cannot allocate")):

        def refuse(_, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(instance.os, "mkdir", refuse)
        with pytest.raises(EvloopError, match=said):
            Instance()


def test_a_clock_that_there_is_not(mounted, monkeypatch):
    """The kernel refuses what we say to it: the instance is given back."""

    def refuse(*_):
        raise EvloopError("the kernel does not take it")

    monkeypatch.setattr(Instance, "write", refuse)
    with pytest.raises(EvloopError, match="does not take it"):
        Instance()


def test_a_kernel_without_the_tracepoint(mounted, tmp_path):
    """It is too old."""
    with pytest.raises(EvloopError, match=r"needs Linux 4\.16 or later: this kernel has no tracepoint sock/"):
        Recorder(str(tmp_path / "k.jsonl"), (), print)


# -- options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--kernel", ""], "--kernel '' is no file: name one"),
        (["--kernel", "-"], "--kernel '-' is no file: name one"),
        (["--kernel", "k", "-w", "k"], "-w and --kernel would write the same file: name two"),
        (["--kernel", "k", "-i", "lo"], "-i is about packets, and --kernel alone captures none: add -w"),
        (["--kernel", "k", "--snap", "128"], "--snap is about packets"),
        (["--kernel", "k", "--count", "1"], "--count is about packets"),
    ],
)
def test_wrong_options(options, said, capsys):
    """A sentence, and exit code 2."""
    code = cli.run(lambda: cli.cli.main(["capture", *options], "evloop-trace", standalone_mode=False))
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 2
    assert said in line
