"""The walk: what it reaches, that a seed makes it again, and what it says when something is wrong."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from evloop_simulation import __main__ as command
from evloop_simulation.setup import Setup
from evloop_simulation.walk import WalkError, walk
from evloop_simulation.world import Classes, World

from evloop.net.stream import Stream
from evloop.servers.loop import LoopServer
from evloop.testing import MAY_FAIL

ROOT = Path(__file__).parents[3]


class Forgets(Stream):
    """It answers with one byte less, now and then."""

    __slots__ = ()

    def _keep(self, rest):
        super()._keep(rest[1:] or rest)


class Forgetful(LoopServer):
    """A server of such streams."""

    stream_class = Forgets


def test_it_reaches_what_may_happen():
    """Every call fails, and connections end for every reason: or the walk would prove nothing."""
    fired, reasons = set(), set()
    for seed in (1, 2):
        walked = walk(seed, 12_000)
        fired |= {call for call, _ in walked.fired}
        reasons |= {*walked.reasons}
    assert fired == {*MAY_FAIL}
    assert reasons >= {
        "eof",
        "error",
        "handler-error",
        "idle-timeout",
        "lifetime",
        "drained",
        "drain-timeout",
        "aborted",
    }


def test_the_same_seed_is_the_same_walk():
    """To the last move."""
    assert walk(3, 4000) == walk(3, 4000)
    assert walk(3, 4000) != walk(4, 4000)


def test_a_walk_leaves_nothing():
    """When its worlds are over, none of their connections is kept by anybody."""
    gc.collect()
    before = {id(thing) for thing in gc.get_objects() if type(thing) is Stream}  # of other tests
    walk(5, 3000)
    gc.collect()
    assert not [it for it in gc.get_objects() if type(it) is Stream and id(it) not in before]


def test_what_goes_wrong_is_shown_as_short_as_it_can_be(monkeypatch, capsys):
    """The command ends with 1, and says what was found, after what, and how to see it again."""
    monkeypatch.setattr(command, "walk", lambda seed, steps: walk(seed, steps, Classes(server=Forgetful)))
    shrink = command.shrink
    monkeypatch.setattr(command, "shrink", lambda failure: shrink(failure, Classes(server=Forgetful)))
    assert command.main(["--seed", "7", "--steps", "20000"]) == 1
    said = capsys.readouterr().err
    assert "bytes are still to be answered" in said
    assert "Setup(" in said
    assert "('connect', 0)," in said
    assert len(said.splitlines()) < 14
    assert "again: python -m evloop_simulation --seed 7 --steps 20000" in said


def test_the_command():
    """A fresh seed is printed; and with it the walk is the same."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
    first = [sys.executable, "-P", "-m", "evloop_simulation", "--steps", "500"]
    said = subprocess.run(first, capture_output=True, check=True, text=True, env=environment).stdout
    seed = said.split()[1].rstrip(":")
    again = subprocess.run(
        [*first, "--seed", seed], capture_output=True, check=True, text=True, env=environment
    ).stdout
    assert said.partition(": all holds")[0] == again.partition(": all holds")[0]


def test_moves_that_cannot_be_made():
    """They do nothing: so any list of moves is a run."""
    world = World(Setup())
    for move in [
        ("say", 0, 5),
        ("hear", 1, 5),
        ("shut", 2),
        ("leave", 3, 1),
        ("poison", 0),
        ("little", 0, 1),
    ]:
        world.make(move)
    world.calm()
    world.finish()
    with pytest.raises(AttributeError):
        world.make(("fly",))


def test_a_failure_says_after_how_many_steps():
    """Of the walk, not of its last world."""
    with pytest.raises(WalkError) as caught:
        walk(1, 20_000, Classes(server=Forgetful))
    assert caught.value.steps >= len(caught.value.moves)
