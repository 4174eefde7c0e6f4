"""What once broke a reader does not break it again: the inputs that `tools/fuzz` keeps, without a fuzzer."""

from __future__ import annotations

import importlib
from pathlib import Path
from random import Random

import pytest

FUZZ = Path(__file__).parents[3] / "tools/fuzz"
KEPT = sorted(path.relative_to(FUZZ / "corpus") for path in (FUZZ / "corpus").glob("*/*"))


@pytest.fixture(autouse=True)
def _targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """They lie beside the fuzzer."""
    monkeypatch.syspath_prepend(str(FUZZ))


@pytest.mark.parametrize("name", KEPT, ids=str)
def test_kept(name: Path) -> None:
    """Every command that takes such a file comes through."""
    target = importlib.import_module(name.parent.name)
    getattr(target, "look_at_all", target.look)((FUZZ / "corpus" / name).read_bytes())


@pytest.mark.parametrize("name", ["logs", "captures", "addresses", "control"])
def test_seeds(name: str) -> None:
    """What a target begins with comes through as well."""
    target = importlib.import_module(name)
    for seed in list(target.seeds())[:6]:
        target.look(seed)


def test_a_changed_log_is_mostly_a_log() -> None:
    """The changes are of the kind that a reader gets past its first line."""
    events, logs = importlib.import_module("events"), importlib.import_module("logs")
    rng, good = Random(1), 0
    for number in range(50):
        data = events.change(events.a_log(Random(number), 10), rng)
        items = [*logs._items(data, 999)]
        good += sum(type(item).__name__ != "Problem" for item in items) > len(items) / 2
    assert good > 40
