"""The errors that a user can do something about.

A library message is lowercase, without a full stop, and names the value; the
command line turns it into a sentence and an exit code: 2 if nothing could begin, else 1.
"""

from __future__ import annotations

__all__ = ["AddressError", "EvloopError", "LogError"]


class EvloopError(Exception):
    """What was asked for cannot be done; the message says why and what to do next."""


class AddressError(EvloopError):
    """An address that does not parse, cannot be resolved or cannot be bound."""


class LogError(EvloopError):
    """A log that cannot be written, or cannot be read as an event log at all."""
