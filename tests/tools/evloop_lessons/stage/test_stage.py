"""What a scenario can do, and what it is told when it cannot; without a network of its own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import msgspec
import pytest
from evloop_lessons.lesson import Lesson
from evloop_lessons.plan import SAMPLES, STEPS, Plan
from evloop_lessons.run import Socket
from evloop_lessons.stage import stage as module
from evloop_lessons.stage.actors import StageError
from evloop_lessons.stage.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LESSON = Lesson(99, 1, steps=("listen", "call"))


@pytest.fixture
def told() -> list[tuple[str, str]]:
    """What who leads has heard."""
    return []


@pytest.fixture
def stage(tmp_path: Path, told: list[tuple[str, str]]) -> Iterator[Stage]:
    """Where nothing has begun."""
    plan = Plan(99, "mine", {"callers": 3}, network=False)
    with Stage(LESSON, plan, tmp_path, tmp_path, lambda *it: told.append(it)) as stage:
        yield stage


def lines(path: Path) -> list[dict[str, object]]:
    """Of a file that it has written."""
    return [msgspec.json.decode(it) for it in path.read_bytes().splitlines()]


def test_a_step_is_announced_and_written_down(tmp_path: Path, told: list[tuple[str, str]]) -> None:
    """Behind the last there is a curtain: what is done then is no part of the lesson."""
    plan = Plan(99, "mine", {}, network=False)
    with Stage(LESSON, plan, tmp_path, tmp_path, lambda *it: told.append(it)) as stage:
        stage.step("listen")
        with pytest.raises(StageError, match="'leave' is none of the lesson's steps: listen, call"):
            stage.step("leave")
    assert told == [("step", "listen")]
    assert [it["step"] for it in lines(tmp_path / STEPS)] == ["listen", ""]


def test_a_scenario_that_fails_has_no_curtain(tmp_path: Path) -> None:
    """So that it is known that the run is not whole."""
    with pytest.raises(StageError), Stage(LESSON, Plan(99, "mine", {}), tmp_path, tmp_path, print) as stage:
        stage.step("leave")
    assert lines(tmp_path / STEPS) == []


def test_sockets_are_awaited_and_written_down(stage: Stage, tmp_path: Path) -> None:
    """As the kernel has them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        seen: list[Socket] = []

        def there(sockets: list[Socket]) -> bool:
            seen[:] = [it for it in sockets if it.local == address]
            return bool(seen)

        stage.until_sockets(there, "a listener")
    assert seen == [Socket(address, "", "LISTEN", 0, 0)]
    assert [address, "", "LISTEN", 0, 0] in lines(tmp_path / SAMPLES)[-1]["sockets"]


def test_what_does_not_come_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """When patience is at its end."""
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with pytest.raises(StageError, match="waited for 0 s, and it did not come: a miracle"):
        stage.until(lambda: False, "a miracle")


def test_what_the_lesson_does_not_have_is_a_sentence(stage: Stage) -> None:
    """No capture, no network of its own; and no such setting."""
    with pytest.raises(StageError, match="nobody captures packets"):
        stage.until_packets(bool, "a packet")
    with pytest.raises(StageError, match="is not pulled"):
        stage.cable(up=False)
    with pytest.raises(StageError, match=r"net\.ipv4\.nothing cannot be set to 1: "):
        stage.sysctl("net.ipv4.nothing", 1)
    assert stage["callers"] == 3
