"""A client's life as glyphs."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.model.clients import Client, Clients
from evloop_trace.views.bars import GLYPHS, Axis, life, segments


def only(log: Any) -> Client:
    """The only client of a log."""
    clients = Clients()
    clients.feed(1, log.events)
    clients.finish()
    (client,) = clients.all
    return client


def drawn(log: Any, end: float, cells: int, origin: float = 0) -> str:
    """Its bar, on an axis to `end` milliseconds."""
    return life(only(log), round(origin * 1e6), round((origin + end) * 1e6), Axis(round(end * 1e6), cells))


def test_all_that_may_happen(serving: Any) -> None:
    """In the queue, answered at once, silent, answered late, silent, gone."""
    log = serving()
    log.accept(30, "tcp-1", 20)
    log.recv(35, "tcp-1")
    log.send(35.1, "tcp-1")
    log.recv(60, "tcp-1")
    log.send(85, "tcp-1")
    log.close(105, "tcp-1")
    assert drawn(log, 120, 12) == " ░░█──▒▒█── "
    assert drawn(log, 110, 11, origin=10) == "░░█──▒▒█── "


def test_what_is_too_short_to_show(serving: Any) -> None:
    """Half a cell shows; less does not, even where it lies across a border."""
    log = serving()
    log.accept(21, "tcp-1", 3)
    log.recv(39, "tcp-1")
    log.send(41, "tcp-1")
    log.close(50, "tcp-1")
    assert drawn(log, 60, 6) == " ───█─"


def test_many_short_answers_are_a_bar(serving: Any) -> None:
    """Neither idle nor waiting: there is an answer in every cell."""
    log = serving()
    log.accept(0, "tcp-1")
    for at in range(1, 1000):
        log.recv(at, "tcp-1")
        log.send(at + 0.1, "tcp-1")
    assert drawn(log, 1000, 20).count("█") >= 19


def test_who_is_still_there(serving: Any) -> None:
    """The last cell says so."""
    log = serving()
    log.accept(0, "tcp-1")
    assert drawn(log, 50, 5) == "────→"


def test_who_is_not_kept(serving: Any) -> None:
    """The queue is known, and what came then is not."""
    log = serving()
    log.client(0, 20, 50, "tcp-1")
    client = only(log)
    client.forget()
    assert life(client, 0, 60_000_000, Axis(60_000_000, 6)) == "░░····"


@pytest.mark.parametrize(
    ("end", "cells", "ruler"),
    [
        (1_000_000_000, 30, "|0 s           |0.5           "),
        (10_000_000_000, 50, "|0 s      |2        |4        |6        |8        "),
        (45_000_000, 40, "|0 ms            |20               |40  "),
        (3_000, 20, "|0 µs        |2     "),
        (50, 20, "|0 ns               "),
        (0, 8, "|0 ns   "),
        (1, 3, "   "),
    ],
)
def test_rulers(end: int, cells: int, ruler: str) -> None:
    """Marks at round times that have room for their labels."""
    assert Axis(end, cells).ruler() == ruler


def test_an_axis_has_ends() -> None:
    """What is outside is in the last cell, or the first."""
    axis = Axis(100, 10)
    assert [axis.cell(time) for time in (-5, 0, 55, 100, 900)] == [0, 0, 5, 9, 9]
    assert Axis(0, 10).cell(0) == 0


def test_segments() -> None:
    """A segment a glyph; the glyphs differ, so that colour is not needed."""
    assert [it.text for it in segments(" ░░█ ")] == [" ", "░░", "█", " "]
    assert segments("") == []
    assert len({text for text, _ in GLYPHS.values()}) == len(GLYPHS) == 6
