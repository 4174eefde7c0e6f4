"""The command line: what the options of a model become, and which it refuses."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys

import click
import pytest

from evloop import composition, programs
from evloop.address import Inet, UnixPath
from evloop.cli import cli, main
from evloop.programs import BlockingOptions
from evloop.servers.loop import ServerOptions

MODELS = ["once", "conversation", "sequential", "threaded"]


@pytest.fixture
def run(monkeypatch):
    """Run a command line; what would have been started, and with what."""
    started = []
    for module, name in ((programs, "serve"), (composition, "serve"), (programs, "talk")):
        monkeypatch.setattr(module, name, lambda *given, **_named: started.append(given) or 0)

    def start(*arguments):
        cli.main([*arguments], standalone_mode=False)
        return started.pop()

    return start


# -- serve -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_model_without_options(run, model):
    """TCP on 127.0.0.1:8080, and the article's numbers."""
    kind, address, options, keep = run("serve", "--model", model)
    assert (kind, address) == ("tcp", Inet("127.0.0.1", 8080))
    assert options == BlockingOptions(model, "upper", backlog=5, recv_size=1024)
    assert not keep.is_traced


def test_a_model_with_all_its_options(run):
    """Those that a program which sleeps can heed."""
    kind, address, options, keep = run(
        "serve", "--model", "once", "--unix", "./s", "--mode", "echo", "--backlog", "0", "--recv-size", "7",
        "--log", "l", "--payload-max", "3", "--trace",
    )  # fmt: skip
    assert (kind, address) == ("unix", UnixPath("./s"))
    assert options == BlockingOptions("once", "echo", backlog=0, recv_size=7)
    assert (keep.log, keep.payload_limit, keep.watch, keep.trace) == ("l", 3, None, True)


def test_the_loop(run):
    """It is the default, with its own numbers, on several addresses."""
    addresses, options, _, selector, *_ = run("serve")
    assert (addresses.tcp, addresses.udp) == ((Inet("127.0.0.1", 8080),), (Inet("127.0.0.1", 8080),))
    assert (options, selector) == (ServerOptions(), None)
    addresses, options, _, selector, *_ = run(
        "serve", "--model", "loop", "--unix", "./s", "--selector", "select", "--backlog", "0"
    )
    assert (addresses, selector) == (composition.Addresses(unix=(UnixPath("./s"),), tcp=(), udp=()), "select")
    assert options == ServerOptions(backlog=0)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--watch", "w.sock"], "evloop-trace watch LOG"),
        (["--max-connections", "3"], "--max-connections needs the loop"),
        (["--idle-timeout", "3"], "--idle-timeout needs the loop"),
        (["--lifetime", "3"], "--lifetime needs the loop"),
        (["--high-water", "262144"], "--high-water needs the loop"),
        (["--drain-timeout", "5"], "--drain-timeout needs the loop"),
        (["--selector", "select"], "--selector needs the loop"),
        (["--sample", "1", "--log", "l.jsonl"], "--sample needs the loop"),
        (["--tcp", "1", "--tcp", "2"], "one thread can wait in one call only"),
        (["--tcp", "1", "--unix", "./s"], "--model loop"),
        (["--log", "-", "--trace"], "--log"),
    ],
)
def test_what_a_model_cannot_do(run, model, options, hint):
    """One sentence that says why, and what to do; also for what happens to be the loop's default."""
    with pytest.raises(click.UsageError, match=hint):
        run("serve", "--model", model, *options)


def test_threads_for_datagrams(run):
    """There are no connections to give them to."""
    with pytest.raises(click.UsageError, match="no connections to give threads to"):
        run("serve", "--model", "threaded", "--udp", "1")


# -- client ----------------------------------------------------------------------------------


def test_a_client_with_a_log(run):
    """What is said, how, and what is kept of it."""
    with pytest.raises(SystemExit) as ended:
        run("client", "8080", "a", "b", "--log", "l", "--payload", "full", "--count", "3")
    assert ended.value.code == 0


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--log", "-"], "the replies"),
        (["--log", ""], "names no file"),
        (["--log", "l", "--payload", "full", "--payload-max", "1"], "contradict"),
    ],
)
def test_logs_that_a_client_cannot_keep(run, options, hint):
    """Said before anybody is called."""
    with pytest.raises(click.UsageError, match=hint):
        run("client", "8080", "x", *options)


