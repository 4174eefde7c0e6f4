"""What the processes of a run tell each other."""

from __future__ import annotations

import msgspec
import pytest

from evloop.events.run import Run


@pytest.mark.parametrize("run", [Run("/tmp/a.log", "r1"), Run("/tmp/a.log", "r1", "full", 9, 17)])
def test_through_the_environment(run):
    """It comes out as it went in."""
    text = run.encode()
    assert isinstance(text, str)
    assert Run.decode(text) == run


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"log":1,"run":"r"}'])
def test_what_is_no_run(text):
    """Somebody else's variable."""
    with pytest.raises(msgspec.DecodeError):
        Run.decode(text)
