"""Options → a log of a program that blocks: the instrument, its recorder, the file, and the picture of it."""

from __future__ import annotations

import os
import stat
import sys
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from evloop.address import is_loopback, parse_inet
from evloop.errors import LogError
from evloop.events.mapped import out_of_the_way
from evloop.events.recorder import DirectRecorder
from evloop.events.schema import Block, Control, Located
from evloop.events.sinks import FileSink, open_log
from evloop.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import FrameType

    from evloop.address import UnixPath
    from evloop.events.schema import Event, Header
    from evloop.loop.loop import Loop
    from evloop.viewer import LogViewer

__all__ = ["LogOptions", "Recording", "Reporter", "begin_captures"]


class LogOptions(NamedTuple):
    """Where events go, and how much of a payload goes with them."""

    log: str | None
    payload: str
    payload_max: int
    watch: UnixPath | None = None
    trace: bool = False
    capture: str | None = None
    """A file for the packets."""
    kernel: str | None = None
    """A file for what the kernel says of TCP's states."""
    packets: bool = False
    """Whether the picture shows packets, too."""
    control: UnixPath | None = None
    """Where the server is told what to hold back."""
    hold: tuple[str, ...] = ()
    """What it holds back from the beginning."""
    watch_mode: int = 0o600
    """Who may connect to the socket of the watchers: chmod(2)."""
    ring: int | None = None
    """So many events are kept in memory, and written when something happens, instead of all of them."""
    ring_on: tuple[str, ...] = ()
    """On what else than a signal and a crash: lint, slow."""
    log_max_bytes: int | None = None
    """The log is begun anew when it has so many."""
    log_keep: int = 5
    """How many older files stay."""

    @property
    def is_traced(self) -> bool:
        """Whether anybody listens."""
        return bool(self.log or self.watch or self.trace)

    @property
    def is_captured(self) -> bool:
        """Whether there is a capture beside the server."""
        return bool(self.capture or self.kernel or self.packets)

    @property
    def payload_limit(self) -> int:
        """Bytes kept of each payload."""
        return {"none": 0, "prefix": self.payload_max, "full": sys.maxsize}[self.payload]


class Reporter:
    """Tells the person who runs the program, on standard error; later, while a picture is on their screen.

    Any thread may: each sentence is taken by one of them, and said once.
    """

    def __init__(self) -> None:
        self.later = False
        self._sentences: deque[str] = deque()

    def __call__(self, sentence: str) -> None:
        """Say it, or keep it until `tell`."""
        self._sentences.append(sentence)
        if not self.later:
            self.tell()

    def listening(self, kind: str, address: str) -> None:
        """A line an address, so that a script can wait for it; and a warning, if it is not ours alone."""
        _say(f"listening {kind} {printable(address)}")
        if kind != "unix" and not is_loopback(parse_inet(address).host):
            self(f"{address} can be reached from other machines, by anyone: there is no access control")

    def tell(self) -> None:
        """Say what was kept."""
        while True:
            try:
                sentence = self._sentences.popleft()
            except IndexError:
                return
            _say(f"evloop: {printable(sentence)}")


def _say(line: str) -> None:
    """A line on standard error, if it can be had: it may be closed, or a file on the disk that is full.

    Past Python's buffer, which would keep the line, fail with it again at the end, and set the exit code.
    """
    if sys.stderr is None:
        return
    buffer = sys.stderr.buffer
    with suppress(OSError):
        getattr(buffer, "raw", buffer).write(f"{line}\n".encode(sys.stderr.encoding, "backslashreplace"))


class _HeldFile(FileSink):
    """A log file that waits with its lines for `begin`: who cannot begin leaves the file as it was."""

    def __init__(self, fd: int, name: str, report: Callable[[str], None]) -> None:
        super().__init__(fd, name, report)
        self._held: list[tuple[bytes, Sequence[Event]]] | None = []
        self.asleep = False
        """Whether the last event of the main thread says that it sleeps in a call."""

    def begin(self) -> None:
        """Empty the file, and write to it from now on."""
        held, self._held = self._held or [], None
        super().begin()
        for block, batch in held:
            super().write(block, batch)

    def write(self, block: bytes, events: Sequence[Event]) -> None:
        """Write lines, or keep them."""
        last = events[-1]
        if isinstance(last, Located) and not last.thread:
            self.asleep = isinstance(last, Block)
        if self._held is None:
            super().write(block, events)
        else:
            self._held.append((block, events))


