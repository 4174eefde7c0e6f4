"""`evloop serve --model …` and `evloop client --log` as processes: the article's programs, and their logs."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import struct
import sys
import time

import pytest

SECONDS = 30
SAID, ANSWERED = "hello la 哈哈哈", "HELLO LA 哈哈哈"
MODELS = ["once", "conversation", "sequential", "threaded"]
FOR_EVER = {"sequential", "threaded"}
OPTIONS = {"tcp": ["--tcp", "127.0.0.1:0"], "unix": ["--unix", "here.sock"], "udp": ["--udp", "127.0.0.1:0"]}


@pytest.fixture
def serve_model(serve):
    """Start a model that keeps a log."""

    def start(model, kind="tcp", *options, **how):
        return serve("--model", model, *OPTIONS[kind], "--log", "log.jsonl", *options, **how)

    return start


@pytest.fixture
def check(run):
    """What `evloop-trace check` says of a log in the test's folder: nothing."""

    def ask(log="log.jsonl"):
        result = run(sys.executable, "-P", "-m", "evloop_trace", "check", log)
        assert (result.returncode, result.stderr) == (0, ""), result.stdout

    return ask


def connect(server):
    """A connected client."""
    return socket.create_connection(("127.0.0.1", server.port()), SECONDS)


def ask(client, message):
    """A message and its answer."""
    client.sendall(message)
    answer = b""
    while len(answer) < len(message):
        answer += client.recv(65535)
    return answer


def end(server, reason="SIGINT"):
    """Stop it, if it does not end by itself; exit code and last line of the log are as they should be."""
    if reason.startswith("SIG"):
        server.send(signal.Signals[reason])
    assert server.end() == 0
    last = server.events()[-1]
    assert (last["ev"], last["reason"]) == ("end", reason)


def has_logged(server, text):
    """Whether this is in the server's log by now."""
    return text in (server.folder / server.options[server.options.index("--log") + 1]).read_text()


def await_event(server, kind):
    """Until such an event is in the server's log."""
    deadline = time.monotonic() + SECONDS
    while not has_logged(server, f'{{"ev":"{kind}"'):
        assert time.monotonic() < deadline


def calls(server, *kinds):
    """The events of these kinds, as pairs of name and errno or n."""
    return [(event["ev"], event.get("errno", event.get("n"))) for event in server.events(*kinds)]


# -- each model ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("model", MODELS)
def test_models(serve_model, evloop, check, tmp_path, model, kind):
    """Each answers our client, ends as it should, and leaves a log with nothing wrong, and nothing else."""
    server = serve_model(model, kind)
    result = evloop("client", f"{kind}:{server.address(kind)}", SAID)
    assert (result.stdout, result.stderr, result.returncode) == (ANSWERED + "\n", "", 0)
    over = {"once": "the one exchange is over", "conversation": "the one client has hung up"}
    end(server, over.get(model, "SIGTERM"))
    assert server.complaints == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl"]
    header = server.events()[0]
    assert (header["model"], header["mode"]) == (model, "upper")
    assert header["options"] == {"backlog": 5, "recv_size": 1024}
    (accept,) = [event for event in server.events("accept") if "conn" in event]
    (recv,) = [event for event in server.events("recv") if event.get("n")]
    assert recv["conn"] == accept["conn"]
    file = "once" if model == "once" else "conversation"
    assert re.search(rf"\bevloop/servers/{file}\.py:\d+$", recv["where"])
    assert re.search(rf"\bevloop/servers/{model}\.py:\d+$", accept["where"])
    places = [event["where"] for event in server.events() if "where" in event]
    assert all(re.search(r"\bevloop/servers/\w+\.py:\d+$", where) for where in places), places
    thread = recv.get("thread", "")
    assert thread == ("" if model != "threaded" else f"tcp {accept['peer']}" if kind == "tcp" else "unix 1")
    check()


