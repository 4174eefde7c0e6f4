"""What a program's errors look like: as they would without us.

Every call on a socket goes through a function of ours, which Python would show
between the program's line and the error. Whoever prints a traceback is given one
without these. (A program that walks a traceback by itself does see them.)
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from evloop.instrument.instrument import Instrument

    class Uncaught(Protocol):
        """Is told of an exception that nobody caught."""

        def __call__(self, error: BaseException, traceback: TracebackType | None, *, ends: bool) -> None: ...


__all__ = ["patch"]

_PACKAGE = os.path.dirname(os.path.dirname(__file__))
_OURS = tuple(os.path.join(_PACKAGE, name, "") for name in ("instrument", "events"))


def patch(instrument: Instrument, uncaught: Uncaught) -> None:
    """Keep our frames out of all tracebacks that Python prints, and tell of those nobody caught."""
    _patch_hooks(instrument, uncaught)
    # Without the walkers the module could only print what it finds.
    for name in ("walk_tb", "walk_stack", "_walk_tb_with_full_positions"):
        if hasattr(traceback, name):
            instrument.patch(traceback, name, _walker(getattr(traceback, name)))


def _patch_hooks(instrument: Instrument, uncaught: Uncaught) -> None:
    excepthook, thread_hook, unraisable_hook = (
        sys.__excepthook__, threading.__excepthook__, sys.__unraisablehook__
    )  # fmt: skip

    def in_main(kind: type[BaseException], error: BaseException, traceback: TracebackType | None, /) -> None:
        if error is not None:
            uncaught(error, _cleaned(traceback), ends=True)
            _clean(error)
        excepthook(kind, error, _cleaned(traceback))

    def in_thread(args: Any, /) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            uncaught(args.exc_value, _cleaned(args.exc_traceback), ends=False)
            _clean(args.exc_value)
        thread_hook(
            threading.ExceptHookArgs(
                (args.exc_type, args.exc_value, _cleaned(args.exc_traceback), args.thread)
            )
        )

    def in_nobody(args: Any, /) -> None:
        if args.exc_value is not None:
            _clean(args.exc_value)
        where = _cleaned(args.exc_traceback) or _caller(args.exc_traceback)
        # The type has no public name.
        unraisable_hook(type(args)((args.exc_type, args.exc_value, where, args.err_msg, args.object)))

    for module, name, hook in (
        (sys, "excepthook", in_main),
        (threading, "excepthook", in_thread),
        (sys, "unraisablehook", in_nobody),
    ):
        hook.__name__ = hook.__qualname__ = name
        instrument.patch(module, name, hook)
        instrument.patch(module, f"__{name}__", hook)


def _walker(real: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def walk(*args: Any) -> Iterator[Any]:
        for item in real(*args):
            if not _is_ours(item[0]):
                yield item

    walk.__name__ = walk.__qualname__ = real.__name__
    walk.__doc__ = real.__doc__
    return walk


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OURS)


def _clean(error: BaseException) -> None:
    """Take our frames out of an exception, and of those that it came from."""
    seen: set[int] = set()
    errors: list[BaseException | None] = [error]
    while errors:
        at = errors.pop()
        if at is None or id(at) in seen:
            continue
        seen.add(id(at))
        at.__traceback__ = _cleaned(at.__traceback__)
        errors += [at.__cause__, at.__context__]
        if isinstance(at, BaseExceptionGroup):
            errors += at.exceptions


def _caller(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback of who called us, where ours is the only frame: there Python had no other at hand."""
    frame = traceback.tb_frame if traceback else None
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    return TracebackType(None, frame, frame.f_lasti, frame.f_lineno) if frame else None


def _cleaned(traceback: TracebackType | None) -> TracebackType | None:
    """Without our frames; it is changed in place."""
    while traceback is not None and _is_ours(traceback.tb_frame):
        traceback = traceback.tb_next
    at = traceback
    while at is not None:
        if at.tb_next is not None and _is_ours(at.tb_next.tb_frame):
            at.tb_next = at.tb_next.tb_next
        else:
            at = at.tb_next
    return traceback
