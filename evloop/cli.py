"""The command `evloop`: what its options mean; `evloop.composition` puts the parts together.

Imports are inside the functions: `evloop --help` needs none of them.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from evloop import __version__, cli_serve
from evloop.cli_options import SECONDS, SECONDS_OR_NONE, log_options, payload_options
from evloop.errors import AddressError, EvloopError, LogError
from evloop.files import why_not_begun
from evloop.printable import printable

__all__ = ["main"]


HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=HELP)
@click.version_option(__version__, prog_name="evloop")
def cli() -> None:
    """See what a socket program does: a selectors event loop whose every call is an event."""


@cli.command(short_help="Talk to a server: send messages, and print its replies.")
@click.argument("address")
@click.argument("message", nargs=-1)
@click.option(
    "--delay", type=SECONDS_OR_NONE, metavar="S", default=0.0, help="Wait before the first message."
)
@click.option("--hold", type=SECONDS_OR_NONE, metavar="S", default=0.0, help="Wait before closing.")
@click.option(
    "--end",
    type=click.Choice(["fin", "reset", "half", "abandon"]),
    default="fin",
    show_default=True,
    help="How to end: close; reset; half-close and read on; or die without a word.",
)
@click.option(
    "--timeout", type=SECONDS, metavar="S", default=5.0, show_default=True, help="Wait so long for a reply."
)
@click.option(
    "--count",
    "repeat",
    type=click.IntRange(min=1),
    metavar="N",
    default=1,
    show_default=True,
    help="Send the messages N times.",
)
@click.option("--log", metavar="FILE", help="Write the event log.")
@payload_options
def client(
    address: str,
    message: tuple[str, ...],
    log: str | None,
    payload: str,
    payload_max: int | None,
    **options: Any,
) -> None:
    """Talk to a server at ADDRESS: HOST:PORT, udp:HOST:PORT, or the path of a Unix socket.

    With messages, each is sent and its reply printed; without, it asks for them.
    """
    from evloop.clients import conversation

    chosen = conversation.ClientOptions(**options)
    if log is None:
        sys.exit(conversation.run(address, message, chosen))
    if log == "-":
        raise click.UsageError("--log - and the replies would both go to standard output: give --log a file")
    from evloop import programs

    sys.exit(programs.talk(address, message, chosen, log_options(log, payload, payload_max)))


@cli.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Run a command, or a shell, in a network of its own.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def lab(command: tuple[str, ...]) -> None:
    """Run COMMAND in a network of its own, where everybody may capture; without one, a shell.

    It has nothing but loopback, every port is free, and you are root there, and only there. Programs
    that are to talk to each other must run in the same lab: evloop lab, and then in its shell; or
    evloop lab -- sh -c 'evloop serve & …'.
    """
    from evloop import lab

    if command and command[0].startswith("-"):
        raise click.NoSuchOption(command[0])
    try:
        lab.become(command)
    except EvloopError as error:
        _say(str(error))
        sys.exit(2)


@cli.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
    short_help="Predict, run, see, check: lessons about sockets.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lesson(arguments: tuple[str, ...]) -> int:
    """Lead through a lesson: `evloop_lessons.cli` says how."""
    from evloop_lessons import cli as lessons

    return lessons.main(arguments)


cli.add_command(cli_serve.serve)


def main() -> None:
    """Run the command line; every failure is one sentence."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        _say(_sentence(error))
        code = error.exit_code
    except (AddressError, LogError) as error:  # it could not begin
        _say(str(error))
        code = 2
    except EvloopError as error:  # it began, and what was asked for did not come true
        _say(str(error))
        code = 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = _discard_output()
    except OSError as error:
        if said := why_not_begun(error):
            _say(said)
            code = 2
        else:  # standard output is full, or closed
            _say(f"cannot go on: {error.strerror or error}")
            code = _discard_output()
    sys.exit(code)


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):
        print(f"evloop: {printable(sentence)}", file=sys.stderr, flush=True)


def _discard_output() -> int:
    """Nothing more can be printed: let the interpreter not try again when it ends. The exit code."""
    sys.stdout = None
    return 1


def _sentence(error: click.ClickException) -> str:
    """What is wrong, and where help is, if the message does not say."""
    message = error.format_message()
    name = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "evloop"
    said = ":" in message or "\uff1a" in message  # a lesson's may be Chinese
    return message if said else f"{message.rstrip('.')}: see {name} --help"
