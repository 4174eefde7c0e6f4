"""When very many are ready: who has their turn in this tick, and who in a later one. Pure: no socket here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

__all__ = ["CROWD", "Crowd"]

CROWD = 8  # newcomers, a tick


class Crowd:
    """Lets regulars go first, and only so many of the others.

    Those who come in a burst, ask once and leave cost more than those who stay: an accept, a close. Were all
    of them served in one tick, whoever asks meanwhile would wait for all of them. So in a crowd the regulars
    have their turn, and then some of the others; the rest is left out, which loses nothing: level-triggered,
    the selector reports it again. Who was left out goes before who comes later: nobody waits for ever.
    """

    def __init__(self, size: int = CROWD) -> None:
        """`size`: how many of the others, a tick."""
        self.size = size
        self._left_out: dict[int, int] = {}  # descriptor → its place in the queue, after the last crowd

    def in_turn(
        self, ready: Sequence[tuple[int, int]], newcomers: AbstractSet[int]
    ) -> Sequence[tuple[int, int]]:
        """Of (descriptor, bits) as they are ready: those who have their turn now, in its order."""
        others = [pair for pair in ready if pair[0] in newcomers]
        if not others:
            return ready
        regulars = [pair for pair in ready if pair[0] not in newcomers]
        left_out = self._left_out
        others.sort(key=lambda pair: left_out.get(pair[0], len(left_out)))
        self._left_out = {fd: place for place, (fd, _) in enumerate(others[self.size :])}
        return regulars + others[: self.size]