@pytest.mark.parametrize("model", ["once", "conversation", "sequential"])
def test_models_of_datagrams(serve_model, evloop, check, model):
    """Once answers one, the others everybody, whoever it is."""
    server = serve_model(model, "udp")
    target = f"udp:{server.address('udp')}"
    assert evloop("client", target, SAID).stdout == ANSWERED + "\n"
    if model != "once":
        assert evloop("client", target, "", "x").stdout == "\nX\n"
    end(server, "the one exchange is over" if model == "once" else "SIGINT")
    got = [event["n"] for event in server.events("recvfrom") if "n" in event]
    assert got == [len(SAID.encode()), *([] if model == "once" else [0, 1])]
    check()


@pytest.mark.needs("socat")
@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("model", ["conversation", "sequential", "threaded"])
def test_socat(serve_model, run, check, model, kind):
    """A mebibyte and a half-close are answered whole."""
    server = serve_model(model, kind)
    said = "0123456789abcdef" * (1 << 16)
    address = f"{'TCP' if kind == 'tcp' else 'UNIX-CONNECT'}:{server.address(kind)},shut-down"
    assert run("socat", "-t", "10", "-", address, said=said).stdout == said.upper()
    end(server, "the one client has hung up" if model == "conversation" else "SIGINT")
    (close,) = [event for event in server.events("close") if "conn" in event]
    assert (close["received"], close["sent"]) == (len(said), len(said))
    check()


@pytest.mark.needs("ncat")
@pytest.mark.parametrize("model", MODELS)
def test_ncat(serve_model, run, model):
    """Over TCP, one exchange."""
    server = serve_model(model, "tcp", "--mode", "echo")
    assert run("ncat", "127.0.0.1", str(server.port()), said=SAID).stdout == SAID


def test_sizes(serve_model, check):
    """--recv-size and --backlog reach the calls."""
    server = serve_model("sequential", "tcp", "--recv-size", "7", "--backlog", "2", "--payload", "full")
    with connect(server) as client:
        assert ask(client, b"a" * 100) == b"A" * 100
    end(server)
    assert {event["size"] for event in server.events("recv")} == {7}
    assert [event["backlog"] for event in server.events("listen")] == [2]
    assert server.events("header")[0]["options"] == {"backlog": 2, "recv_size": 7}
    data = b"".join(base64.b64decode(event.get("data", "")) for event in server.events("send"))
    assert data == b"A" * 100
    check()


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("model", MODELS)
def test_no_address(serve, alone, model):
    """Without an address it is TCP on 127.0.0.1:8080."""
    server = serve("--model", model, prefix=alone, expect=1)
    assert server.addresses == [("tcp", "127.0.0.1:8080")]
    assert server.stop() == 0


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_off_loopback(serve, alone, kind):
    """The same warning as the loop's."""
    server = serve("--model", "sequential", f"--{kind}", "0.0.0.0:8080", prefix=alone)
    assert server.stop() == 0
    (warning,) = server.complaints
    assert "no access control" in warning


def test_a_host_name(serve):
    """One thread, one address: that of IPv4."""
    server = serve("--model", "sequential", "--tcp", "localhost:0", expect=1)
    assert server.address("tcp").startswith("127.")
    assert server.stop() == 0


def test_nobody_is_served_twice_by_a_path(serve_model, tmp_path, evloop, check):
    """What a killed server left is taken over; a living one's is not."""
    server = serve_model("sequential", "unix")
    server.kill()
    assert (tmp_path / "here.sock").exists()
    server = serve_model("sequential", "unix")
    refused = evloop("serve", "--model", "once", "--unix", "here.sock")
    assert (refused.returncode, "living server" in refused.stderr) == (2, True)
    assert evloop("client", "./here.sock", "x").stdout == "X\n"
    end(server)
    check()
    assert not (tmp_path / "here.sock").exists()


# -- who waits -------------------------------------------------------------------------------


def test_the_lesson_of_the_sequential_server(serve_model, check):
    """The second client's message is read only after the first one's connection is closed."""
    server = serve_model("sequential")
    with connect(server) as first, connect(server) as second:
        assert ask(first, b"first") == b"FIRST"
        second.sendall(b"second")
        assert ask(first, b"again") == b"AGAIN"
        first.close()
        assert second.recv(100) == b"SECOND"
    end(server)
    one, two = [event for event in server.events("accept") if "conn" in event]
    (close,) = [event for event in server.events("close") if event.get("conn") == one["conn"]]
    assert two["t"] >= close["t"]
    check()


