"""Gates: what a server leaves undone until it is told to go on.

To hold a gate shows what the kernel does without the program: it shakes hands although nobody accepts, it
acknowledges what nobody reads, and a connection that nobody closes stays in CLOSE-WAIT for ever.

The protocol is a line for a line, in UTF-8: `hold GATE` and `release GATE` are answered by `ok`, `gates` by
`ok` and the names of those that are held; what is none of these by `error` and a sentence.
"""

from __future__ import annotations

from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["ACCEPT", "BLOCKING", "CLOSE", "GATES", "READ", "WRITE", "Gates"]

ACCEPT, READ, CLOSE, WRITE = "accept", "read", "close", "write"
BLOCKING = (ACCEPT, READ, CLOSE)
"""Nobody is accepted; nothing is read; what is to be closed stays open. For every model."""
GATES = (*BLOCKING, WRITE)
"""And for the loop: every connection is watched for WRITE, though nothing waits to be sent."""

LONGEST = 200  # bytes of a line
_SHORTLY = 0.05  # seconds from one look whether it is over to the next


class Gates:
    """Which gates are held; and who waits at one, if calls block."""

    def __init__(self, names: Iterable[str] = GATES) -> None:
        self.names = tuple(names)
        self.held: set[str] = set()
        self.changed: Callable[[str, bool], None] = lambda _gate, _held: None
        """Told of every change, when it is in effect."""
        self.over: Callable[[], bool] = lambda: False
        """Whether the server is to end, which no gate shall keep it from: then none is held any more."""
        self._news = Condition()

    def set(self, gate: str, *, held: bool) -> None:
        """Hold a gate, or release it."""
        if (gate in self.held) == held or (held and self.over()):
            return
        with self._news:
            (self.held.add if held else self.held.discard)(gate)
            self._news.notify_all()
        self.changed(gate, held)

    def open(self) -> None:
        """Release them all."""
        for gate in sorted(self.held):
            self.set(gate, held=False)

    def wait(self, gate: str) -> None:
        """Sleep as long as it is held."""
        if gate not in self.held:
            return
        with self._news:
            while gate in self.held and not self.over():
                self._news.wait(_SHORTLY)

    def obey(self, line: bytes) -> bytes:
        """Do what a line says; the answer, a line too."""
        word, *rest = line.decode(errors="replace").split() or [""]
        if word == "gates" and not rest:
            return " ".join(["ok", *sorted(self.held)]).encode() + b"\n"
        if word in {"hold", "release"} and len(rest) == 1 and rest[0] in self.names:
            self.set(rest[0], held=word == "hold")
            ends = word == "hold" and rest[0] not in self.held
            return b"error the server ends, and nothing is held any more\n" if ends else b"ok\n"
        return (
            f"error there are: gates, hold GATE, release GATE; gates are {', '.join(self.names)}\n".encode()
        )
