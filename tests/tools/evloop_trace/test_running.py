"""How a program is started, without starting it."""

from __future__ import annotations

import os
import sys
import zipfile

import pytest
from evloop_trace import running
from evloop_trace.running import become, prepare

from evloop.errors import EvloopError, LogError
from evloop.events.run import VARIABLE, Run


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of its own, without a PYTHONPATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "script.py").write_text("")
    return tmp_path


def test_command_and_environment(here):
    """As python would be called, with a folder in which Python finds our sitecustomize."""
    command, environment = prepare(["script.py", "-x"], "log", "full", 7)
    assert command == [sys.executable, "script.py", "-x"]
    assert os.path.exists(os.path.join(environment["PYTHONPATH"], "sitecustomize.py"))
    run = Run.decode(environment[VARIABLE])
    assert (run.log, run.payload, run.payload_max, run.parent) == (str(here / "log"), "full", 7, None)
    assert {**environment, "PYTHONPATH": "", VARIABLE: ""} == {**os.environ, "PYTHONPATH": "", VARIABLE: ""}
    assert Run.decode(prepare(["script.py"], "log")[1][VARIABLE]).run != run.run


def test_the_users_path_stays(here, monkeypatch):
    """Ours comes first."""
    monkeypatch.setenv("PYTHONPATH", "a:b")
    assert prepare(["script.py"], "log")[1]["PYTHONPATH"].endswith(":a:b")


def test_what_can_be_run(here):
    """Scripts with and without a suffix, folders, archives, pipes, modules, standard input."""
    (here / "python").write_text("")
    (here / "tool").write_text("#!/usr/bin/env python3\n")
    (here / "module.py").write_text("")
    (here / "__main__.py").write_text("")
    with zipfile.ZipFile(here / "archive", "w") as archive:
        archive.write(here / "__main__.py", "__main__.py")
    os.mkfifo(here / "pipe")
    for program in (
        ["tool"], ["python"], ["."], ["archive"], ["pipe"], ["-"], ["-m", "module"], ["-m", "http.server"],
        ["-m", "sys"],
    ):  # fmt: skip
        assert prepare(program, "log")[0] == [sys.executable, *program]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (["absent.py"], "absent.py cannot be run: No such file"),
        (["-m"], "-m needs the name"),
        (["-m", "absent_module.part"], "there is no module 'absent_module'"),
        (["binary"], "binary is no Python program"),
        (["shell"], "shell is no Python program"),
        (["python", "x.py"], "^python is no script: name x.py alone, which runs with "),
        (
            ["./bin/python3.11", "-m", "http.server"],
            "^./bin/python3.11 is no script: name -m http.server alone",
        ),
        (["python3"], "^python3 is no script: name the program's own"),
        (["folder"], "folder is a folder without a __main__.py"),
    ],
)
def test_what_cannot_be_run(here, program, message):
    """A sentence says why."""
    (here / "binary").write_bytes(b"\x7fELF\0")
    (here / "shell").write_text("#!/usr/bin/env bash\n")
    (here / "folder").mkdir()
    (here / "bin").mkdir()
    (here / "bin/python3.11").write_bytes(b"\x7fELF\0")
    with pytest.raises(EvloopError, match=message):
        prepare(program, "log")


def test_a_log_that_cannot_be_written(here):
    """It is said before the program has begun."""
    with pytest.raises(LogError, match="folder does not exist"):
        prepare(["script.py"], "absent/log")


def test_become(monkeypatch):
    """Where the interpreter cannot be started, a sentence says so."""
    monkeypatch.setattr(running.signal, "signal", lambda *_: None)
    with pytest.raises(EvloopError, match="absent/python cannot be started: No such file"):
        become(["absent/python"], {})
