"""select, poll and epoll: what a thread watches, how long it sleeps, and what wakes it.

A poll is asked first for what is ready now; only if there is nothing does the
thread sleep, and then a `block` event is written before.
"""

from __future__ import annotations

import math
import select
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

from evloop.events.schema import Block, Interest, Poll
from evloop.instrument.caller import frame_at
from evloop.instrument.interrupts import asleep
from evloop.instrument.outcome import now, outcome
from evloop.socket_state import BitNames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import FrameType

    from evloop.instrument.instrument import Instrument
    from evloop.instrument.known import Known

__all__ = ["patch"]

_T = TypeVar("_T")

# Numbers of poll(2); epoll(7) and Python's selectors have the same.
_IN, _PRI, _OUT = 0x001, 0x002, 0x004
_READY = BitNames({
    "IN": _IN, "PRI": _PRI, "OUT": _OUT, "ERR": 0x008, "HUP": 0x010, "NVAL": 0x020,
    "RDNORM": 0x040, "RDBAND": 0x080, "WRNORM": 0x100, "WRBAND": 0x200, "RDHUP": 0x2000,
})  # fmt: skip
_READING = _IN | _PRI | 0x040 | 0x080 | 0x2000
_WRITING = _OUT | 0x100 | 0x200
_EDGE, _ONCE = 1 << 31, 1 << 30
_WATCHED_MOST = 64  # of a poll that tells by `interest` events, too; more are not listed each time


def patch(instrument: Instrument) -> None:
    """Replace what `select` offers, and what `selectors` took of it when `socket` imported it."""
    selectors: Any = sys.modules.get("selectors")
    select_ = _select(instrument)
    instrument.patch(select, "select", select_)
    if selectors and sys.platform != "win32":
        instrument.patch(selectors.SelectSelector, "_select", staticmethod(select_))
    for name, selector, like in (("poll", "PollSelector", _Poll), ("epoll", "EpollSelector", _Epoll)):
        if hasattr(select, name):
            replacement = _like(like, instrument, getattr(select, name))
            instrument.patch(select, name, replacement)
            if selectors:
                instrument.patch(getattr(selectors, selector), "_selector_cls", replacement)


def _mask(bits: int) -> str:
    """What is watched for."""
    return "|".join(["READ"] * bool(bits & _READING) + ["WRITE"] * bool(bits & _WRITING))


class _Asked:
    """One poll: from the question to the answer."""

    def __init__(self, instrument: Instrument, why: str, timeout: int | None, frame: FrameType) -> None:
        """`timeout` in nanoseconds, None is for ever."""
        self._instrument = instrument
        self._why = why
        self._timeout = timeout
        self._frame = frame
        self._t = now()

    def sleep(self, watched: list[tuple[str, str]], call: Callable[..., _T], *args: Any) -> _T:
        """Nothing is ready: make the call that waits, of which an event tells before."""
        recorder = self._instrument.recorder
        try:
            recorder.record(
                Block(
                    0, recorder.clock(), recorder.tick, "poll", timeout=self._timeout, watched=watched,
                    **self._instrument.place(self._frame),
                )
            )  # fmt: skip
            return asleep(call, *args)
        except BaseException as error:  # a signal's handler has raised, or somebody has closed it meanwhile
            self.answer((), outcome(error))
            raise

    def answer(self, ready: Iterable[tuple[int, int]], errno: str | None = None) -> None:
        """It has returned, with (fd, bits), or failed."""
        dur = now() - self._t
        instrument = self._instrument
        recorder = instrument.recorder
        recorder.tick += 1
        recorder.record(
            Poll(
                0, self._t - recorder.origin, recorder.tick, dur, self._timeout, self._why,
                [(instrument.name(fd), _READY[bits]) for fd, bits in ready], errno,
                **instrument.place(self._frame),
            )
        )  # fmt: skip


# -- select ------------------------------------------------------------------------------


