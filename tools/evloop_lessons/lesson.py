"""What a lesson is: data about it, and the claims that are made of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from evloop.errors import EvloopError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evloop_lessons.run import Run

__all__ = [
    "NETWORK", "PACKETS", "SOCKETS", "Claim", "Found", "Lesson", "LessonError", "Missing", "Parameter",
    "UnplayedError", "Value", "claim", "found",
]  # fmt: skip

PACKETS, NETWORK, SOCKETS = "packets", "network", "sockets"
"""What a lesson needs, or a claim looks at: a capture; its own network; the kernel's table of sockets."""

_SHOWN = 40  # characters of what is no value

Value: TypeAlias = "int | float | str"


class LessonError(EvloopError):
    """A lesson cannot begin: it is not there, not whole, or asked for what it does not have."""


class UnplayedError(LessonError):
    """A lesson has begun, and cannot be played to its end."""


class Missing(LookupError):  # noqa: N818 - it is no error of the program's
    """What a claim looks for is not there."""


class Parameter(NamedTuple):
    """What `--set NAME=VALUE` can change. Its type is that of its default."""

    name: str
    default: Value
    low: float = 0
    high: float = 1_000_000
    choices: tuple[str, ...] = ()
    """If it is a word: all that it can be."""

    @property
    def range(self) -> str:
        """What it can be, in short."""
        return " | ".join(self.choices) if self.choices else f"{self.low:g} … {self.high:g}"

    def parse(self, text: str, said: str = "--set ") -> Value:
        """Its value.

        Args:
            text: As it was written.
            said: Where, for errors.

        Raises:
            LessonError: it is none that it can have.
        """
        if self.choices:
            if text in self.choices:
                return text
        else:
            try:
                value = type(self.default)(text)
            except ValueError:
                value = None
            if isinstance(value, int | float) and self.low <= value <= self.high:
                return value
        kind = {int: "a whole number, ", float: "a number, "}.get(type(self.default), "")
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise LessonError(f"{said}{self.name}={shown}: {self.name} is {kind}{self.range}")


class Lesson(NamedTuple):
    """What is known of a lesson before it runs; its words are in its texts."""

    number: int
    minutes: int
    needs: tuple[str, ...] = ()
    """Of `PACKETS` and `NETWORK`; without any it runs wherever evloop does."""
    steps: tuple[str, ...] = ()
    """The names of its steps, in their order."""
    parameters: tuple[Parameter, ...] = ()

    @property
    def needs_lab(self) -> bool:
        """It is played in a network of its own."""
        return bool({NETWORK, PACKETS} & set(self.needs))

    def values(self, given: Mapping[str, str], said: str = "--set ") -> dict[str, Value]:
        """The value of every parameter.

        Args:
            given: Those that are not as they are by default.
            said: Where they were given, for errors.

        Raises:
            LessonError: one is given that it does not have, or a value that it cannot have.
        """
        known = {it.name: it for it in self.parameters}
        for name in given:
            if name not in known:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise LessonError(f"{said}{name}: lesson {self.number} has no such parameter: {has}")
        return {
            name: it.parse(given[name], said) if name in given else it.default for name, it in known.items()
        }


class Found(NamedTuple):
    """What a claim has found."""

    passed: bool
    evidence: tuple[Any, ...] = ()
    """What it looked at: entries, samples of sockets, or text in the notation of packets."""
    values: dict[str, Any] = {}  # noqa: RUF012 - never changed
    """For the blanks of its sentence."""


def found(passed: bool, *evidence: Any, **values: Any) -> Found:
    """What a claim has found."""
    return Found(passed, evidence, values)


class Claim(NamedTuple):
    """Something that must be seen."""

    key: str
    """Its sentence in the texts."""
    looks_at: tuple[str, ...]
    """`PACKETS`, `SOCKETS`, and names of logs: if one is missing, nothing is claimed."""
    judge: Callable[[Run], Found]


def claim(key: str, *looks_at: str) -> Callable[[Callable[[Run], Found]], Claim]:
    """Make a claim of a function from a run to what it has found in it. The function is pure."""
    return lambda judge: Claim(key, looks_at, judge)
