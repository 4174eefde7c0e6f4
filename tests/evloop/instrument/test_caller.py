"""Threads are told apart by name, whatever the program calls them, and at no cost that grows."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from evloop.instrument import caller
from evloop.instrument.caller import Callers, thread_name


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    """Names are forgotten early, and those of other tests' threads at once."""
    monkeypatch.setattr(caller, "_namesakes", {"MainThread": count(2)})
    monkeypatch.setattr(caller, "_MOST_NAMES", 10)


def named(*names, together=True):
    """What threads of these names are called, which live together or one after the other."""
    seen = {}
    everyone = threading.Barrier(len(names) if together else 1)

    def work(number):
        everyone.wait(10)
        seen[number] = thread_name()
        assert thread_name() == seen[number]

    threads = [threading.Thread(target=work, args=(number,), name=name) for number, name in enumerate(names)]
    for thread in threads:
        thread.start()
        if not together:
            thread.join()
    for thread in threads:
        thread.join()
    return [seen[number] for number in range(len(names))]


def test_the_main_thread():
    """It has no name, and no other thread is taken for it."""
    assert thread_name() == ""
    assert named("MainThread") == ["MainThread #2"]


def test_namesakes():
    """They are told apart by a number, also when one of them has ended."""
    assert sorted(named("w", "w", "v")) == ["v", "w", "w #2"]
    assert named("w", "w", together=False) == ["w #3", "w #4"]


def test_bytes_that_are_no_text():
    """A log could not hold them."""
    assert named("w\udcff") == [r"w\xff"]


def test_names_are_forgotten():
    """Of threads that have ended, when they are many; not of those that live."""
    go_on = threading.Event()
    living = threading.Thread(target=lambda: thread_name() and go_on.wait(10), name="w")
    living.start()
    try:
        named(*(f"t{number}" for number in range(30)), together=False)
        assert len(caller._namesakes) <= 12
        assert named("w") == ["w #2"]
        assert named("MainThread") == ["MainThread #2"]
    finally:
        go_on.set()
        living.join()


def test_a_thread_that_python_does_not_know():
    """It has a number."""
    import _thread  # noqa: PLC0415

    seen, done = [], threading.Event()
    _thread.start_new_thread(lambda: (seen.append(thread_name()), done.set()), ())
    assert done.wait(10)
    assert seen[0].startswith("thread ")


def test_our_own_servers_are_programs_where_they_are_installed(monkeypatch):
    """Among the installed packages ours is not a library, but for the files that call on behalf of others."""
    monkeypatch.setattr(caller, "_LIBRARIES", ("/site-packages/",))
    monkeypatch.setattr(caller, "_OURS", "/site-packages/evloop/")

    def made(path, call="frame_at(0)"):
        names = {"frame_at": caller.frame_at}
        exec(compile(f"def call(next=None):\n    return next() if next else {call}", path, "exec"), names)
        return names["call"]

    script = made("/bin/evloop")
    server = made("/site-packages/evloop/servers/conversation.py")
    for inner, where in (
        ("/site-packages/evloop/kernel.py", "evloop/servers/conversation.py:2"),
        ("/site-packages/other/kernel.py", "evloop/servers/conversation.py:2"),
        ("/site-packages/evloop/clients/conversation.py", "evloop/clients/conversation.py:2"),
    ):
        frame = script(lambda inner=inner: server(made(inner)))
        assert Callers(("/site-packages/evloop/kernel.py",)).where(frame) == where
    alone = script(made("/site-packages/other/kernel.py"))
    assert Callers().where(alone) == "/bin/evloop:2"


def test_a_program_in_a_folder_that_was_removed(tmp_path, monkeypatch):
    """Its places are known all the same, by their whole names."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    names = {"frame_at": caller.frame_at}
    exec(compile("frame = (lambda: frame_at(0))()", "/srv/app.py", "exec"), names)
    assert Callers().where(names["frame"]) == "/srv/app.py:1"
