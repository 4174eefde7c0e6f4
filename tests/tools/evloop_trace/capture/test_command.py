"""The command's options, and the parts of a capture that need no packets."""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import re
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace import cli
from evloop_trace.capture import interface, ring
from evloop_trace.capture.bar import Bar
from evloop_trace.capture.interface import Interface
from evloop_trace.capture.stop import Stop
from evloop_trace.capture.wanted import Wanted

from evloop.errors import EvloopError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--snap", "20"], "--snap"),
        (["--port", "70000"], "--port"),
        (["--duration", "0"], "--duration 0 leaves no time"),
        (["--duration", "soon"], "'soon' is not a time"),
        (["--count", "0"], "--count"),
        (
            [f"--port={port}" for port in range(1, 600)],
            "--port is given 599 times: the kernel's filter holds 500",
        ),
        (["-i", "nosuch"], "there is no interface 'nosuch': there are lo"),
        (["-i", "a-name-that-is-much-too-long"], "there is no interface"),
        (["-i", ""], "there is no interface ''"),
        (["-i", "l\0o"], "there is no interface"),
    ],
)
def test_wrong_options(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, and exit code 2."""
    code = cli.run(lambda: cli.cli.main(["capture", *options], "evloop-trace", standalone_mode=False))
    err = capsys.readouterr().err
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


def test_lo_is_there() -> None:
    """Loopback is a kind of Ethernet here."""
    assert interface.is_up("lo") in {True, False}
    assert interface.is_up("nosuch") is None


def test_a_kind_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Better nothing than packets that nobody can read."""
    monkeypatch.setattr(interface, "_ask", lambda _, request: 1 if request == interface._SIOCGIFFLAGS else 24)
    with pytest.raises(EvloopError, match=r"of a kind that capture does not know \(24"):
        interface.find("fire0")


def test_a_tunnel_has_no_header_before_ip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter and the file must know."""
    answers = {interface._SIOCGIFFLAGS: 1, interface._SIOCGIFHWADDR: 65534}
    monkeypatch.setattr(interface, "_ask", lambda _, request: answers[request])
    assert interface.find("tun0") == Interface("tun0", is_loopback=False, link=0, link_type=101)


def test_elsewhere_there_is_no_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    """packet(7) is Linux's."""
    monkeypatch.delattr(socket, "AF_PACKET")
    with pytest.raises(EvloopError, match="capture needs Linux"):
        ring.Ring(Interface("lo", is_loopback=True), b"")


def test_a_kernel_without_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was built without."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(ring.socket, "socket", refuse)
    with pytest.raises(EvloopError, match="packets cannot be captured here: Address family not supported"):
        ring.Ring(Interface("lo", is_loopback=True), b"")


# -- signals --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_and_wakes(number: signal.Signals) -> None:
    """Whoever polls is woken, once; the next signal is a KeyboardInterrupt; then all is as before."""
    before = signal.getsignal(number)
    with Stop() as stop:
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
        stop.clear()
        stop.clear()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_nohup_is_heeded() -> None:
    """Who ignores SIGHUP goes on ignoring it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)


# -- the bar --------------------------------------------------------------------------------


@contextlib.contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard error is a terminal; its other side."""
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with os.fdopen(theirs, "w") as err:
        monkeypatch.setattr(sys, "stderr", err)
        yield ours
    monkeypatch.undo()
    os.close(ours)


FILE = Wanted(output="a.pcapng")


@pytest.mark.parametrize(
    ("wanted", "has_bar"),
    [(FILE, False), (FILE._replace(duration=4.0), True), (FILE._replace(packets=10), True)],
)
def test_the_bar(monkeypatch: pytest.MonkeyPatch, wanted: Wanted, has_bar: bool) -> None:
    """What there is so far; how far it is only where that is known."""
    times = iter([0.0, 1.0, 1.1, 2.0])
    with terminal(monkeypatch) as screen:
        bar = Bar(wanted, lambda: next(times))
        assert bar.every
        for _ in range(3):
            bar.update(1234, 5678, 9)
        bar.close()
        said = ""
        while "9 dropped" not in said and select.select([screen], [], [], 20)[0]:  # it comes in pieces
            said += os.read(screen, 65536).decode()
    assert "1,234 packets 5,678 B 9 dropped" in re.sub(r"\x1b\[[0-9;]*m", "", said)
    assert ("━" in said) == has_bar


def test_no_bar_among_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets that are lines on the terminal say enough."""
    with terminal(monkeypatch):
        assert Bar(Wanted()).every is None


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A file or a pipe gets the last line only, which is not the bar's."""
    bar: Any = Bar(FILE)
    assert bar.every is None
    bar.update(1, 2, 3)
    bar.close()
    assert capsys.readouterr().err == ""