def _select(instrument: Instrument) -> Callable[..., Any]:
    real: Any = select.select

    def select_(rlist: Any, wlist: Any, xlist: Any, timeout: Any = None, /) -> Any:
        sleeps: bool | None = None
        with suppress(TypeError):
            lists = list(rlist), list(wlist), list(xlist)
            if _is_timeout(timeout):
                sleeps = timeout is None or timeout > 0
        if sleeps is None:  # Python will say what is wrong
            return real(rlist, wlist, xlist, timeout)
        asked = _Asked(
            instrument, "select.select", None if timeout is None else round(timeout * 1e9), frame_at(1)
        )
        ready = real(*lists, 0 if sleeps else timeout)
        if sleeps and not any(ready):
            watched = _by_descriptor(instrument, lists)
            named = [(instrument.name(fd), _mask(bits)) for fd, bits in watched.items()]
            ready = asked.sleep(named, real, *lists, timeout)
        asked.answer(_by_descriptor(instrument, ready).items())
        return ready

    select_.__name__ = select_.__qualname__ = "select"
    select_.__doc__ = real.__doc__
    return select_


def _by_descriptor(instrument: Instrument, lists: Sequence[Sequence[Any]]) -> dict[int, int]:
    """Descriptor → bits, of select's three lists."""
    found: dict[int, int] = {}
    for bit, objects in zip((_IN, _OUT, _PRI), lists, strict=True):
        for obj in objects:
            _meet(instrument, obj)
            fd = obj if isinstance(obj, int) else obj.fileno()
            found[fd] = found.get(fd, 0) | bit
    return found


def _meet(instrument: Instrument, obj: Any) -> None:
    """A socket that was handed over may be polled before anything else is done with it."""
    if isinstance(obj, socket.socket) and obj.fileno() not in instrument.sockets:
        instrument.sockets.adopt(obj)


# -- poll and epoll ----------------------------------------------------------------------


class _Watched(dict[int, tuple[int, "Known | None"]]):
    """Descriptor → the bits it is watched for, and the socket that it was then."""

    def __init__(self, instrument: Instrument, what: str) -> None:
        super().__init__()
        self._instrument = instrument
        self._what = what

    def change(self, call: str, obj: Any, new: int | None, old: int | None, frame: FrameType) -> None:
        """The program watches a descriptor for something else; None is not at all."""
        instrument = self._instrument
        recorder = instrument.recorder
        _meet(instrument, obj)
        fd = obj if isinstance(obj, int) else obj.fileno()
        known = instrument.sockets.get(fd)
        reason = f"{self._what}.{call}"
        if new is None:
            self.pop(fd, None)
        else:
            self[fd] = new, known
            reason += ", edge-triggered" * bool(new & _EDGE) + ", once" * bool(new & _ONCE)
        recorder.record(
            Interest(
                0, recorder.clock(), recorder.tick,
                known.conn if known else None, known.sock if known else f"fd {fd}",
                _mask(old or 0), _mask(new or 0), reason, **instrument.place(frame),
            )
        )  # fmt: skip

    def bits(self, obj: Any) -> int:
        """What it was watched for."""
        return self.get(obj if isinstance(obj, int) else obj.fileno(), (0, None))[0]

    def names(self) -> list[tuple[str, str]]:
        """(socket, mask) of those that are still open, or nothing if they are too many for a line."""
        if len(self) > _WATCHED_MOST:
            return []
        sockets, name = self._instrument.sockets, self._instrument.name
        return [(name(fd), _mask(bits)) for fd, (bits, known) in self.items() if sockets.get(fd) is known]


