"""What the processes of a run tell each other."""

from __future__ import annotations

import os

import msgspec
import pytest

from evloop.events.run import Run

NOT_TEXT = os.fsdecode(b"/tmp/\xff/\xe5\x93\x88.log")


@pytest.mark.parametrize(
    "run", [Run("/tmp/a.log", "r1"), Run("/tmp/a.log", "r1", "full", 9, 17), Run(NOT_TEXT, "r1")]
)
def test_through_the_environment(run):
    """It comes out as it went in."""
    text = run.encode()
    assert text.isascii(), "what reads it may have another encoding"
    assert Run.decode(text) == run


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"log":1,"run":"r"}', '{"log":"/a","run":"r"}'])
def test_what_is_no_run(text):
    """Somebody else's variable."""
    with pytest.raises(msgspec.DecodeError):
        Run.decode(text)
