"""Which log a command writes, and how one that writes none is told to."""

from __future__ import annotations

import pytest
from evloop_trace.audit.command import NoLogError, with_log


@pytest.mark.parametrize(
    ("command", "log", "words", "name"),
    [
        ("evloop serve", None, "evloop serve --log spare", "spare"),
        ("evloop serve --tcp a:1", "l", "evloop serve --log l --tcp a:1", "l"),
        ("/bin/evloop serve --log x", None, "/bin/evloop serve --log x", "x"),
        ("evloop serve --log=x", "x", "evloop serve --log=x", "x"),
        ("python -m evloop client a:1", None, "python -m evloop client --log spare a:1", "spare"),
        ("evloop-trace run p.py --log q", None, "evloop-trace run --log spare p.py --log q", "spare"),
        ("evloop-trace run --port 1 --log x p.py", None, "evloop-trace run --port 1 --log x p.py", "x"),
        ("evloop-trace run -m http.server", None, "evloop-trace run --log spare -m http.server", "spare"),
        ("sh script", "l", "sh script", "l"),
    ],
)  # fmt: skip
def test_the_log(command: str, log: str | None, words: str, name: str) -> None:
    """Its own, or the one that audit is given, or one for the time."""
    assert with_log(command.split(), log, "spare") == (words.split(), name)


@pytest.mark.parametrize(
    ("command", "log", "said"),
    [
        ("sh script", None, "names no --log"),
        ("evloop serve --log a", "b", "two files"),
        ("evloop serve --log -", None, "standard output"),
        ("evloop serve", "-", "standard output"),
    ],
)
def test_no_log(command: str, log: str | None, said: str) -> None:
    """There would be nothing to compare."""
    with pytest.raises(NoLogError, match=said):
        with_log(command.split(), log, "spare")
