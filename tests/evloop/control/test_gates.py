"""Gates: what is held, who waits, and the words of the protocol."""

from __future__ import annotations

import threading

from evloop.control.gates import BLOCKING, Gates


def test_a_line_is_obeyed_and_answered() -> None:
    """Every change is told once, when it is in effect."""
    gates = Gates()
    told: list[tuple[str, bool]] = []
    gates.changed = lambda gate, held: told.append((gate, held))
    assert gates.obey(b"hold read") == b"ok\n"
    assert gates.obey(b"hold read") == b"ok\n"
    assert gates.obey(b"hold accept") == b"ok\n"
    assert gates.obey(b"gates") == b"ok accept read\n"
    assert gates.obey(b"release read") == b"ok\n"
    gates.open()
    assert told == [("read", True), ("accept", True), ("read", False), ("accept", False)]
    assert gates.obey(b"gates") == b"ok\n"


def test_what_is_no_command_is_answered_by_what_there_is() -> None:
    """Also a gate that this model does not have, and bytes that are no text."""
    gates = Gates(BLOCKING)
    said = b"error there are: gates, hold GATE, release GATE; gates are accept, read, close\n"
    for line in (b"", b"hold", b"hold write", b"hold read close", b"gates now", b"\xff\xfe", b"open accept"):
        assert gates.obey(line) == said
    assert not gates.held


def test_who_waits_goes_on_when_the_gate_is_released() -> None:
    """A thread sleeps at a gate that is held, and at no other."""
    gates = Gates()
    gates.set("read", held=True)
    gates.wait("accept")
    passed = threading.Event()

    def go() -> None:
        gates.wait("read")
        passed.set()

    thread = threading.Thread(target=go)
    thread.start()
    assert not passed.is_set()
    gates.set("read", held=False)
    assert passed.wait(5)
    thread.join()


def test_no_gate_keeps_a_server_from_its_end() -> None:
    """Who waits goes on although it is held."""
    gates = Gates()
    gates.set("close", held=True)
    gates.over = lambda: True
    gates.wait("close")
    assert gates.held == {"close"}


def test_who_ends_holds_nothing_any_more() -> None:
    """And says so."""
    gates = Gates()
    gates.over = lambda: True
    assert gates.obey(b"hold close") == b"error the server ends, and nothing is held any more\n"
    assert gates.obey(b"release close") == b"ok\n"
    assert not gates.held
