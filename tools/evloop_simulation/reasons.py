"""Why a connection ended, and whether that is true."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from evloop.events.schema import CloseReason
    from evloop.testing import SimulatedStream
    from evloop_simulation.clients import Client
    from evloop_simulation.world import World

__all__ = ["Ending", "why_not"]

SECOND = 1_000_000_000  # ns
ROUNDED = 1  # ns


class Ending(NamedTuple):
    """What the server's close said, and of whom."""

    sock: SimulatedStream
    client: Client
    reason: CloseReason
    buffered: int
    """Bytes."""
    error: int | None


def why_not(world: World, ending: Ending) -> str:
    """What speaks against it that a connection was closed for this reason; nothing, as a rule."""
    sock, client, checks = ending.sock, ending.client, world.invariants
    why = ""
    match ending.reason:
        case "eof":
            why = _eof(world, ending)
        case "drained":
            holds = checks.stopping_at is not None and sock.told and not ending.buffered
            why = "" if holds else "the server does not stop, or there is more to come"
            if sock.sent < checks.arrived(sock) and client.poisoned < 0:
                why = f"of {checks.arrived(sock)} bytes that had arrived {sock.sent} were answered"
        case "error":
            failed = sock.dead or client.left or sock in checks.hurt
            why = "" if ending.error and failed else "nothing has failed"
        case "handler-error":
            fails = client.poisoned >= 0 or sock in checks.hurt or checks.register_failed
            why = "" if fails else "no handler has failed"
        case "aborted":
            why = "" if world.signals > 1 or not world.is_running else "nobody said so"
        case "idle-timeout" | "lifetime" | "drain-timeout":
            why = _time(world, ending.reason, sock)
        case _:
            why = "there is no such reason"
    return why


def _eof(world: World, ending: Ending) -> str:
    """Everything that the client sent was read, and answered."""
    sock, said = ending.sock, ending.client.said
    if not sock.told:
        return "its stream had not ended"
    if ending.buffered or sock.sent != sock.received:
        return f"of {sock.received} bytes {sock.sent} are answered"
    if sock.received != said and sock not in world.invariants.hurt:
        return f"of {said} bytes that were sent {sock.received} were read"
    return ""


def _time(world: World, reason: str, sock: SimulatedStream) -> str:
    """It is up, and not a nanosecond earlier."""
    options, now = world.setup.options, world.loop.time
    if reason == "drain-timeout":
        limit, since = options.drain_timeout, world.invariants.stopping_at or 0
    elif reason == "lifetime":
        limit, since = options.lifetime or 0, sock.opened
    else:
        limit, since = options.idle_timeout or 0, sock.when
    missing = since + limit * SECOND - now
    return f"{missing} ns of the time were left" if missing > ROUNDED else ""