@pytest.mark.parametrize("model", sorted(FOR_EVER))
def test_resets(serve_model, check, model):
    """A client that breaks off ends its own connection, and the next is served."""
    server = serve_model(model)
    with connect(server) as client:
        assert ask(client, b"x") == b"X"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with connect(server) as client:
        assert ask(client, b"next") == b"NEXT"
    end(server)
    assert ("recv", "ECONNRESET") in calls(server, "recv")
    assert all("stopping" in sentence for sentence in server.complaints)
    check()


# -- ending ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("model", MODELS)
def test_a_signal_while_it_waits_for_a_call(serve_model, check, model, name):
    """Also at once, when it has just said that it listens."""
    server = serve_model(model)
    end(server, name)
    assert calls(server, "accept") in ([("accept", "interrupted")], [])
    assert [event["ev"] for event in server.events()][-2:] == ["close", "end"]
    check()


@pytest.mark.parametrize("model", ["once", "conversation", "sequential"])
def test_a_signal_while_it_listens_to_somebody(serve_model, check, tmp_path, model):
    """The call is over, the phone switched off, the path gone."""
    server = serve_model(model, "unix")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "here.sock"))
        if model != "once":
            assert ask(client, b"x") == b"X"
        await_event(server, "accept")  # who still waits in the queue is reset
        end(server, "SIGTERM")
        assert client.recv(1) == b""
    assert not (tmp_path / "here.sock").exists()
    check()


def test_a_signal_lets_threads_end(serve_model):
    """What has arrived is answered, then everybody reads the end of the stream."""
    server = serve_model("threaded")
    with connect(server) as one, connect(server) as two:
        assert [ask(client, b"x") for client in (one, two)] == [b"X"] * 2
        end(server)
        assert [client.recv(1) for client in (one, two)] == [b"", b""]
    assert server.complaints == ["evloop: stopping: waiting at most 2 s for 2 open connections to end"]


@pytest.mark.parametrize("again", [False, True])
def test_a_thread_that_hangs(serve_model, again):
    """Its client does not read: it is broken off at the deadline, or at once when told a second time."""
    server = serve_model("threaded")
    with connect(server) as client:
        client.setblocking(False)
        while not has_logged(server, '"awaits":"send"'):  # all buffers between us are full
            with contextlib.suppress(BlockingIOError):
                client.send(b"x" * 65536)
        server.send()
        server.expect("waiting at most 2 s for 1 open")
        if again:
            server.send()
        assert server.end() == 0
    assert ("evloop: SIGINT again: stopping at once" in server.complaints) == again
    assert server.events()[-1]["reason"] == "SIGINT"


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--idle-timeout", "3"], "--idle-timeout needs the loop"),
        (["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"], "one thread can wait in one call only"),
        (["--log", "/dev/null", "--trace"], "is no file"),
    ],
)
def test_what_a_model_cannot_do(refuses, options, hint):
    """One sentence that says why, and what to do."""
    assert hint in refuses("--model", "sequential", *options)


@pytest.fixture
def refuses(evloop, tmp_path):
    """The one sentence with which `evloop serve` refuses to begin."""

    def start(*options):
        result = evloop("serve", *options)
        assert (result.returncode, result.stdout) == (2, "")
        (line,) = result.stderr.splitlines()
        assert list(tmp_path.iterdir()) == []
        return line

    return start


