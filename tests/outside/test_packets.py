"""`evloop-trace packets` beside tshark: the same numbers of the same captures; and what bad ones come to."""

from __future__ import annotations

import gzip
import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from evloop_trace.packeting import analyse
from evloop_trace.packets.summary import summarize

SECONDS = 60.0
PACKETS = (sys.executable, "-P", "-m", "evloop_trace", "packets")
HERE = Path(__file__).parent
ALONE = ("unshare", "-Urn", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def _load(path):
    spec = importlib.util.spec_from_file_location(f"outside_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


wire = _load(HERE.parent / "tools" / "evloop_trace" / "packets" / "wire.py")
judge = _load(HERE / "judge.py")


def packets(*arguments, data=None, code=0):
    """Standard output and standard error."""
    done = subprocess.run(
        [*PACKETS, *map(str, arguments)], input=data, capture_output=True, timeout=SECONDS, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done.stdout.decode(), done.stderr.decode()


def ours(path, code=0):
    """The connections, as tshark would count them."""
    out, _ = packets("--json", path, code=code)
    return [json.loads(line) for line in out.splitlines()]


def agree(path):
    """Our connections, all of which tshark counts alike."""
    summaries = ours(path)
    assert [judge.counted(it) for it in summaries if it["proto"] == "tcp"] == judge.judged(path)
    return summaries


# -- captures of real programs --------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with a capture of each talk."""
    folder = tmp_path_factory.mktemp("talks")
    script = HERE / "programs" / "talks.py"
    subprocess.run([*ALONE, sys.executable, script, folder], check=True, timeout=SECONDS)
    return folder


STATES = {
    "echo": "SF",
    "echo6": "SF",
    "small_sends": "SF",
    "transfer": "SF",
    "slow_reader": "SF",
    "half_close": "SF",
    "server_first": "SF",
    "unread_reset": "RSTR",
    "linger_reset": "RSTO",
    "refused": "REJ",
    "refused6": "REJ",
    "keep_alive": "SF",
    "simultaneous_close": "SF",
    "many": "RSTO",
    "send_after_close": "RSTR",
    "never_accepted": "RSTR",
    "same_ports": "RSTO",
}


@pytest.mark.needs("tshark", "namespaces")
def test_real_connections(recorded, tmp_path):
    """All in one file, so that tshark is started only once: the same numbers of each connection."""
    path = tmp_path / "all.pcap"
    parts = [(recorded / f"{it}.pcap").read_bytes()[24:] for it in STATES]
    path.write_bytes(wire.pcap([]) + b"".join(parts))
    assert len(agree(path)) > 90


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("talk", STATES)
def test_how_real_connections_went(recorded, talk):
    """As the program brought it about."""
    _, analysis = analyse(str(recorded / f"{talk}.pcap"))
    assert {summarize(conn).conn_state for conn in analysis.connections()} == {STATES[talk]}


@pytest.mark.needs("tshark", "namespaces")
def test_a_full_queue(recorded):
    """The client whose SYN was dropped tries again, as tshark sees it too."""
    summaries = agree(recorded / "full_queue.pcap")
    assert "S0" in {it["conn_state"] for it in summaries}
    assert any("sent its SYN" in it["verdict"] for it in summaries)


@pytest.mark.needs("tshark", "namespaces")
def test_a_closed_window(recorded):
    """Linux probes with the number before the next: a keep-alive to tshark, but a probe in our words."""
    (summary,) = agree(recorded / "zero_window.pcap")
    assert summary["zero_windows"][1] > 0
    assert summary["keep_alives"][0] > 0
    assert "the server's window was full" in summary["verdict"]
    assert "zero window probe: the client asked" in packets(recorded / "zero_window.pcap")[0]


@pytest.mark.needs("tshark", "namespaces")
def test_a_socket_that_connects_to_itself(recorded):
    """There tshark sees a retransmission, and we do not."""
    (summary,) = ours(recorded / "self_connect.pcap")
    (theirs,) = judge.judged(recorded / "self_connect.pcap")
    counted, who = judge.counted(summary), tuple(summary["client"])
    assert theirs - counted == Counter({("retransmissions", who): 1})
    assert summary["verdict"].startswith("self-connect")


@pytest.mark.needs("namespaces")
def test_ports_that_are_used_again(recorded):
    """Three connections, as tshark has three streams."""
    summaries = ours(recorded / "same_ports.pcap")
    assert len(summaries) == 3
    assert len({tuple(it["client"]) for it in summaries}) == 1


@pytest.mark.needs("namespaces")
def test_real_datagrams(recorded):
    """Answered, and answered by an ICMP error."""
    (answered,) = ours(recorded / "datagrams.pcap")
    assert (answered["packets"], answered["bytes"], answered["conn_state"]) == ([2, 1], [60003, 0], "SF")
    (error,) = ours(recorded / "nobody_there.pcap")
    assert error["verdict"] == "1 datagram, answered by ICMP port unreachable"


@pytest.mark.needs("namespaces")
def test_the_view_of_real_ones(recorded):
    """A story from SYN to the last ACK, at most 80 cells wide, with nothing a terminal obeys."""
    out, err = packets(recorded / "half_close.pcap")
    assert not err
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    for word in ("SYN-SENT", "SYN ACK", "10 B [0,10)", "CLOSE-WAIT", "15 B more", "TIME-WAIT", "round trips"):
        assert word in out


# -- captures made by hand ------------------------------------------------------------------


FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MS = 10**6
SCALE, SCALE_2 = b"\x03\x03\x07\x01", b"\x03\x03\x01\x01"
CAPABLE = wire.multipath(0, b"\x81" + wire.KEYS[0])
CAPABLE_1 = wire.multipath(0, b"\x81" + wire.KEYS[1], 1)
JOIN = wire.multipath(1, b"\0" + wire.JOINS[0] + b"rand")
DATA, ADD = wire.multipath(2, b"\1ack4"), wire.multipath(3, b"\1\x0a\0\0\1")

# Each a connection, in Wireshark's and in the RFC's words.
BY_HAND = {
    "fast retransmission": lambda t: (
        t.opened().s(ACK, b"x" * 9).s(ACK, b"y" * 9).c(ACK, ack=5001).c(ACK, ack=5001).c(ACK, ack=5001)
        .s(ACK, b"x" * 9, seq=5001)
    ),
    "retransmission": lambda t: t.opened().c(ACK, b"abc").c(ACK, b"abc", seq=1001, wait=300 * MS).s(ACK),
    "spurious": lambda t: t.opened().c(ACK, b"abc").s(ACK).c(ACK, b"abc", seq=1001).s(ACK),
    "out of order": lambda t: t.opened().c(ACK, b"bbb", seq=1004).c(ACK, b"aaa", seq=1001).s(ACK, ack=1007),
    "tail-loss probe": lambda t: t.opened().c(ACK, b"abc").c(ACK, b"abc", seq=1001, wait=12 * MS).s(ACK),
    "keep-alive": lambda t: t.opened().c(ACK, seq=1000).s(ACK).c(ACK, b"x", seq=1000).s(ACK),
    "byte probes": lambda t: (
        t.opened().s(ACK, window=0).c(ACK, b"!", seq=1001).s(ACK, window=0).s(ACK, window=9).c(ACK, b"!?")
    ),
    "overlap": lambda t: t.opened().c(ACK, b"abcd").c(ACK, b"cdef", seq=1003, wait=40 * MS).s(ACK, ack=1007),
    "SYN with data": lambda t: t.c(SYN, b"fast open").s(SYN | ACK).c(ACK).c(FIN | ACK, b"last"),
    "half-open": lambda t: t.c(SYN).s(SYN | ACK).s(SYN | ACK, seq=5000, wait=1000 * MS),
    "midstream": lambda t: t.s(ACK, b"x" * 50).c(ACK).s(PSH | ACK, b"y").c(ACK).closed(),
    "capture loss": lambda t: t.opened().c(ACK, ack=9000).c(ACK, b"z", ack=9000).s(ACK, seq=9000),
    "a hole": lambda t: (
        t.opened().s(ACK, b"d", seq=5005).c(ACK, ack=5001).c(ACK, ack=5001).s(ACK, b"abcd", seq=5001)
    ),
    "simultaneous open": lambda t: t.c(SYN).s(SYN).c(SYN | ACK, seq=1000).s(SYN | ACK, seq=5000),
    "simultaneous close": lambda t: t.opened().c(FIN | ACK).s(FIN | ACK, ack=1001).c(ACK).s(ACK),
    "FIN again": lambda t: t.opened().c(FIN | ACK).c(FIN | ACK, seq=1001, wait=200 * MS).s(FIN | ACK).c(ACK),
    "RST with data": lambda t: t.opened().c(ACK, b"abc").s(RST | ACK, b"why").s(RST),
    "RST without SYN": lambda t: t.s(RST | ACK).c(RST),
    "SYN to an old port": lambda t: t.opened().c(RST).c(SYN, seq=77).s(SYN | ACK, seq=99, ack=78),
    "other SYN ACK": lambda t: t.c(SYN).s(SYN | ACK).s(SYN | ACK, seq=6000).c(ACK, ack=6001),
    "window scale": lambda t: (
        t.send(0, SYN, options=SCALE).send(1, SYN | ACK, options=SCALE).c(ACK).s(ACK, window=1)
    ),
    "window full": lambda t: (
        t.send(0, SYN, options=SCALE_2).send(1, SYN | ACK, options=SCALE_2, window=9).c(ACK, b"x" * 9)
        .s(ACK, window=5).c(ACK, b"y" * 10).s(ACK, window=0).s(ACK, window=4).c(ACK, b"z" * 4)
    ),
    "window full, not scaled": lambda t: (
        t.send(0, SYN, options=SCALE_2).s(SYN | ACK).c(ACK).s(ACK, window=5).c(ACK, b"x" * 5)
    ),
    "window full, of unknown scale": lambda t: t.c(ACK).s(ACK, window=5).c(ACK, b"x" * 5).s(ACK),
    "only the SYN ACK scales": lambda t: (
        t.c(SYN).send(1, SYN | ACK, options=SCALE_2).c(ACK).s(ACK, window=5).c(ACK, b"x" * 5).c(ACK, b"y" * 5)
    ),
    "SYN again in the middle": lambda t: (
        t.send(0, SYN, options=SCALE).send(1, SYN | ACK, options=SCALE_2).c(ACK).s(ACK, b"a", window=3)
        .send(1, SYN | ACK, options=SCALE_2, seq=5000, window=4).c(ACK, b"1234").s(ACK, window=3)
        .c(ACK, b"123456")
    ),
    "multipath": lambda t: (
        t.send(0, SYN, options=CAPABLE).send(1, SYN | ACK, options=CAPABLE).c(ACK).send(0, ACK, options=DATA)
        .c(ACK, b"abc").send(1, ACK, options=DATA).send(1, ACK, options=ADD).s(ACK).s(ACK)
    ),
    "joined by another": lambda t: (
        t.send(0, SYN, options=JOIN).send(1, SYN | ACK, options=DATA).c(ACK).c(ACK).s(ACK).s(ACK)
    ),
    "multipath, midstream": lambda t: (
        t.send(0, ACK, options=DATA).c(ACK).c(ACK).send(0, ACK, options=ADD).c(ACK)
    ),
    "multipath, version 1": lambda t: (
        t.send(0, SYN, options=wire.multipath(0, b"\x81", 1)).send(1, SYN | ACK, options=CAPABLE_1)
        .send(0, ACK, options=CAPABLE_1 + DATA).s(ACK).s(ACK).s(ACK).c(ACK).c(ACK)
    ),
    "everything at once": lambda t: t.c(SYN | FIN | RST).s(SYN | RST).c(FIN).s(0).c(RST | FIN | ACK),
}  # fmt: skip


@pytest.mark.needs("tshark")
def test_connections_made_by_hand(tmp_path):
    """Each once over IPv4, over IPv6 behind VLAN tags, and across each wrap of the sequence numbers."""
    frames = []
    for port, make in enumerate(BY_HAND.values(), 20000):
        frames += make(wire.Talk(port)).frames
        tagged = make(wire.Talk(port, client="fe80::1", server="fe80::2", v6=True)).frames
        frames += [(at, it[:12] + b"\x88\xa8\0\1\x81\0\0\7" + it[12:]) for at, it in tagged]
        for by in (-1001, -1003, -5001, -5003):
            frames += wire.shifted(make(wire.Talk(port, client=f"10.0.1.{-by % 256}")).frames, by)
    path = tmp_path / "it.pcapng"
    path.write_bytes(wire.pcapng(frames))
    summaries = agree(path)
    assert len(summaries) == 6 * (len(BY_HAND) + 1)  # a SYN to an old port is a connection more
    assert all(any(sum(it[name]) for it in summaries) for name in judge.FIELDS.values())


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("seed", [100, 102])
def test_random_connections(tmp_path, seed):
    """Connections in which anything may happen, counted as tshark counts them."""
    path = tmp_path / "random.pcap"
    path.write_bytes(wire.pcap(wire.random_talks(seed, 400)))
    assert len(agree(path)) >= 400


@pytest.mark.needs("tshark")
def test_what_is_around_it(tmp_path):
    """Tags, tunnels and extension headers: the connections inside are those that tshark sees."""
    frames = [
        (wire.START + number * MS, frame)
        for number, frame in enumerate(_load(HERE / "encapsulated.py").frames())
    ]
    path = tmp_path / "it.pcapng"
    path.write_bytes(wire.pcapng(frames))
    summaries = agree(path)
    assert len([it for it in summaries if it["proto"] == "tcp"]) * 4 == len(frames)
    assert {tuple(it["bytes"]) for it in summaries if it["proto"] == "tcp"} == {(3, 0)}


@pytest.mark.parametrize("make", ["pcap", "pcapng"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_containers(tmp_path, make, order):
    """Both kinds, both orders, packed, and through a pipe."""
    talk = wire.Talk().opened().c(24, b"abc").s(16).closed()
    path = tmp_path / "it"
    path.write_bytes(getattr(wire, make)(talk.frames, 1, order))
    (summary,) = ours(path)
    assert (summary["conn_state"], summary["bytes"]) == ("SF", [3, 0])
    packed = tmp_path / "it.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    out, _ = packets("--json", "-", data=packed.read_bytes())
    assert [json.loads(line) for line in out.splitlines()] == [summary]


# -- bad input ------------------------------------------------------------------------------


def test_files_that_are_no_captures(tmp_path):
    """One sentence, and exit code 2."""
    path = tmp_path / "it"
    for content, words in [(b"", "is empty"), (b"#!/bin/sh\necho", "is no capture")]:
        path.write_bytes(content)
        out, err = packets(path, code=2)
        assert not out
        assert err.startswith(f"evloop-trace: {path} {words}")
        assert err.count("\n") == 1
    assert "cannot be opened: No such file" in packets(tmp_path / "none", code=2)[1]
    assert "directory" in packets(tmp_path, code=2)[1]
    path.write_bytes(gzip.compress(b"xxxx")[:-12])
    assert "cannot be unpacked: " in packets(path, code=2)[1]


def test_damaged_files(tmp_path):
    """What can be read is shown; the rest is a sentence, and exit code 1."""
    talk = wire.Talk().opened().c(24, b"abc").s(16).closed()
    path = tmp_path / "it"
    path.write_bytes(talk.pcap()[:-10])
    out, err = packets(path, code=1)
    assert "S2" in out or "closed" in out
    assert err == f"evloop-trace: {path}: the file ends in the middle of packet 8: it was cut off\n"
    packed = gzip.compress(wire.pcap(wire.random_talks(1)))
    path.write_bytes(packed[: len(packed) // 2])
    assert ours(path, code=1)
    path.write_bytes(wire.pcap(talk.frames, 147))
    _, err = packets(path, code=1)
    assert "packets of link type 147 cannot be read" in err


def test_what_is_left_out_is_told(tmp_path):
    """Fragments and drops are no reason to fail."""
    talk = wire.Talk().opened()
    part = wire.ethernet(wire.ipv4("1.1.1.1", "2.2.2.2", 17, b"x" * 8, fragment=0x2000))
    statistics = wire.block(5, b"\0" * 12 + wire.option(5, (7).to_bytes(8, "little")))
    path = tmp_path / "it"
    path.write_bytes(wire.pcapng([*talk.frames, (talk.time, part)]) + statistics)
    _, err = packets(path)
    assert err.splitlines() == [
        f"evloop-trace: {path}: the capture lost 7 packets: what follows from their absence is not so",
        f"evloop-trace: {path}: 1 packet is left out: fragments of IP datagrams",
    ]
