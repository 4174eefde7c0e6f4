"""The listeners with their accept queues, the datagram sockets, and what is not yet anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment

from evloop_trace.escape import escape_text
from evloop_trace.numbers import count
from evloop_trace.views.cells import Line, Panel, bar, cut, exact, fit, width_of
from evloop_trace.views.palette import BOLD, DIM, PLAIN, TROUBLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.model.picture import Picture
    from evloop_trace.model.sockets import Endpoint

__all__ = ["EndpointsPanel"]

_BAR = 10  # cells
_BETWEEN = 11  # cells of a line that are neither name nor address nor what is told: spaces, and the protocol
_ADDRESS = 10  # cells that an address always has


class EndpointsPanel(Panel):
    """A line for each socket that clients come to."""

    def __init__(self, picture: Picture) -> None:
        self.endpoints: Sequence[Endpoint] = sorted(picture.endpoints.values(), key=lambda it: it.made)

    def rows(self) -> int:
        """Lines it would like."""
        return len(self.endpoints)

    def lines(self, width: int, height: int) -> list[Line]:
        """One line each; the ones that do not fit are counted."""
        shown = self.endpoints if len(self.endpoints) <= height else self.endpoints[: max(0, height - 1)]
        told = [_told(endpoint) for endpoint in shown]
        names = min(12, max([len(endpoint.name) for endpoint in shown], default=0))
        where = max([cell_len(escape_text(endpoint.address)) for endpoint in shown], default=0)
        room = width - names - _BETWEEN - max(map(width_of, told), default=0)
        where = min(where, max(_ADDRESS, room))
        lines = [
            _ended([*_head(it, names, where), *line], width) for it, line in zip(shown, told, strict=True)
        ]
        if len(shown) < len(self.endpoints) and height > 0:
            lines.append([Segment(f" … {count(len(self.endpoints) - len(shown))} more")])
        return [exact(line, width) for line in lines]


def _head(endpoint: Endpoint, names: int, where: int) -> Line:
    """What it is called and where it is; an address gives way to what is told."""
    return [
        Segment(f" {fit(escape_text(endpoint.name), names)}  ", DIM if endpoint.closed else BOLD),
        Segment(f"{fit(escape_text(endpoint.proto), 4)}  {fit(escape_text(endpoint.address), where)}  "),
    ]


def _told(endpoint: Endpoint) -> Line:
    if endpoint.closed:
        return [Segment("closed", DIM)]
    if endpoint.errno:
        return [Segment(f"failed: {escape_text(endpoint.errno)}", TROUBLE)]
    if endpoint.made:
        return [Segment(_made(endpoint), DIM)]
    return _queue(endpoint) if endpoint.listens else _datagrams(endpoint)


def _ended(line: Line, width: int) -> Line:
    """A line that is too long ends in an ellipsis."""
    *front, last = line
    text = cut(last.text, width - width_of(front))
    return [*front, Segment(text, last.style)]


def _made(endpoint: Endpoint) -> str:
    if endpoint.peer:
        return f"the other end is {escape_text(endpoint.peer)}"
    return "does not listen yet" if endpoint.address else "neither listens nor is connected yet"


def _queue(endpoint: Endpoint) -> Line:
    accepted = f"  accepted {count(endpoint.accepted)}"
    if endpoint.queued is None:
        # TCP is asked at an accept; of a Unix socket's queue Linux tells nothing but by sock_diag(7).
        return _fixed(
            [Segment(f"queue of {count(endpoint.backlog)}"), Segment(", not counted", DIM)], accepted
        )
    # Linux turns a handshake away once *more* than the backlog wait (sk_acceptq_is_full), so that one more
    # fits than listen(2) was told: a backlog of 0 has room for one, and Python makes 0 of what is less.
    full = endpoint.queued > endpoint.backlog
    style = TROUBLE if full else PLAIN
    line = [
        Segment("queue "),
        *bar(endpoint.queued / (max(0, endpoint.backlog) + 1), _BAR, style),
        Segment(f" {count(endpoint.queued)}/{count(endpoint.backlog)}{' full' if full else ''}", style),
    ]
    return _fixed(line, accepted)


def _fixed(line: Line, accepted: str) -> Line:
    """What follows a queue stays where it is as the queue grows."""
    space = _BAR + 16 - width_of(line)
    return [*line, Segment(" " * max(0, space) + accepted)]


def _datagrams(endpoint: Endpoint) -> Line:
    peer = f"  with {escape_text(endpoint.peer)}" if endpoint.peer else ""
    return [Segment(f"datagrams {count(endpoint.accepted)} in, {count(endpoint.sent)} out{peer}")]