class Recording:
    """From its making to `close` every call on a socket, in this process, is an event in the log."""

    def __init__(
        self, keep: LogOptions, header: Header, report: Reporter, beside: tuple[str, ...] = ()
    ) -> None:
        """Nothing is written before `begin`.

        `beside` are source files whose calls are shown as their callers'.

        Raises:
            LogError: the log cannot be written, or not be followed for a picture.
        """
        from evloop.instrument import install  # noqa: PLC0415 - who records nothing does not need it
        from evloop.instrument.lifecycle import close_all  # noqa: PLC0415

        self.reason = "stopped"
        self._report = report
        self._beside = beside
        self._viewer: LogViewer | None = None
        with ExitStack() as stack:
            inherited = [] if keep.log else [stack.enter_context(_nameless_file())]
            path = keep.log or f"/dev/fd/{inherited[0]}"
            self._log = _HeldFile(out_of_the_way(open_log(path)), path, report)
            self._recorder = DirectRecorder(header, self._log)
            if keep.trace:
                self._viewer = _viewer(path, report, inherited)
                stack.callback(self._viewer.wait)
            stack.callback(lambda: self._recorder.close(self.reason))
            instrument = install(self._recorder, keep.payload_limit, beside)
            stack.callback(instrument.remove)
            stack.callback(close_all, instrument)
            self._stack = stack.pop_all()

    def begin(self, packets: str | int | None = None) -> None:
        """There is something to tell: write what was recorded so far, and draw it if that was asked for.

        `packets` is where the picture finds them, from `begin_captures`.
        """
        self._log.begin()
        if self._viewer:
            self._viewer.start(packets)
            self._report.later = sys.stdout.isatty()

    def is_busy(self, frame: FrameType | None) -> bool:
        """Whether an exception in `frame` would tear a line, or take a call's result from who called."""
        around = _WRITERS if self._log.asleep else (_WRITERS, _CALLERS, *self._beside)
        while frame is not None:
            if frame.f_code.co_filename.startswith(around):
                return True
            frame = frame.f_back
        return False

    def control(self, gate: str, held: bool) -> None:
        """The server was told to hold something back, or to go on."""
        self._recorder.record(Control(0, self._recorder.clock(), self._recorder.tick, gate, held))

    def close(self) -> None:
        """Record no more, write the last line, and let the last picture be drawn."""
        self._stack.close()


# Where the code is that writes events, and the code that makes calls and has them written.
_HERE = os.path.dirname(__file__)
_WRITERS, _CALLERS = (os.path.join(_HERE, name, "") for name in ("events", "instrument"))


def _viewer(path: str, report: Reporter, inherited: Sequence[int]) -> LogViewer:
    from evloop.viewer import LogViewer  # noqa: PLC0415 - needs subprocess, which costs time to import

    if not stat.S_ISREG(os.stat(path).st_mode):
        raise LogError(f"--trace draws what is in the log, and {path!r} is no file: leave out one of the two")
    return LogViewer(path, report, inherited)


def begin_captures(
    keep: LogOptions,
    opened: Iterable[tuple[str, str]],
    report: Reporter,
    stack: ExitStack,
    loop: Loop | None = None,
) -> str | int | None:
    """Capture what was opened until the stack ends; where the picture finds packets: a file, or a pipe.

    Args:
        keep: What is wanted.
        opened: Kind and address of each.
        report: Takes a sentence for the person who runs the server.
        stack: Lets the captures end.
        loop: Is told what they say; without one, that is heard at their ends.

    Raises:
        EvloopError: one could not begin; the message is its own.
    """
    from evloop.capture import PictureCapture, captures  # noqa: PLC0415 - needs subprocess, as above

    ports = [(kind, parse_inet(bound).port) for kind, bound in opened if kind != "unix"]
    packets: str | int | None = keep.capture if keep.packets else None
    for capture in captures(keep.capture, keep.kernel, keep.packets and not keep.capture, ports, report):
        stack.callback(capture.close)
        if loop is not None:
            capture.watch(loop)
        if isinstance(capture, PictureCapture):
            packets = capture.packets
    return packets


@contextmanager
def _nameless_file() -> Iterator[int]:
    """The descriptor of a file for what is drawn and not kept: nothing is left of it, however we end."""
    import tempfile  # noqa: PLC0415 - much to import for what is mostly not needed

    with tempfile.TemporaryFile() as file:
        fd = out_of_the_way(os.dup(file.fileno()))
    try:
        yield fd
    finally:
        os.close(fd)
