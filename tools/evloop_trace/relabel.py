"""One log's events among another's: their times counted from its origin, their sockets told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop.events.schema import Block, Inherit, Poll, Prepare, Socket, Unknown

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent

__all__ = ["label", "shift"]


def shift(event: AnyEvent | Unknown, start: int) -> None:
    """Count its times from an origin that lies `start` nanoseconds earlier."""
    event.t += start
    if isinstance(event, Prepare) and event.until is not None:
        event.until += start


def label(event: Any, prefix: str) -> None:
    """Put the label before the names of sockets."""
    if isinstance(event, Unknown):
        fields = event.fields
        fields.update(
            {key: prefix + fields[key] for key in ("conn", "sock") if isinstance(fields.get(key), str)}
        )
        return
    if getattr(event, "conn", None) is not None:
        event.conn = prefix + event.conn
    if getattr(event, "sock", None) is not None:
        event.sock = prefix + event.sock
    if isinstance(event, Poll):
        event.ready = [(prefix + sock, bits) for sock, bits in event.ready]
    elif isinstance(event, Block):
        event.watched = [(prefix + sock, mask) for sock, mask in event.watched]
    elif isinstance(event, Inherit):
        event.name = prefix + event.name
    elif isinstance(event, Socket) and event.pair is not None:
        event.pair = prefix + event.pair
