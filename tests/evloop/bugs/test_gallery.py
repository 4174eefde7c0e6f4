"""The gallery as it is printed: whole, in eighty columns, and each bug one part of a server."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from evloop.bugs.gallery import BUGS, WIDTH, listing
from evloop.cli import cli
from evloop.cli_options import BUG
from evloop.parts import Parts

EVERY = pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)


@EVERY
def test_an_entry_is_whole(bug):
    """Sentences, a thread where its people tell of it, and a way to see it."""
    for text in (bug.wrong, bug.cure, bug.seen):
        assert text.endswith((".", ".)"))
    assert re.fullmatch(r"https://github\.com/[\w-]+/[\w-]+/(issues|pull)/\d+", bug.thread)
    assert bug.project
    assert bug.provoke
    assert bug.lint


@EVERY
def test_a_bug_is_in_one_part_or_what_it_needs_to_come_to_light(bug):
    """What is right stays as it is; each part that is another one is a subclass of what it replaces."""
    replaced = [(ours, right) for ours, right in zip(bug.parts, Parts(), strict=True) if ours is not right]
    assert 1 <= len(replaced) <= 2
    assert all(issubclass(ours, right) for ours, right in replaced)


@EVERY
def test_its_command_is_one_that_a_shell_takes(bug):
    """With the bug, and what it needs besides."""
    words = shlex.split(bug.command)
    assert words[-2:] == ["--log", "bug.jsonl"]
    assert words[words.index("--bug") + 1] == bug.name
    assert set(bug.options) <= set(words)


def test_the_list_fits_a_terminal():
    """Eighty columns, every bug, and the lines to type as they are, if they are not too long."""
    lines = listing().split("\n")
    assert max(map(len, lines)) <= WIDTH
    for bug in BUGS.values():
        assert bug.name in lines
        assert any(bug.thread in line for line in lines)
        for line in bug.provoke:
            if len(line) < 60:
                assert any(line in shown for shown in lines)


@EVERY
def test_what_ends_in_time_does_not_take_who_counts_with_it(bug):
    """At a prompt a pipeline is a group of its own, to the whole of which timeout(1) sends SIGTERM."""
    for line in bug.provoke:
        for pipeline in re.split(r"[;&]\s", line):
            assert not re.search(r"\btimeout (?!--foreground).*\|", pipeline)


def test_who_is_stopped_is_in_the_background_afterwards():
    """Its shell has the terminal then, and Ctrl-C: what to do is said before the first of them."""
    assert any("kill -STOP" in line for bug in BUGS.values() for line in bug.provoke)
    assert "fg" in " ".join(listing().split("\n")[:6])


def test_the_list_is_printed():
    """`--bug list` serves nobody."""
    result = CliRunner().invoke(cli, ["serve", "--bug", "list"])
    assert (result.exit_code, result.output) == (0, listing() + "\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--bug", "stale"], r"no bug 'stale' here: did you mean stale-fd\?"),
        (["--bug", "?"], "no bug '\\?' here: --bug list tells of all"),
        (["--bug", "eof-ignored", "--model", "once"], "--bug needs the loop"),
        (["--bug", "mask0-hup-spin", "--selector", "select"], "needs --selector epoll or poll"),
    ],
)
def test_what_cannot_be(options, said):
    """One sentence that says what to do."""
    with pytest.raises(click.UsageError, match=said):
        cli.main(["serve", *options], standalone_mode=False)


def test_a_shell_completes_names():
    """With what is wrong beside each."""
    (item,) = BUG.shell_complete(None, None, "stale")
    assert (item.value, item.help) == ("stale-fd", BUGS["stale-fd"].wrong)
    assert len(BUG.shell_complete(None, None, "")) == len(BUGS)