def test_an_address_that_is_taken(serve, evloop, tmp_path):
    """It cannot begin, and leaves the log of before as it was."""
    server = serve("--tcp", "127.0.0.1:0")
    (tmp_path / "log.jsonl").write_text("a log of before\n")
    result = evloop(
        "serve", "--model", "once", "--tcp", server.address("tcp"), "--log", "log.jsonl", "--trace"
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert "in use" in result.stderr
    assert (tmp_path / "log.jsonl").read_text() == "a log of before\n"


# -- drawing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [[], ["--log", "log.jsonl"]])
def test_trace(serve, tmp_path, log):
    """The picture, which is lines where nobody looks, has every event to the last; no other file is left."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = dict(os.environ, TMPDIR=str(temporary))
    server = serve("--model", "sequential", "--tcp", "127.0.0.1:0", "--trace", *log, env=env)
    with connect(server) as client:
        assert ask(client, b"hello") == b"HELLO"
    server.send()
    assert server.end() == 0
    drawn = server.popen.stdout.read().decode()
    for text in ("listen(5)", '"HELLO"', "SIGINT"):
        assert text in drawn
    assert list(temporary.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == log[1:]


# -- the client ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_the_log_of_a_client(serve, evloop, check, read_log, kind):
    """Connect, send, recv, close, on the client's side."""
    server = serve(*OPTIONS[kind])
    target = f"{kind}:{server.address(kind)}"
    result = evloop("client", target, SAID, "--log", "client.jsonl", "--payload-max", "5")
    assert (result.stdout, result.stderr, result.returncode) == (ANSWERED + "\n", "", 0)
    events = [event for event in read_log("client.jsonl") if event["ev"] != "block"]
    sent, came = ("sendto", "recvfrom") if kind == "udp" else ("send", "recv")
    until = ["setsockopt"] * (kind == "unix")  # how long connect(2) may wait for a place in the queue
    ends = [*["tcp_info"] * (kind == "tcp"), "close", "end"]
    kinds = ["header", "socket", *until, "connect", sent, came, *ends]
    assert [event["ev"] for event in events] == kinds
    header, last = events[0], events[-1]
    connected, asked, answered = events[2 + len(until) :][:3]
    assert (header["model"], header["payload_max"], last["reason"]) == ("client", 5, "finished")
    assert connected["peer"].endswith(server.address(kind))
    assert [base64.b64decode(event["data"]) for event in (asked, answered)] == [b"hello", b"HELLO"]
    check("client.jsonl")


@pytest.fixture
def read_log(tmp_path):
    """A log of the test's folder."""
    return lambda name: [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]


@pytest.mark.parametrize(
    ("target", "errno"),
    [("tcp:127.0.0.1:{}", "ECONNREFUSED"), ("unix:nowhere.sock", "ENOENT"), ("udp:127.0.0.1:{}", None)],
)
def test_the_log_of_a_client_that_fails(evloop, read_log, check, target, errno):
    """It tells why; on UDP that comes with the next call."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))  # and does not listen
        udp.bind(("127.0.0.1", 0))
        port = (tcp if target.startswith("tcp") else udp).getsockname()[1]
        udp.close()
        result = evloop("client", target.format(port), "x", "--log", "client.jsonl")
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    events = read_log("client.jsonl")
    (connected,) = [event for event in events if event["ev"] == "connect"]
    assert connected.get("errno") == errno
    if errno is None:
        assert "ECONNREFUSED" in [event.get("errno") for event in events]
    assert (events[-1]["ev"], events[-1]["reason"]) == ("end", result.stderr.strip().removeprefix("evloop: "))
    check("client.jsonl")


def test_a_client_that_is_interrupted(begin, read_log, check):
    """Its log has an end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        client = begin(
            sys.executable, "-P", "-m", "evloop", "client", f"127.0.0.1:{listener.getsockname()[1]}", "x",
            "--log", "client.jsonl", "--timeout", "100",
        )  # fmt: skip
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(1) == b"x"
            assert client.stop() == 130
    assert read_log("client.jsonl")[-1]["reason"] == "SIGINT"
    check("client.jsonl")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--log", "-"], "--log - and the replies"),
        (["--log", ""], "names no file"),
        (["--log", "nowhere/log.jsonl"], "does not exist"),
        (["--log", "log.jsonl", "--payload", "none", "--payload-max", "3"], "contradict"),
    ],
)
def test_logs_that_a_client_cannot_keep(evloop, tmp_path, options, hint):
    """Said before anybody is called."""
    result = evloop("client", "127.0.0.1:1", "x", *options)
    assert (result.returncode, result.stdout) == (2, "")
    assert hint in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_is_none_costs_no_log(evloop, tmp_path):
    """What a log holds stays until there is something to tell."""
    (tmp_path / "log.jsonl").write_text("a log of before\n")
    assert evloop("client", "udp:nowhere", "x", "--log", "log.jsonl").returncode == 2
    assert (tmp_path / "log.jsonl").read_text() == "a log of before\n"
