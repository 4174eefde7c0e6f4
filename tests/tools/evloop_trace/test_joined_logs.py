"""The logs of a server and of its clients, read together by every command that reads logs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from evloop_trace import cli
from evloop_trace.apps import player as player_module
from evloop_trace.apps.player import Player
from evloop_trace.apps.still import picture_at
from evloop_trace.correlate.meeting import Meeting, Told
from evloop_trace.playback import Playback
from evloop_trace.replay import Problems
from evloop_trace.tape import open_tape

from evloop.events.schema import Header, Poll, Recv

if TYPE_CHECKING:
    from collections.abc import Callable

MAKE_LOG = Path(__file__).parents[3] / "tools" / "bench" / "make_log.py"


@pytest.fixture
def both(tmp_path: Path) -> tuple[str, str]:
    """Clients' log and server's, which agree with each other."""
    client, server = str(tmp_path / "client.jsonl"), str(tmp_path / "server.jsonl")
    command = [sys.executable, str(MAKE_LOG), server, "1000", client]
    events = int(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)
    assert events == sum(Path(path).read_bytes().count(b"\n") for path in (client, server))
    return client, server


def run(*arguments: str) -> int:
    """The command's exit code."""
    return cli.run(lambda: cli.cli.main(arguments, prog_name="evloop-trace", standalone_mode=False))


def rewrite(path: str, change: Callable[[Any], None], lines: slice = slice(None)) -> str:
    """The log with another header, or with fewer lines."""
    data = Path(path).read_bytes().splitlines(keepends=True)
    header = msgspec.json.decode(data[0], type=Header)
    change(header)
    other = Path(path).with_name(f"other-{Path(path).name}")
    other.write_bytes(msgspec.json.encode(header) + b"\n" + b"".join(data[1:][lines]))
    return str(other)


def test_lines_say_where_everything_came_from(
    both: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each recv() and accept() of both logs does; and both logs are whole."""
    assert run("check", *both) == 0
    assert run("replay", *both) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [line for line in out.splitlines() if " recv(" in line or " accept() = " in line]
    assert len(lines) == 340
    for line in lines:
        here, there = ("client", "server") if " client:" in line else ("server", "client")
        assert f" {here}:tcp-" in line
        assert f"  from {there} " in line


def test_a_name_of_either_end_will_do(both: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Both ends are shown; a name that is nowhere is told, and so is the time of the last line."""
    assert run("replay", *both, "--conn", "server:tcp-3", "--ev", "recv", "--speed", "1000") == 0
    names = {line.split()[3] for line in capsys.readouterr().out.splitlines()}
    assert names == {"client:tcp-3", "server:tcp-3"}
    assert run("replay", *both, "--conn", "tcp-3") == 1
    assert "with several logs a name is like server:tcp-1" in capsys.readouterr().err
    assert run("replay", *both, "--to", "3us") == 0
    assert 0 < len(capsys.readouterr().out.splitlines()) < 20


def test_broken_lines_are_told_of_by_their_log(
    both: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In lines and in a picture."""
    with open(both[1], "ab") as file:
        file.write(b"nonsense\n")
    assert run("replay", *both) == 1
    assert f"{both[1]}: line " in capsys.readouterr().err
    told: list[str] = []
    picture_at(both, None, Problems(told.append))
    picture_at(both, None)
    assert len(told) == 1


def test_logs_of_two_machines(both: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """They are joined by the time of day; it is said, and by how much that must be wrong."""
    other = rewrite(
        both[0], lambda header: (setattr(header, "boot_id", "x"), setattr(header, "wall_ns", 5_000_001))
    )
    assert run("replay", other, both[1]) == 0
    out, err = capsys.readouterr()
    assert "not of one boot: they are joined by the time of day" in err
    assert "the clocks of other-client and server disagree by at least 5.0 ms" in err
    assert " from other-client send " in out


def test_a_picture_of_both(both: tuple[str, str], tmp_path: Path) -> None:
    """At the end or before; who is a client is known from the whole log."""
    svg = tmp_path / "both.svg"
    assert run("picture", *both, "-o", str(svg), "--at", "100us") == 0
    assert "client" in svg.read_text()
    meeting = picture_at(both, 0)
    assert isinstance(meeting, Meeting)
    assert [(it.label, it.client) for it in meeting.programs] == [("client", True), ("server", False)]


def test_a_tape_of_both_is_wound_to_and_fro(both: tuple[str, str]) -> None:
    """What was seen on the way forth is what is seen on the way back."""
    read: list[str] = []
    tape = open_tape(both, lambda name, _items: read.append(name))
    assert set(read) == {*both, ""}
    playback = Playback(tape)
    frozen = []
    for number in range(1, 400, 57):
        playback.go(number)
        frozen.append(playback.picture.freeze())
    for number, before in reversed(list(zip(range(1, 400, 57), frozen, strict=True))):
        playback.go(number)
        assert playback.picture.freeze() == before
    playback.run_tick()
    item = playback.next()
    assert isinstance(item, Told)
    assert isinstance(item.event, Poll)
    tape.close()


def test_only_one_connection_with_both_its_ends(both: tuple[str, str]) -> None:
    """Asked for by either end's name."""
    tape = open_tape(both)
    playback = Playback(tape, lambda event: getattr(event, "conn", None) == "client:tcp-3")
    playback.run_to(1 << 62)
    assert isinstance(playback.picture, Meeting)
    shown = {it.event.conn for it in playback.picture.ladder if isinstance(it.event, Recv)}
    assert shown == {"client:tcp-3", "server:tcp-3"}
    tape.close()


def test_the_player_shows_both(both: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the one name that the connection has on the ladder."""
    monkeypatch.setattr(player_module, "FRAME", 3600)
    tape = open_tape(both)
    player = Player(Playback(tape), playing=False)

    async def tell() -> str:
        async with player.run_test(size=(100, 30)) as pilot:
            await pilot.press("G")
            while player.goal is not None:  # a frame goes only as far as its time allows
                player.frame()
            await pilot.press("f", *"tcp-3", "enter")
            while player.goal is not None:
                player.frame()
            lines = player._canvas.drawn
            return "\n".join("".join(segment.text for segment in line) for line in lines)

    shown = asyncio.run(tell())
    assert " client ─" in shown
    assert " recv() = 0 ◂ close, " in shown
    assert "tcp-4" not in shown
    tape.close()
