"""Who talks to the server, and knows what it must answer.

A client says a text that has no two places alike, so that a byte that is lost, doubled or out of order is
seen at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evloop.testing import SimulatedStream

__all__ = ["LONGEST", "POISON", "Client", "WrongError", "respond"]

LONGEST = 150_000  # bytes that a client says at once
POISON = b"\0"  # what no handler survives

_PERIOD = 9973  # a prime: no buffer's size is a multiple of it
_ONCE = (b"".join(b"%d abcdefghijklm " % n for n in range(1000)))[:_PERIOD]
_TEXT = _ONCE * (LONGEST // _PERIOD + 2)
_ANSWER = _TEXT.upper()


class WrongError(AssertionError):
    """Something that must hold does not."""


def respond(data: bytes) -> bytes:
    """What the server of a world answers: as `upper`, but that it has a bug of its own."""
    if POISON in data:
        raise ValueError("poisoned")
    return data.upper()


class Client:
    """One end of a connection, in the hands of who plays the client. `said` and `heard` are bytes."""

    __slots__ = ("end", "ended", "heard", "left", "poisoned", "promised", "said")

    def __init__(self, end: SimulatedStream) -> None:
        self.end = end
        self.said = self.heard = 0
        self.poisoned = -1  # where it said what kills a handler; -1 is nowhere
        self.ended = ""  # how its stream ended: eof or error
        self.promised = -1  # bytes of answer that the server sent before it ended well; -1: it has not
        self.left = False

    def say(self, n: int) -> None:
        """Send the next bytes of the text, as many as there is room for."""
        at = self.said % _PERIOD
        self._send(_TEXT[at : at + n])

    def poison(self) -> None:
        """Send what no handler survives; nothing after it is ever answered."""
        at = self.said
        self._send(POISON)
        if self.said > at and self.poisoned < 0:
            self.poisoned = at

    def _send(self, data: bytes) -> None:
        end = self.end
        if end.sent_fin or self.ended:
            return
        try:
            self.said += end.send(data)
        except BlockingIOError:
            pass
        except OSError:
            self.ended = "error"

    def hear(self, n: int) -> bool:
        """Read; whether something came. It must be what follows of the answer."""
        if self.ended:
            return False
        try:
            data = self.end.recv(min(n, LONGEST))
        except BlockingIOError:
            return False
        except OSError:
            self.ended = "error"
            return True
        if not data:
            self.ended = "eof"
            return True
        heard = self.heard
        at = heard % _PERIOD
        if data != _ANSWER[at : at + len(data)]:
            raise WrongError(f"bytes from {heard} on are not the answer: {data[:60]!r}")
        self.heard = heard + len(data)
        return True

    def shut(self) -> None:
        """Say that no more will be said."""
        if not self.end.sent_fin and self.ended != "error":
            try:
                self.end.shutdown()
            except OSError:
                self.ended = "error"

    def leave(self, *, abruptly: bool) -> None:
        """Close."""
        self.left = True
        if abruptly:
            self.end.abort()
        else:
            self.end.close()
