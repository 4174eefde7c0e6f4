"""The debugger in the middle of a rerun: in the line of the server that made the call."""

from __future__ import annotations

import bdb
import builtins
import pdb  # noqa: T100 - for who asks for it, with --break
import sys
from typing import TYPE_CHECKING, Any, TextIO

from evloop.errors import EvloopError

if TYPE_CHECKING:
    from types import FrameType

    from evloop.rerun.run import Moment

__all__ = ["Debugger", "Quit"]

# What made an event of a call, and who is told of it, is none of the server's lines.
_MACHINERY = ("evloop.rerun", "evloop.tracing", "evloop.events", "evloop_trace")
_SKIPPED = ("evloop.rerun.[!r]*", "evloop.tracing*", "evloop.events*", "evloop_trace*")  # by step
_BEGINNING = ("evloop.rerun.run", "_run")  # whose frame called the server


class Quit(BaseException):
    """Who debugs has seen enough; a plain exception would end in the loop, which outlives its handlers'.

    What it comes from (`__cause__`) is what the debugger did not get over, if it was that.
    """


class Debugger(pdb.Pdb):
    """pdb, at the next line of the server behind what an event is of.

    `loop`, `server`, `stream` and `event` are there by these names in every frame, as long as the frame has
    none of that name itself.
    """

    def __init__(self, stdin: TextIO | None = None, stdout: TextIO | None = None) -> None:
        # Without the folder's .pdbrc: it may be the log's, and a log is no program to be run.
        super().__init__(stdin=stdin, stdout=stdout, nosigint=True, readrc=False, skip=_SKIPPED)

    def stop(self, moment: Moment) -> None:
        """Let the server go on to its next line, and ask there what to do."""
        sys.settrace(None)  # it may go on from a stop before: the debugger is not to be debugged
        for name, value in moment._asdict().items():
            setattr(builtins, name, value)
        frames = _frames(sys._getframe(1))  # noqa: SLF001 - as pdb itself
        self.reset()
        for frame in frames:
            frame.f_trace = self.trace_dispatch
        self.botframe = frames[-1]
        self.set_next(frames[0])
        sys.settrace(self.trace_dispatch)

    def do_run(self, arg: str) -> None:  # noqa: ARG002 - as pdb has it
        """run, restart: a rerun cannot begin again from within."""
        self.error("a rerun goes on from where it is: q leaves it, and the same command begins it again")

    do_restart = do_run

    def trace_dispatch(self, frame: FrameType, event: str, arg: Any) -> Any:
        """As pdb's, but that nothing of the server catches how it is left.

        Raises:
            Quit: `q`, or the end of what is typed; or something that went wrong in the debugger.
        """
        if event == "return" and frame is self.botframe:  # the rerun is over, and what follows is ours
            sys.settrace(None)
            return None
        left: Exception | None
        try:
            return super().trace_dispatch(frame, event, arg)
        except bdb.BdbQuit:
            left = None
        except OSError as error:  # the terminal is gone, or nobody reads what is written
            left = error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is not the server's
            left = EvloopError(f"the debugger broke off: {type(error).__name__}: {error}")
        sys.settrace(None)
        raise Quit from left


def _frames(frame: FrameType | None) -> list[FrameType]:
    """The server's frames, the innermost first, up to that from which it was called."""
    frames = []
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if (module, frame.f_code.co_name) == _BEGINNING:
            frames.append(frame)
            break
        if not module.startswith(_MACHINERY):
            frames.append(frame)
        frame = frame.f_back
    return frames