@pytest.mark.parametrize("model", ["loop", *MODELS])
def test_a_capture(run, model):
    """Of any model; a file is needed for it, and an address that packets go to."""
    assert (
        run("serve", "--model", model, "--capture", "a.pcapng")[2 if model == "loop" else -1].capture
        == "a.pcapng"
    )
    for file in ("", "-"):
        with pytest.raises(click.UsageError, match="is no file: name one"):
            run("serve", "--model", model, "--capture", file)
    with pytest.raises(click.UsageError, match="a Unix socket sends no packets"):
        run("serve", "--model", model, "--unix", "./s", "--capture", "a.pcapng")


@pytest.mark.parametrize("model", ["loop", *MODELS])
def test_what_the_kernel_says(run, model):
    """Of any model; with a capture or without; only TCP has states."""
    kept = run("serve", "--model", model, "--kernel", "k.jsonl")[2 if model == "loop" else -1]
    assert (kept.capture, kept.kernel, kept.is_captured) == (None, "k.jsonl", True)
    for options, said in (
        (["--kernel", "-"], "--kernel '-' is no file: name one"),
        (["--kernel", "a", "--capture", "a"], "would write the same file"),
        (["--kernel", "a", "--unix", "./s"], "none is TCP's"),
        (["--kernel", "a", "--udp", "127.0.0.1:0"], "none is TCP's"),
    ):
        with pytest.raises(click.UsageError, match=said):
            run("serve", "--model", model, *options)


FILES = ("--log", "--capture", "--kernel", "--watch", "--control", "--unix")


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(FILES, 2)])
def test_no_file_is_named_twice(run, one, other):
    """The second would destroy what the first has written; said before anything is opened."""
    again = os.path.join("..", os.path.basename(os.getcwd()), "same")
    with pytest.raises(click.UsageError) as caught:
        run("serve", "--tcp", "8080", one, "./same", other, again)
    said = str(caught.value)
    assert "would write the same file: name two" in said
    assert {word for word in said.split() if word.startswith("--")} == {one, other}


def test_a_socket_is_not_named_twice(run):
    """Of several addresses, too; abstract names and devices are no files."""
    with pytest.raises(click.UsageError, match="--unix and --unix would"):
        run("serve", "--unix", "./s", "--unix", "s")
    null = os.devnull
    run("serve", "--unix", "@s", "--unix", "./@s", "--log", null, "--kernel", null, "--tcp", "8080")
    with pytest.raises(click.UsageError, match="--log and --capture would"):
        run("serve", "--log", "@s", "--capture", "@s")


# -- nothing ---------------------------------------------------------------------------------


def test_no_command(monkeypatch, capsys):
    """What a newcomer types first shows what there is, in lines; and it is wrong usage."""
    monkeypatch.setattr("sys.argv", ["evloop"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err.startswith("Usage: ")
    assert "\\n" not in said.err
    assert any(line.split()[:1] == ["serve"] for line in said.err.splitlines())


@pytest.mark.parametrize("arguments", [["--log", "a"], ["--unix", "u"], ["--watch", "w"], None])
def test_a_folder_that_was_removed(tmp_path, arguments):
    """Who is in it can begin nothing there, and is told that."""
    (tmp_path / "gone").mkdir()
    command = ["client", "--log", "a", "127.0.0.1:1", "x"] if arguments is None else ["serve", *arguments]
    ended = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", sys.executable, "-P", "-m", "evloop", *command],
        check=False, cwd=tmp_path / "gone", stderr=subprocess.PIPE, text=True, timeout=30,
    )  # fmt: skip
    why = "the log 'a' cannot be written: " if arguments is None else ""
    said = f"evloop: {why}the folder that you are in has been removed: go to another with cd\n"
    assert (ended.returncode, ended.stderr) == (2, said)


def test_too_few_descriptors(monkeypatch, capsys):
    """Nothing has begun: what to do is said."""

    def serve(*_given, **_named):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(composition, "serve", serve)
    monkeypatch.setattr("sys.argv", ["evloop", "serve"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = "evloop: Too many open files: allow more with ulimit -n\n"
    assert (ended.value.code, capsys.readouterr().err) == (2, said)