class _Poll:
    """As select.poll."""

    __slots__ = ("__weakref__", "_poll", "_watched")
    _instrument: Instrument  # of the class that `_like` makes
    _real: Any

    def __init__(self) -> None:
        self._poll = self._real()
        self._watched = _Watched(self._instrument, "select.poll")

    def register(self, fd: Any, eventmask: int = _IN | _PRI | _OUT, /) -> None:
        """It may be registered already."""
        self._poll.register(fd, eventmask)
        self._watched.change("register", fd, eventmask, self._watched.bits(fd), frame_at(1))

    def modify(self, fd: Any, eventmask: int, /) -> None:
        """It must be registered."""
        self._poll.modify(fd, eventmask)
        self._watched.change("modify", fd, eventmask, self._watched.bits(fd), frame_at(1))

    def unregister(self, fd: Any, /) -> None:
        """It must be registered."""
        self._poll.unregister(fd)
        self._watched.change("unregister", fd, None, self._watched.bits(fd), frame_at(1))

    def poll(self, timeout: Any = None, /) -> list[tuple[int, int]]:
        """poll(2); milliseconds."""
        if not _is_timeout(timeout):
            return self._poll.poll(timeout)  # type: ignore[no-any-return]
        asked = _Asked(self._instrument, "select.poll.poll", _nanoseconds(timeout, 1e6), frame_at(1))
        ready: list[tuple[int, int]] = self._poll.poll(0)
        if not ready and timeout != 0:
            ready = asked.sleep(self._watched.names(), self._poll.poll, timeout)
        asked.answer(ready)
        return ready


class _Epoll:
    """As select.epoll."""

    __slots__ = ("__weakref__", "_epoll", "_watched", "close", "fileno")
    _instrument: Instrument
    _real: Any

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        self._have(self._real(sizehint, flags))

    @classmethod
    def fromfd(cls, fd: int, /) -> Self:
        """Of a descriptor that is one."""
        self = cls.__new__(cls)
        self._have(cls._real.fromfd(fd))
        return self

    def _have(self, epoll: Any) -> None:
        self._epoll = epoll
        self._watched = _Watched(self._instrument, "select.epoll")
        # They are asked often and leave no event.
        self.fileno, self.close = epoll.fileno, epoll.close

    @property
    def closed(self) -> bool:
        """Whether it is."""
        return bool(self._epoll.closed)

    def __enter__(self) -> Self:
        self._epoll.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._epoll.close()

    def register(self, fd: Any, eventmask: int = _IN | _PRI | _OUT) -> None:
        """It was not watched, or this would fail: what is closed is forgotten."""
        self._epoll.register(fd, eventmask)
        self._watched.change("register", fd, eventmask, None, frame_at(1))

    def modify(self, fd: Any, eventmask: int) -> None:
        """It must be registered."""
        self._epoll.modify(fd, eventmask)
        self._watched.change("modify", fd, eventmask, self._watched.bits(fd), frame_at(1))

    def unregister(self, fd: Any) -> None:
        """It must be registered."""
        self._epoll.unregister(fd)
        self._watched.change("unregister", fd, None, self._watched.bits(fd), frame_at(1))

    def poll(self, timeout: Any = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """epoll_wait(2); seconds."""
        if not _is_timeout(timeout):
            return self._epoll.poll(timeout, maxevents)  # type: ignore[no-any-return]
        asked = _Asked(self._instrument, "select.epoll.poll", _nanoseconds(timeout, 1e9), frame_at(1))
        ready: list[tuple[int, int]] = self._epoll.poll(0, maxevents)
        if not ready and timeout != 0:
            ready = asked.sleep(self._watched.names(), self._epoll.poll, timeout, maxevents)
        asked.answer(ready)
        return ready


def _is_timeout(timeout: Any) -> bool:
    """Whether it is one; of any other Python says itself what is wrong with it."""
    return timeout is None or (isinstance(timeout, (int, float)) and math.isfinite(timeout))


def _nanoseconds(timeout: Any, unit: float) -> int | None:
    """None is for ever, as is anything below 0."""
    return None if timeout is None or timeout < 0 else round(timeout * unit)


def _like(cls: Any, instrument: Instrument, real: Any) -> Any:
    """A class that says it is the one of `select`."""
    name = real.__name__
    return type(
        name,
        (cls,),
        {
            "__doc__": real.__doc__,
            "__module__": "select",
            "_instrument": instrument,
            "_real": real,
            "__slots__": (),
        },
    )
