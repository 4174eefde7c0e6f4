"""A process of a run, from its first line to its last: its log, its forked children, its end."""

from __future__ import annotations

import atexit
import os
import sys
from threading import RLock
from typing import TYPE_CHECKING

import msgspec

from evloop.errors import LogError
from evloop.events.mapped import MappedSink, direct_sink
from evloop.events.recorder import DirectRecorder
from evloop.events.run import VARIABLE, Run
from evloop.events.schema import Clock, Error, Event, Header, Inherit
from evloop.header import make_header
from evloop.instrument import descriptors, interrupts, tracebacks, unseen
from evloop.instrument.instrument import install
from evloop.instrument.known import address_of
from evloop.instrument.lifecycle import close_all
from evloop.printable import encodable, printable
from evloop.raised import error_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from evloop.events.sinks import Sink

__all__ = ["begin"]

_PATIENCE = 1.0  # seconds that a fork waits for other threads' lines


def begin(settings: str) -> None:
    """Record what this process does with its sockets, until it ends.

    Args:
        settings: A `Run`, encoded.

    Raises:
        LogError: the first process's log cannot be written.
        msgspec.DecodeError: these are no settings.
    """
    _Process(Run.decode(settings))


class _Process:
    def __init__(self, run: Run) -> None:
        self._run = run
        header = make_header(run, {}, model="run")
        header.run, header.parent = run.run, run.parent
        header.argv = [encodable(word) for word in sys.orig_argv[1:]]
        self._sink = None if run.parent is None else _Later(run.log)
        self._recorder = _Recorder(header, self._sink or direct_sink(run.log, _report))
        self._hand_on()
        limit = {"none": 0, "prefix": run.payload_max}.get(run.payload, sys.maxsize)
        self._instrument = install(self._recorder, limit)
        self._exit = os._exit
        self._ending: str | None = None
        self._finished = False
        self._pre_existing = unseen.open_sockets()
        self._watch()

    def _watch(self) -> None:
        instrument = self._instrument
        atexit.register(self._at_exit)  # the first that is registered is the last that runs
        descriptors.patch(instrument)
        tracebacks.patch(instrument, self._uncaught)
        unseen.patch(instrument)
        interrupts.patch(instrument)
        instrument.patch(os, "_exit", self._leave)
        os.register_at_fork(
            before=self._recorder.hold, after_in_parent=self._has_forked, after_in_child=self._forked
        )

    def _hand_on(self) -> None:
        """Processes that this one starts find their settings in the environment."""
        os.environ[VARIABLE] = msgspec.structs.replace(self._run, parent=os.getpid()).encode()

    # -- children ----------------------------------------------------------------------

    def _has_forked(self) -> None:
        """In the parent."""
        self._recorder.go_on()
        self._instrument.sockets.share()

    def _forked(self) -> None:
        """In the child: a log of its own, as soon as it does something, with the parent's time."""
        recorder, parent = self._recorder, self._recorder.header.pid
        self._sink = _Later(self._run.log)
        header = msgspec.structs.replace(recorder.header, pid=os.getpid(), parent=parent)
        recorder.begin_again(header, self._sink)
        self._hand_on()
        self._instrument.sockets.share()
        for known in tuple(self._instrument.sockets.values()):
            self._instrument.sockets.inherit(known, address_of(known.fd))

    # -- the end -----------------------------------------------------------------------

    def _uncaught(self, error: BaseException, traceback: TracebackType | None, *, ends: bool) -> None:
        """An exception that nobody caught; `ends` says that the process will end of it."""
        where = self._instrument.raised(traceback)
        recorder = self._recorder
        said = error_line(error, payloads=self._instrument.payload_limit > 0)
        recorder.record(Error(0, recorder.clock(), recorder.tick, where, said))
        if ends:
            self._ending = type(error).__name__

    def _at_exit(self) -> None:
        self._finish(self._ending or "exit")

    def _leave(self, status: int) -> None:
        """os._exit(): the end, at once, of who was forked."""
        self._finish(f"exit {status}" if status else "exit")
        self._exit(status)

    def _finish(self, reason: str) -> None:
        if self._finished:
            return
        self._finished = True
        if self._sink is None or self._sink.is_begun:
            unseen.record_unknown_sockets(self._instrument, self._pre_existing)
            close_all(self._instrument)
            self._recorder.close(reason)
        self._instrument.remove()


class _Recorder(DirectRecorder):
    """Stands still while the process is forked: no child begins in the middle of a line."""

    def __init__(self, header: Header, sink: Sink) -> None:
        super().__init__(header, sink)
        self._held = False

    def hold(self) -> None:
        """Let no thread write; of this very thread's own line, in a signal's handler, it cannot wait."""
        self._held = self._lock.acquire(timeout=_PATIENCE)

    def go_on(self) -> None:
        """After `hold`, in the parent."""
        if self._held:
            self._held = False
            self._lock.release()

    def begin_again(self, header: Header, sink: Sink) -> None:
        """After `hold`, in the child: another log; the parent's is not touched."""
        before, self._sink = self._sink, sink
        if isinstance(before, MappedSink):
            before.abandon()
        self._write: Callable[[bytes, Sequence[Event]], None] = sink.write
        self._lock = RLock()
        self._busy = self._held = False
        self._waiting.clear()
        self._seq = self._lost = 0
        self.header = header
        self.record(header)


class _Later:
    """The log of a process that another one started: most never touch a socket, and need none.

    It is made with the first event that the process itself causes.
    """

    wants_lines = True

    def __init__(self, log: str) -> None:
        self._log = log
        self._waiting: list[tuple[bytes, Sequence[Event]]] = []
        self._sink: Sink | None = None
        self.is_begun = False
        self.lost = 0

    def write(self, block: bytes, events: Sequence[Event]) -> None:
        """Write, or keep what says only how the process began."""
        if not self.is_begun:
            self._waiting.append((block, events))
            if isinstance(events[0], (Header, Inherit, Clock)):
                return
            self._begin()
        elif self._sink:
            self._sink.write(block, events)
            self.lost = self._sink.lost

    def _begin(self) -> None:
        self.is_begun = True
        try:
            self._sink = sink = direct_sink(_free_name(f"{self._log}.{os.getpid()}"), _report)
        except (LogError, OSError) as error:
            _report(f"a process of the program is not recorded: {error}")
            return
        for block, events in self._waiting:
            sink.write(block, events)
        self._waiting.clear()

    def close(self) -> None:
        """Nothing more comes."""
        if self._sink:
            self._sink.close()


def _free_name(path: str) -> str:
    """A new file: the numbers of processes are used again, and so is a process that runs another program."""
    name, number = path, 1
    while True:
        try:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            number += 1
            name = f"{path}.{number}"
        else:
            return name


def _report(sentence: str) -> None:
    """On standard error, if there is one."""
    if sys.stderr is not None:
        print(f"evloop-trace: {printable(sentence)}", file=sys.stderr, flush=True)
