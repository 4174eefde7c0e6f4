"""What the programs say of themselves with --help."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner
from evloop_lessons.cli import lesson
from evloop_trace.cli import cli as evloop_trace

from evloop.cli import cli as evloop

GROUPS = {"evloop": evloop, "evloop-trace": evloop_trace}
COMMANDS = [(group, name) for group in GROUPS for name in GROUPS[group].commands if name != "lesson"]


def help_of(command, *words):
    """What `--help` prints on a terminal of 80 columns, of which click leaves two empty."""
    done = CliRunner().invoke(command, [*words, "--help"], terminal_width=78)
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("group", GROUPS)
def test_a_command_is_told_in_one_line_that_is_not_cut(group):
    """A sentence, on a terminal of 80 columns."""
    _, _, told = help_of(GROUPS[group]).partition("Commands:\n")
    lines = [re.fullmatch(r"  (\S+) +(.+)", line) for line in told.splitlines()]
    assert None not in lines
    assert [line[1] for line in lines] == sorted(GROUPS[group].commands)
    assert [line[1] for line in lines if not re.fullmatch(r"[A-Z].*[^.]\.", line[2])] == []


@pytest.mark.parametrize(("group", "name"), [*COMMANDS, ("lesson", "")])
def test_an_options_value_has_a_name(group, name):
    """Not that of its type in Python."""
    told = help_of(GROUPS[group], name) if name else help_of(lesson)
    assert "Options:" in told
    assert re.findall(r"--[\w-]+ (?:INTEGER|FLOAT|TEXT|BOOLEAN)\b.*", told) == []
