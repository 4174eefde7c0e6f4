"""Moves at random: the same from the same seed."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from evloop_simulation.clients import LONGEST
from evloop_simulation.setup import Setup, any_setup
from evloop_simulation.world import CALLS, PORT, Classes, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evloop_simulation.world import Move

__all__ = ["WalkError", "Walked", "episode", "walk"]

LONGEST_EPISODE = 600  # moves
SHUTDOWN = CALLS.index("shutdown")
STOPPED = 0.4  # of the servers are told to stop while their clients do what they like


class WalkError(Exception):
    """A run that went wrong: what happened, and how to make it happen again."""

    def __init__(self, setup: Setup, moves: list[Move], error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.setup = setup
        self.moves = moves
        self.error = error
        self.steps = len(moves)
        """Until it went wrong: of this run, or of the whole walk."""


class Walked(NamedTuple):
    """What a walk came to."""

    worlds: int
    steps: int
    """Moves of clients and of the kernel, and turns of the loop."""
    turns: int
    fired: dict[tuple[str, int], int]
    """How many calls were made to fail, by call and errno."""
    reasons: dict[str, int]
    """Why connections ended."""


def _kinds(rng: Random) -> tuple[list[Callable[[], Move]], list[float]]:
    """What may be done next, and how often."""
    random = rng.random

    def below(n: int) -> int:
        return int(random() * n)

    def size() -> int:
        """Small as a rule, seldom large: from 1 to the longest, the logarithm even."""
        return int(LONGEST ** random())

    many: dict[Callable[[], Move], float] = {
        lambda: ("tick",): 60,
        lambda: ("say", below(16), size()): 18,
        lambda: ("hear", below(16), size()): 14,
        lambda: ("connect", below(2)): 7,
        lambda: ("sleep",): 3,
        lambda: ("shut", below(16)): 2.5,
        lambda: ("leave", below(16), below(2)): 2.5,
        lambda: ("datagram", int(70_000 ** random()) - 1, _port(below), below(2), 1 + below(3)): 3,
        lambda: ("datagram", below(40), 50_000 + below(9), 0, 100): 0.1,
        lambda: ("datagram", -1, 50_000, 0, 1): 0.1,
        lambda: ("wait", below(400)): 2,
        lambda: ("wait", below(200_000_000)): 0.05,
        lambda: ("oversleep", below(3000)): 0.3,
        lambda: ("handler_is_slow", below(1000)): 0.3,
        lambda: ("little", below(16), below(20)): 2,
        lambda: ("fail", below(7), below(64), below(16)): 5,
        lambda: ("register_fails", below(2)): 0.1,
        lambda: ("icmp", below(3)): 0.3,
        lambda: ("lasting", below(2), below(3)): 0.2,
        lambda: ("well",): 0.4,
        lambda: ("descriptors", below(5) - 2): 0.6,
        lambda: ("descriptors", -1): 0.6,
        lambda: ("rotate", below(8)): 0.5,
        lambda: ("poison", below(16)): 0.2,
        lambda: ("settle",): 1.5,
        lambda: ("gate", below(4), below(2)): 0.5,
        lambda: ("signal",): 0.1,
        lambda: ("pipe_ends",): 0.02,
    }
    return list(many), list(many.values())


def _port(below: Callable[[int], int]) -> int:
    which = below(10)
    if which < 7:
        return 50_000 + below(9)
    return PORT if which == 7 else below(1100)


def episode(setup: Setup, moves: Iterator[Move], classes: Classes, made: list[Move]) -> World:
    """One world from start to end. `made` gets the moves.

    Raises:
        WalkError: something did not hold.
    """
    try:
        world = World(setup, classes)
        for move in moves:
            made.append(move)
            world.make(move)
            if not world.is_running:
                break
        world.calm()
        world.finish()
    except Exception as error:
        raise WalkError(setup, made, error) from error
    return world


def walk(seed: int, steps: int, classes: Classes = Classes(), setup: Setup | None = None) -> Walked:  # noqa: B008
    """Worlds one after another until so many steps are made.

    Raises:
        WalkError: something did not hold.
    """
    rng = Random(seed)
    kinds, weights = _kinds(rng)

    def fail_shutdown() -> Move:
        """Nobody calls it but a server that stops."""
        return "fail", SHUTDOWN, int(rng.random() * 4), int(rng.random() * 16)

    def say() -> Move:
        """What arrives with the signal."""
        return "say", int(rng.random() * 16), int(LONGEST ** rng.random())

    worlds = done = turns = 0
    fired, reasons = dict[tuple[str, int], int](), dict[str, int]()
    while done < steps:
        length = int(LONGEST_EPISODE * rng.random() ** 2) + 10
        chosen = rng.choices(kinds, weights, k=length)
        if rng.random() < STOPPED:
            chosen += [
                *[fail_shutdown] * 2,
                lambda: ("signal",),
                *[say] * 2,
                *rng.choices(kinds, weights, k=60),
            ]
        try:
            world = episode(setup or any_setup(rng), (kind() for kind in chosen), classes, [])
        except WalkError as failure:
            failure.steps += done
            raise
        worlds += 1
        turns += world.ticks
        done += world.moves + world.ticks
        for key, count in world.kernel.faults.fired.items():
            fired[key] = fired.get(key, 0) + count
        for reason, count in world.invariants.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return Walked(worlds, done, turns, fired, reasons)
