"""A socket's states one after the other, in RFC 9293's sense, by what the kernel said.

The kernel ends a socket where a connection goes into TIME-WAIT, says CLOSED, and keeps something smaller in
its place (tcp_time_wait in net/ipv4/tcp_minisocks.c). If the socket was closed, it does the same as early as
FIN-WAIT-2. Of that smaller thing nothing is told; so here its states follow from what the other end did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from evloop_trace.states.schema import Lost, ReceiveReset, SendReset, Transition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evloop_trace.packets.machine import State
    from evloop_trace.states.schema import Event

__all__ = ["Lifeline", "lifelines"]

_FIN_SENT = frozenset({"FIN-WAIT-1", "CLOSING", "LAST-ACK"})


class Lifeline(msgspec.Struct):
    """What is known of a socket."""

    sock: int
    local: str
    peer: str
    begin: State | None = None
    """Its state before the first of `states`; LISTEN for one that was accepted; None if it never changed."""
    states: list[tuple[int, State]] = []
    """When it came into a state, and which. TIME-WAIT and what follows it are inferred, see above."""
    events: list[Event] = []
    """All that was said of it, as it was said."""


def lifelines(events: Iterable[Event]) -> list[Lifeline]:
    """The sockets of a recording, in the order in which they are first heard of.

    Args:
        events: In the order of time, as `read_transitions` gives them.
    """
    lines: dict[int, Lifeline] = {}
    for event in events:
        if isinstance(event, Lost) or event.sock is None:
            continue
        line = lines.setdefault(event.sock, Lifeline(event.sock, event.local, event.peer))
        line.events.append(event)
        if isinstance(event, Transition):
            line.begin = line.begin or event.old
            line.states.append((event.t, event.new))
    others: dict[tuple[str, str], list[Lifeline]] = {}
    for line in lines.values():
        others.setdefault((line.peer, line.local), []).append(line)
    for line in lines.values():
        _outlive(line, others.get((line.local, line.peer), []))
    return list(lines.values())


def _outlive(line: Lifeline, others: list[Lifeline]) -> None:
    """What the kernel says is the end of a socket, but not of the connection."""
    for index, event in enumerate(line.events):
        if not isinstance(event, Transition) or event.new != "CLOSED":
            continue
        if event.old not in {"FIN-WAIT-2", "CLOSING"} or _was_reset(line.events, index):
            continue
        at = line.states.index((event.t, "CLOSED"))
        fins = [_fin(other) for other in others if other is not line and _was_there(other, event.t)]
        if event.old == "CLOSING" or not fins:
            line.states[at] = event.t, "TIME-WAIT"
        elif fins[-1] is None:
            del line.states[at]
        else:
            line.states[at] = max(event.t, fins[-1]), "TIME-WAIT"


def _was_reset(events: list[Event], index: int) -> bool:
    """Whether a RST was what ended it: one that came is told before, one that was sent behind."""
    before, behind = events[:index][-1:], events[index + 1 :][:1]
    return any(isinstance(it, ReceiveReset) for it in before) or any(
        isinstance(it, SendReset) for it in behind
    )


def _fin(line: Lifeline) -> int | None:
    """When an end sent its FIN, or meant to; None if it did not."""
    return next((t for t, state in line.states if state in _FIN_SENT), None)


def _was_there(line: Lifeline, t: int) -> bool:
    """Not a later connection with the same addresses; what has no beginning in the recording was there."""
    return line.begin not in {"CLOSED", "LISTEN"} or line.events[0].t <= t
