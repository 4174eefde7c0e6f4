"""What the processes of a run tell each other: which log, and how much of it."""

from __future__ import annotations

import os

import msgspec

__all__ = ["VARIABLE", "Run"]

VARIABLE = "EVLOOP_RUN"
"""The environment variable that has a `Run` as JSON; processes inherit it from whoever starts them."""


class Run(msgspec.Struct):
    """A program under evloop-trace run, with all its processes."""

    log: str
    """The first process's log, an absolute path; the others write `log.PID`."""
    run: str
    """Of all processes' headers."""
    payload: str = "prefix"
    """How much of a payload is kept: none, prefix or full."""
    payload_max: int = 64
    """Bytes, when it is prefix."""
    parent: int | None = None
    """The process that hands this on; None for the first."""

    def encode(self) -> str:
        """For the environment."""
        # A file's name is bytes, and JSON holds only text: base64 brings back whatever it was.
        return msgspec.json.encode({**msgspec.structs.asdict(self), "log": os.fsencode(self.log)}).decode()

    @staticmethod
    def decode(text: str) -> Run:
        """From the environment.

        Raises:
            msgspec.DecodeError: it is something else.
        """
        run = msgspec.json.decode(text, type=Run)
        run.log = os.fsdecode(msgspec.convert(run.log, bytes))
        return run
