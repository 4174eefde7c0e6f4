"""What must hold when all is over: at rest, when the server has stopped, and when it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from evloop_trace.model.checks import Checker, Finding
from evloop_trace.model.lint import Linter

from evloop_simulation.clients import WrongError

if TYPE_CHECKING:
    from evloop.events.reader import Item
    from evloop.events.schema import Event
    from evloop_simulation.world import World

__all__ = ["at_end", "at_rest", "at_stop"]

# What a lint may say of a server that is right: its clients and its system can be trouble enough.
TRUE_LINTS = {"truncated", "queue-near-limit", "ended-badly", "slow-handler"}


def at_rest(world: World) -> None:
    """Everybody was answered or ended, and has left nothing behind."""
    if world.streams:
        raise WrongError(f"{len(world.streams)} connections do not end, though their clients have")
    for client in world.clients:
        if not client.ended:
            raise WrongError(
                f"a client is not answered: it said {client.said} bytes and heard {client.heard}"
            )
        if client.promised >= 0 and (client.heard, client.ended) != (client.promised, "eof"):
            raise WrongError(
                f"a client was sent {client.promised} bytes and heard {client.heard} ({client.ended})"
            )
    if not world.is_running:
        return
    waiting = sum(len(listener.queue) for listener in world.listeners)
    if waiting:
        raise WrongError(f"{waiting} connections were never accepted")
    timers = world.loop.timers
    timer = timers.next()
    if timer is not None and len(timers) > bool(world.setup.sample):
        raise WrongError(f"{len(timers)} timers are left: {timer.why}")


def at_stop(world: World) -> None:
    """The loop has stopped."""
    if world.streams and world.signals < 2:
        raise WrongError("the server has stopped with connections open")


def at_end(world: World) -> None:
    """All is closed: no descriptor is open, and the log is whole."""
    kernel = world.kernel
    world.invariants.ended()
    if kernel.open:
        raise WrongError(f"descriptors are left: {kernel.open}")
    if kernel.pollers[0].masks:
        raise WrongError(f"the selector still watches {kernel.pollers[0].masks}")
    if world.recorder is not None:
        _check(world.sink.events)
        if world.gates is None:  # what is held back looks like a fault
            _lint(world.sink.events)


def _check(events: list[Event]) -> None:
    """No event is lost, offsets join, totals are right: as `evloop-trace check` sees it."""
    findings: list[Finding] = []
    checker = Checker(findings.append)
    checker.feed(1, cast("list[Item]", events))
    checker.finish()
    for finding in findings:
        if not finding.note:
            raise WrongError(f"line {finding.line} of the log: {finding.text}")


def _lint(events: list[Event]) -> None:
    """No lint says of the server what is not so."""
    linter = Linter()
    for found in [*linter.feed(events), *linter.finish()]:
        if found.kind not in TRUE_LINTS:
            raise WrongError(f"a lint: {found.kind}: {found.text}")
