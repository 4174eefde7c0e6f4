"""The instrument: what is patched, and what every patch needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop.events.schema import Block, TcpInfo
from evloop.instrument import lifecycle, polls, receiving, sending
from evloop.instrument.caller import Callers, Place, thread_name
from evloop.instrument.known import Known, Sockets, tcp_state_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Literal

    from evloop.events.recorder import DirectRecorder

__all__ = ["Instrument", "install"]


class Instrument:
    """The recorder, the sockets, and how events are filled in."""

    def __init__(self, recorder: DirectRecorder, payload_limit: int, beside: tuple[str, ...] = ()) -> None:
        """As for `install`."""
        self.recorder = recorder
        self.payload_limit = payload_limit
        self.sockets = Sockets(recorder)
        callers = Callers(beside)
        self.where, self.raised = callers.where, callers.raised
        self._undo: list[Callable[[], None]] = []

    def place(self, frame: FrameType) -> Place:
        """Where a call that `frame` made was made."""
        return {"thread": thread_name(), "where": self.where(frame)}

    def name(self, fd: int) -> str:
        """What a poll calls a descriptor: its socket's name, or its number."""
        known = self.sockets.get(fd)
        return known.name if known else f"fd {fd}"

    def block(
        self,
        awaits: str,
        known: Known,
        frame: FrameType,
        timeout: float | None,
        size: int | None = None,
        *,
        peer: str | None = None,
    ) -> None:
        """This thread is about to sleep in a call on a socket; `timeout` in seconds, None is for ever."""
        recorder = self.recorder
        recorder.record(
            Block(
                0, recorder.clock(), recorder.tick, awaits, known.conn, known.sock, known.fd,
                None if timeout is None else round(timeout * 1e9), size, peer=peer,
                **self.place(frame),
            )
        )  # fmt: skip

    def tcp_info(self, known: Known, why: Literal["close", "send"]) -> None:
        """What TCP says of a connection now; of other sockets it says nothing."""
        info = tcp_state_of(known.fd) if known.proto == "tcp" and known.is_connection else None
        if info is not None:
            recorder = self.recorder
            recorder.record(TcpInfo(0, recorder.clock(), recorder.tick, known.name, why, *info))

    def undo(self, step: Callable[[], None]) -> None:
        """To be done by `remove`."""
        self._undo.append(step)

    def patch(self, owner: Any, name: str, replacement: Any) -> None:
        """Replace an attribute until `remove`."""
        if name in vars(owner):
            before = vars(owner)[name]
            self._undo.append(lambda: setattr(owner, name, before))
        else:
            self._undo.append(lambda: delattr(owner, name))
        setattr(owner, name, replacement)

    def remove(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()


def install(recorder: DirectRecorder, payload_limit: int, beside: tuple[str, ...] = ()) -> Instrument:
    """Record from now on what this process does with its sockets.

    Args:
        recorder: Gets the events, from any thread.
        payload_limit: Bytes kept of each payload.
        beside: Files whose calls are their callers': a place in the program lies elsewhere.
    """
    instrument = Instrument(recorder, payload_limit, beside)
    lifecycle.patch(instrument)
    receiving.patch(instrument)
    sending.patch(instrument)
    polls.patch(instrument)
    return instrument
