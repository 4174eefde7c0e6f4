"""Clients that other people wrote get the right answers."""

from __future__ import annotations

import pytest

SAID, ANSWERED = "hello la 哈哈哈", "HELLO LA 哈哈哈"


@pytest.mark.needs("socat")
class TestSocat:
    """socat ends its half when its input ends, and reads on until the server's half ends too."""

    def test_over_tcp(self, serve, run):
        """A message over TCP is answered."""
        server = serve("--tcp", "127.0.0.1:0")
        result = run("socat", "-t", "10", "-", f"TCP:{server.address('tcp')}", said=SAID)
        assert (result.stdout, result.stderr, result.returncode) == (ANSWERED, "", 0)

    def test_over_ipv6(self, serve, run):
        """IPv6 is served like IPv4."""
        server = serve("--tcp", "[::1]:0")
        result = run("socat", "-t", "10", "-", f"TCP6:{server.address('tcp')}", said=SAID)
        assert result.stdout == ANSWERED

    def test_over_udp(self, serve, begin):
        """A datagram is answered by one datagram."""
        server = serve("--udp", "127.0.0.1:0")
        client = begin("sh", "-c", f"printf %s '{SAID}' | socat -t 10 - UDP:{server.address('udp')}")
        assert client.popen.stdout.read(len(ANSWERED.encode())).decode() == ANSWERED

    def test_over_unix(self, serve, run):
        """A Unix socket is served like TCP."""
        serve("--unix", "here.sock")
        assert run("socat", "-t", "10", "-", "UNIX-CONNECT:here.sock", said=SAID).stdout == ANSWERED

    def test_over_an_abstract_name(self, serve, run, tmp_path):
        """A name that is no file is served as well, and no file appears."""
        name = f"evloop-{tmp_path.name}"
        server = serve("--unix", f"@{name}")
        assert run("socat", "-t", "10", "-", f"ABSTRACT-CONNECT:{name}", said=SAID).stdout == ANSWERED
        assert server.address("unix") == f"@{name}"
        assert list(tmp_path.iterdir()) == []

    def test_byte_by_byte(self, serve, run):
        """A message in pieces of one byte, cut inside of characters, is answered whole."""
        server = serve("--tcp", "127.0.0.1:0")
        result = run("socat", "-t", "10", "-b1", "-", f"TCP:{server.address('tcp')},nodelay", said=SAID)
        assert result.stdout == ANSWERED

    def test_half_close_before_the_answer(self, serve, run):
        """Two megabytes and a half-close: every byte is answered after the client has said its last."""
        server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl")
        said = "half closed " * 175_000
        result = run("socat", "-t", "10", "-", f"TCP:{server.address('tcp')},shut-down", said=said)
        assert result.stdout == said.upper()
        assert server.stop() == 0
        (close,) = [event for event in server.events("close") if event.get("conn")]
        assert (close["reason"], close["received"], close["sent"]) == ("eof", len(said), len(said))


@pytest.mark.needs("ncat")
def test_ncat(serve, run):
    """ncat, over TCP and over a Unix socket."""
    server = serve("--tcp", "127.0.0.1:0", "--unix", "here.sock")
    assert run("ncat", "127.0.0.1", str(server.port()), said=SAID).stdout == ANSWERED
    assert run("ncat", "-U", "here.sock", said=SAID).stdout == ANSWERED


@pytest.mark.needs("nc.openbsd")
def test_openbsd_netcat(serve, run):
    """OpenBSD's netcat, which half-closes at the end of its input with -N."""
    server = serve("--tcp", "127.0.0.1:0", "--unix", "here.sock")
    assert run("nc.openbsd", "-N", "127.0.0.1", str(server.port()), said=SAID).stdout == ANSWERED
    assert run("nc.openbsd", "-N", "-U", "here.sock", said=SAID).stdout == ANSWERED


@pytest.mark.needs("curl")
def test_curl(serve, begin):
    """curl speaks telnet, which is TCP as long as nobody sends a byte of 255."""
    server = serve("--tcp", "127.0.0.1:0")
    client = begin(
        "sh", "-c", f"printf %s '{SAID}' | curl --silent --no-buffer telnet://{server.address('tcp')}"
    )
    assert client.popen.stdout.read(len(ANSWERED.encode())).decode() == ANSWERED
