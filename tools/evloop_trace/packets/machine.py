"""The states of a TCP connection's two ends, by RFC 9293, section 3.3.2: a table, and who reads it.

A capture shows what both ends send. What one sends the other receives, unless it is lost; so a state here is
the one an end is in if nothing was lost between it and the capture.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

__all__ = [
    "ASSUMED", "CLOSED", "CLOSE_WAIT", "CLOSING", "ESTABLISHED", "FIN_WAIT_1", "LAST_ACK", "LINUX_STATES",
    "LISTEN", "QUIET", "RCV_ACK_OF_FIN", "RCV_ACK_OF_SYN", "RCV_FIN", "RCV_RST", "RCV_SYN", "RCV_SYN_ACK",
    "SND_FIN", "SND_RST", "SND_SYN", "SND_SYN_ACK", "START", "SYN_RECEIVED", "SYN_SENT", "TALKS",
    "TIME_WAIT", "TRANSITIONS", "UNKNOWN", "State", "after",
]  # fmt: skip

State: TypeAlias = Literal[
    "CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT",
    "CLOSING", "LAST-ACK", "TIME-WAIT",
]  # fmt: skip

CLOSED: Final = "CLOSED"
LISTEN: Final = "LISTEN"
SYN_SENT: Final = "SYN-SENT"
SYN_RECEIVED: Final = "SYN-RECEIVED"
ESTABLISHED: Final = "ESTABLISHED"
FIN_WAIT_1: Final = "FIN-WAIT-1"
FIN_WAIT_2: Final = "FIN-WAIT-2"
CLOSE_WAIT: Final = "CLOSE-WAIT"
CLOSING: Final = "CLOSING"
LAST_ACK: Final = "LAST-ACK"
TIME_WAIT: Final = "TIME-WAIT"
UNKNOWN = "?"
"""The capture began in the middle."""

START = CLOSED

SND_SYN, RCV_SYN, SND_SYN_ACK, RCV_SYN_ACK = "snd SYN", "rcv SYN", "snd SYN,ACK", "rcv SYN,ACK"
RCV_ACK_OF_SYN, RCV_ACK_OF_FIN = "rcv ACK of SYN", "rcv ACK of FIN"
SND_FIN, RCV_FIN, SND_RST, RCV_RST = "snd FIN", "rcv FIN", "snd RST", "rcv RST"
TALKS = "any segment"

_OPEN = (SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT)

TRANSITIONS: dict[tuple[str, str], str] = {
    (CLOSED, SND_SYN): SYN_SENT,
    (LISTEN, SND_SYN): SYN_SENT,
    (LISTEN, SND_SYN_ACK): SYN_RECEIVED,
    (SYN_SENT, RCV_SYN_ACK): ESTABLISHED,
    (SYN_SENT, RCV_SYN): SYN_RECEIVED,  # both opened at once
    (SYN_SENT, RCV_RST): CLOSED,
    (SYN_SENT, SND_RST): CLOSED,
    (SYN_RECEIVED, RCV_ACK_OF_SYN): ESTABLISHED,
    (SYN_RECEIVED, RCV_SYN_ACK): ESTABLISHED,
    (SYN_RECEIVED, SND_FIN): FIN_WAIT_1,
    (SYN_RECEIVED, RCV_FIN): CLOSE_WAIT,
    (ESTABLISHED, SND_FIN): FIN_WAIT_1,
    (ESTABLISHED, RCV_FIN): CLOSE_WAIT,
    (FIN_WAIT_1, RCV_ACK_OF_FIN): FIN_WAIT_2,
    (FIN_WAIT_1, RCV_FIN): CLOSING,
    (FIN_WAIT_2, RCV_FIN): TIME_WAIT,
    (CLOSE_WAIT, SND_FIN): LAST_ACK,
    (CLOSING, RCV_ACK_OF_FIN): TIME_WAIT,
    (LAST_ACK, RCV_ACK_OF_FIN): CLOSED,
    (UNKNOWN, TALKS): ESTABLISHED,
    (UNKNOWN, SND_SYN_ACK): SYN_RECEIVED,
    (UNKNOWN, RCV_SYN_ACK): ESTABLISHED,
    **{(state, event): CLOSED for state in _OPEN for event in (SND_RST, RCV_RST)},
    (UNKNOWN, SND_RST): CLOSED,
    (UNKNOWN, RCV_RST): CLOSED,
    (LISTEN, SND_RST): CLOSED,  # nobody listens
}
"""State and event: the next state. Any other event leaves a state as it is.

LISTEN is left when the SYN is answered, not when it comes: of a SYN that was dropped nothing is known.
"""

ASSUMED = frozenset({(UNKNOWN, TALKS), (UNKNOWN, SND_SYN_ACK), (UNKNOWN, RCV_SYN_ACK), (UNKNOWN, SND_RST),
                     (UNKNOWN, RCV_RST), (LISTEN, SND_RST)})  # fmt: skip
"""Transitions that are not of the RFC, but of somebody who only listens."""

LINUX_STATES: dict[int, State] = dict(enumerate((
    ESTABLISHED, SYN_SENT, SYN_RECEIVED, FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT, CLOSED, CLOSE_WAIT, LAST_ACK,
    LISTEN, CLOSING, SYN_RECEIVED,
), 1))  # fmt: skip
"""Linux's numbers (include/net/tcp_states.h); the last is the small socket of a handshake."""

QUIET = frozenset({ESTABLISHED, CLOSE_WAIT, FIN_WAIT_2, TIME_WAIT, CLOSED})
"""States that no segment without SYN, FIN or RST can end."""


def after(state: str, event: str) -> str:
    """The state behind an event."""
    return TRANSITIONS.get((state, event), state)
