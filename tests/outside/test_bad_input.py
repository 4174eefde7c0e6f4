"""What goes wrong is one sentence on standard error and the right exit code, and never a traceback.

2: it could not begin (wrong usage, an address or a file that cannot be used). 1: it began, and what was
asked for did not come true. 0: all is well.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

import pytest

SECONDS = 30


@pytest.fixture
def refuses(evloop):
    """The one sentence with which `evloop serve` refuses to begin."""

    def start(*options, **how):
        result = evloop("serve", *options, **how)
        assert result.returncode == 2, result
        assert result.stdout == ""
        return one_sentence(result.stderr)

    return start


def one_sentence(text):
    """The text, which must be one line that says who speaks."""
    (line,) = text.splitlines()
    assert line.startswith("evloop: ")
    assert len(line) > 20
    return line


# -- usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--tcp", "nonsense"], "127.0.0.1:8080"),
        (["--tcp", "127.0.0.1:65536"], "65535"),
        (["--tcp", "127.0.0.1:-1"], "65535"),
        (["--tcp", "::1:8080"], "[::1]:8080"),
        (["--tcp", "a b:80"], "white space"),
        (["--udp", "127.0.0.1:"], "127.0.0.1:8080"),
        (["--unix", ""], "path"),
        (["--unix", "x" * 200], "103"),
        (["--mode", "lower"], "upper"),
        (["--selector", "magic"], "--selector"),
        (["--recv-size", "0"], "--recv-size"),
        (["--idle-timeout", "0"], "--idle-timeout"),
        (["--max-connections", "none"], "--max-connections"),
        (["--payload", "none", "--payload-max", "3"], "contradict"),
        (["--payload", "full", "--payload-max", "3"], "contradict"),
        (["--log", "-", "--trace"], "--log"),
        (["--no-such-option"], "--no-such-option"),
        (["superfluous"], "superfluous"),
    ],
)
def test_wrong_usage(refuses, options, hint):
    """What does not parse or contradicts itself is refused with what to do instead."""
    assert hint in refuses(*options)


def test_unknown_command(evloop):
    """A command that does not exist."""
    result = evloop("server")
    assert result.returncode == 2
    assert "server" in one_sentence(result.stderr)


# -- addresses that cannot be used ----------------------------------------------------------


@pytest.mark.parametrize("option", ["--tcp", "--udp"])
def test_in_use(serve, refuses, option):
    """An address of a living server; and how to find out whose."""
    server = serve(option, "127.0.0.1:0")
    line = refuses(option, server.address(option[2:]))
    assert "in use" in line
    assert "ss -l" in line


@pytest.mark.needs("namespaces", "setpriv")
def test_not_permitted(refuses, run, alone):
    """Port 80, without the right to use it."""
    without = (*alone, "setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service")
    result = run(*without, sys.executable, "-P", "-m", "evloop", "serve", "--tcp", "127.0.0.1:80")
    assert result.returncode == 2
    assert "below 1024" in one_sentence(result.stderr)


def test_of_another_machine(refuses):
    """An address that this machine does not have."""
    assert "not an address of this machine" in refuses("--tcp", "192.0.2.1:8080")


def test_a_host_that_is_not_found(refuses):
    """A name that nobody knows; .invalid is reserved for that (RFC 2606)."""
    assert "cannot be found" in refuses("--tcp", "nobody.invalid:8080")


def test_the_second_address_is_bad(serve, refuses, tmp_path):
    """When one address cannot be opened none is, and no path is left behind."""
    server = serve("--tcp", "127.0.0.1:0")
    refuses("--unix", "here.sock", "--unix", "there/no.sock")
    refuses("--tcp", server.address("tcp"), "--unix", "here.sock")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_no_socket(refuses, tmp_path):
    """A file is never removed to make room for a socket."""
    (tmp_path / "file").write_text("precious")
    assert "no socket" in refuses("--unix", "file")
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("option", ["--unix", "--watch"])
def test_a_living_servers_path(serve, refuses, evloop, option):
    """The path of a living server is not taken from it."""
    server = serve("--unix", "here.sock")
    assert "living server" in refuses("--tcp", "127.0.0.1:0", option, "here.sock")
    assert evloop("client", "./here.sock", "still here").stdout == "STILL HERE\n"
    assert server.stop() == 0


def test_a_path_that_a_killed_server_left(serve, evloop, tmp_path):
    """What SIGKILL left behind is taken over."""
    killed = serve("--unix", "here.sock", "--watch", "watch.sock")
    assert killed.stop(signal.SIGKILL) == -signal.SIGKILL
    assert (tmp_path / "here.sock").is_socket()
    server = serve("--unix", "here.sock", "--watch", "watch.sock")
    assert evloop("client", "./here.sock", "anybody there?").stdout == "ANYBODY THERE?\n"
    assert server.stop() == 0
    assert list(tmp_path.iterdir()) == []


# -- the log --------------------------------------------------------------------------------


def test_log_into_a_missing_folder(refuses):
    """A log whose folder does not exist."""
    assert "folder" in refuses("--tcp", "127.0.0.1:0", "--log", "missing/log.jsonl")


def test_log_onto_a_folder(refuses):
    """A log that is a folder."""
    assert "log" in refuses("--tcp", "127.0.0.1:0", "--log", ".")


@pytest.mark.needs("namespaces")
def test_log_on_a_full_disk(serve, tmp_path):
    """The server goes on and says so once; the log tells of the gap as soon as there is room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        "unshare",
        "-Urm",
        "--",
        "sh",
        "-c",
        'mount -t tmpfs -o size=64k none disk && cd disk && exec "$@"',
        "sh",
    )
    server = serve("--tcp", "127.0.0.1:0", "--payload", "full", "--log", "log.jsonl", prefix=mounted)
    inside = f"/proc/{server.pid}/cwd"  # the mount is seen by the server alone
    filler = f"{inside}/filler"
    with open(filler, "wb") as file:
        file.write(bytes(40_000))

    def talk(times):
        with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
            for _ in range(times):
                client.sendall(b"x" * 1000)
                left = 1000
                while left:
                    left -= len(client.recv(left))

    talk(30)
    server.expect("cannot be written .*: serving goes on without it")
    talk(5)
    os.unlink(filler)
    talk(3)
    server.expect("can be written again; [0-9]+ events are missing")
    talk(1)
    with open(f"{inside}/log.jsonl", "rb") as log:
        assert server.stop() == 0
        lines = log.read().splitlines()
    assert len(server.complaints) == 2
    events = [json.loads(line) for line in lines]
    gaps = [event for event in events if event["ev"] == "gap"]
    assert len(gaps) == 1
    assert events[-1]["ev"] == "end"
    assert events[-1]["lost"] == gaps[0]["lost"]
    assert events[-1]["events"] == len(events) - 1 + gaps[0]["lost"]


def test_log_into_a_closed_pipe(serve):
    """Who read the log has gone: the server goes on without it, and says so once."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "-")
    server.popen.stdout.readline()
    server.popen.stdout.close()
    server.popen.stdout = None
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
            client.sendall(b"hello")
            assert client.recv(5) == b"HELLO"
    assert server.stop() == 0
    (complaint,) = server.complaints
    assert "serving goes on" in complaint
