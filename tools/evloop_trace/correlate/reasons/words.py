"""The words that reasons are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.numbers import size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evloop_trace.correlate.entries import CallEntry, CallRef

__all__ = ["call", "numbers", "often", "packets", "ref", "size", "text"]


def call(entry: CallEntry) -> str:
    """`close() #11`."""
    event = entry.event
    word = getattr(event, "call", "") or type(event).__name__.lower()
    return f"{text(word)}{'' if word.endswith(')') else '()'} #{event.seq}"


def ref(it: CallRef) -> str:
    """The same, of a link; of what sleeps, a send is linked by its bytes, and a connect has none."""
    asleep = "send" if it.begin < it.end else "connect"
    return f"{asleep if it.ev == 'block' else it.ev}() #{it.seq}"


def packets(them: Iterable[int]) -> str:
    """`packet #4`, `packets #4-#6`, `packets #4, #6`."""
    found = sorted(set(them))
    return f"packet{'s' if len(found) > 1 else ''} {numbers(found)}"


def numbers(them: Iterable[int]) -> str:
    """`#4-#6`, or `#4, #6`; of many only the first and the last."""
    found = sorted(set(them))
    if len(found) > 2 and (found[-1] - found[0] == len(found) - 1 or len(found) > 4):
        joint = "-" if found[-1] - found[0] == len(found) - 1 else " … "
        return f"#{found[0]}{joint}#{found[-1]}"
    return ", ".join(f"#{it}" for it in found)


def often(number: int) -> str:
    """`once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def text(words: str, most: int = 64) -> str:
    """What a log says, cut; who shows it makes it safe."""
    return words if len(words) <= most else words[:most] + "…"
