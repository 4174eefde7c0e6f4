"""A run that went wrong, made as short as it can be: moves are taken out as long as it still goes wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from evloop_simulation.setup import Setup
from evloop_simulation.walk import WalkError, episode
from evloop_simulation.world import Classes

if TYPE_CHECKING:
    from evloop_simulation.world import Move

__all__ = ["fails", "shrink"]

MOST_TRIES = 3000


def fails(setup: Setup, moves: list[Move], classes: Classes = Classes()) -> WalkError | None:  # noqa: B008
    """Make these moves in a world of this kind; how it went wrong, or None."""
    try:
        episode(setup, iter(moves), classes, [])
    except WalkError as failure:
        return failure
    return None


def _kind(failure: WalkError) -> str:
    """What went wrong, whatever the numbers are."""
    return re.sub(r"[0-9]+", "", str(failure))[:60]


class _Shrinker:
    def __init__(self, failure: WalkError, classes: Classes) -> None:
        self.best = failure
        self._kind = _kind(failure)
        self._classes = classes
        self._tries = MOST_TRIES

    def _holds(self, setup: Setup, moves: list[Move]) -> bool:
        """Whether it goes wrong in the same way; if so it is the best now."""
        self._tries -= 1
        again = fails(setup, moves, self._classes) if self._tries > 0 else None
        if again is None or _kind(again) != self._kind:
            return False
        self.best = again
        return True

    def plainer(self) -> None:
        """A setup with nothing in it that is not needed."""
        for name, value in Setup()._asdict().items():
            self._holds(self.best.setup._replace(**{name: value}), self.best.moves)

    def fewer(self) -> bool:
        """Moves are taken out, many at once and then one by one."""
        before = len(self.best.moves)
        size = before
        while size:
            at = 0
            while at < len(self.best.moves):
                moves = self.best.moves
                if not self._holds(self.best.setup, moves[:at] + moves[at + size :]):
                    at += size
            size //= 2
        return len(self.best.moves) < before

    def smaller(self) -> bool:
        """Numbers become 0, 1, or half of what they were."""
        changed = False
        places = [(at, place) for at, move in enumerate(self.best.moves) for place in range(1, len(move))]
        for at, place in places:
            for number in (0, 1, self.best.moves[at][place] // 2):
                moves = list(self.best.moves)
                move = moves[at]
                if abs(number) < abs(move[place]):
                    moves[at] = (*move[:place], number, *move[place + 1 :])
                    if self._holds(self.best.setup, moves):
                        changed = True
                        break
        return changed


def shrink(failure: WalkError, classes: Classes = Classes()) -> WalkError:  # noqa: B008
    """The same failure, with fewer moves, smaller numbers, and a plainer setup."""
    shrinker = _Shrinker(failure, classes)
    shrinker.plainer()
    while shrinker.fewer() | shrinker.smaller():
        pass
    return shrinker.best
