"""What the programs say of themselves with --help."""

from __future__ import annotations

import re

import click
import pytest
from evloop_lessons.cli import lesson
from evloop_trace.cli import cli as evloop_trace

from evloop.cli import cli as evloop

GROUPS = [evloop, evloop_trace]
COMMANDS = [command for group in GROUPS for command in group.commands.values()] + [lesson]


def help_of(command):
    """What `--help` prints on a terminal of 80 columns, of which click leaves two empty."""
    return command.get_help(click.Context(command, info_name=command.name, terminal_width=78))


@pytest.mark.parametrize("group", GROUPS, ids=["evloop", "evloop-trace"])
def test_a_command_is_told_in_one_line_that_is_not_cut(group):
    """A sentence, on a terminal of 80 columns."""
    _, _, told = help_of(group).partition("Commands:\n")
    lines = [re.fullmatch(r"  (\S+) +(.+)", line) for line in told.splitlines()]
    assert None not in lines
    assert [line[1] for line in lines] == sorted(group.commands)
    assert [line[1] for line in lines if not re.fullmatch(r"[A-Z].*[^.]\.", line[2])] == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_an_options_value_has_a_name(command):
    """Not that of its type in Python."""
    assert re.findall(r"--[\w-]+ (?:INTEGER|FLOAT|TEXT|BOOLEAN)\b.*", help_of(command)) == []
