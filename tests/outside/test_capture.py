"""`evloop-trace capture` from outside: real packets, in a network of the test's own, judged by tshark."""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Lab, Process

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.needs("namespaces", "nsenter", "tshark", "capinfos", "ip")

EVLOOP = (sys.executable, "-P", "-m", "evloop")
CAPTURE = (sys.executable, "-P", "-m", "evloop_trace", "capture")
FIELDS = ("ip.src", "tcp.srcport", "tcp.flags.str", "tcp.len", "udp.length", "icmp.code", "ipv6.src")


@pytest.fixture
def tshark(run: Run) -> Callable[..., list[list[str]]]:
    """What tshark reads in a.pcapng: a row a packet, a column a field."""

    def read(*fields: str, file: str = "a.pcapng") -> list[list[str]]:
        wanted = [word for field in fields for word in ("-e", field)]
        done = run("tshark", "-n", "-r", file, "-T", "fields", *wanted)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    return read


# UDP datagrams to a socket that nobody reads; each is one packet, and there is no answer.
SEND = """
into = socket(AF_INET, SOCK_DGRAM); into.bind(("127.0.0.1", 9000))
out = socket(AF_INET, SOCK_DGRAM); out.connect(("127.0.0.1", 9000))
for number in range({count}):
    out.send(number.to_bytes(4, "big") + bytes({size} - 4))
"""


def dropped(folder: Path) -> tuple[int, int, int]:
    """(received, dropped, delivered) of the last statistics in a.pcapng, read by hand."""
    data = (folder / "a.pcapng").read_bytes()
    at, found = 0, (0, 0, 0)
    while at < len(data):
        kind, size = (
            int.from_bytes(data[at : at + 4], "little"),
            int.from_bytes(data[at + 4 : at + 8], "little"),
        )
        if kind == 5:
            options, said = data[at + 20 : at + size - 4], {}
            while options[0]:
                said[options[0]] = int.from_bytes(options[4:12], "little")
                options = options[12:]
            found = said[4], said[5], said[8]
        at += size
    assert at == len(data), "the last block is torn"
    return found


def test_a_conversation_each_packet_once(lab: Lab, tshark: Callable[..., list[list[str]]]) -> None:
    """From the first SYN on, which follows `capturing` at once, to the last ACK, though it stops at once."""
    capture = lab.capture("-w", "a.pcapng")
    server = lab.serve("--tcp", "127.0.0.1:8080", "--drain-timeout", "0")
    assert lab.run(*EVLOOP, "client", "127.0.0.1:8080", "hello la 哈哈哈").stdout == "HELLO LA 哈哈哈\n"
    assert capture.stop() == 0
    server.stop()
    rows = tshark("tcp.dstport", "tcp.flags", "tcp.len")
    shape = ["c" if port == "8080" else "s" for port, _, _ in rows], [int(flags, 16) for _, flags, _ in rows]
    data = [int(size) for _, _, size in rows if size != "0"]
    assert (shape[0][:3], shape[1][:3]) == (["c", "s", "c"], [0x02, 0x12, 0x10])
    assert data == [18, 18]
    assert shape[1].count(0x02) == shape[1].count(0x12) == 1
    assert sum(flags & 1 for flags in shape[1]) == 2
    assert capture.said[-1].startswith(f"evloop-trace: a.pcapng: {len(rows)} packets, ")
    assert capture.said[-1].endswith(" bytes, none dropped")


def test_the_file_says_what_it_is(lab: Lab, run: Run, tmp_path: Path) -> None:
    """Capinfos reads who wrote it and where, nanoseconds, the filter, and times that never go back."""
    capture = lab.capture("-w", "a.pcapng", "--port", "9000", "--snap", "64")
    lab.python(SEND.format(count=500, size=1000))
    assert capture.stop(signal.SIGTERM) == 0
    said = run("capinfos", "-M", "a.pcapng").stdout
    for words in (
        "Number of packets:   500",
        "Strict time order:   True",
        "File timestamp precision:  nanoseconds (9)",
        "Packet size limit:   inferred: 64 bytes",
        "Capture application: evloop-trace ",
        f"Capture oper-sys:    Linux {os.uname().release}",
        "Name = lo",
        "Capture length = 64",
        "Filter string = (tcp or udp or icmp error) and (port 9000)",
    ):
        assert words in said, said
    assert dropped(tmp_path) == (500, 0, 500)


def test_only_what_has_the_port_and_what_answers_it(lab: Lab, tshark: Callable[..., list[list[str]]]) -> None:
    """UDP, TCP, and the ICMP errors of both IPs for the one port; nothing of the other."""
    capture = lab.capture("-w", "a.pcapng", "--port", "9")
    lab.python(
        "for family, host in ((AF_INET, '127.0.0.1'), (AF_INET6, '::1')):\n"
        "    for port in (9, 10):\n"
        "        socket(family, SOCK_DGRAM).sendto(b'x', (host, port))\n"
        "        socket(family).connect_ex((host, port))\n"
    )
    assert capture.stop() == 0
    rows = tshark("frame.protocols", "udp.dstport", "tcp.port", "icmp.code", "icmpv6.code")
    assert [(row[0].split(":")[3], row[1], row[3] + row[4]) for row in rows] == [
        ("udp", "9", ""), ("icmp", "9", "3"), ("tcp", "", ""), ("tcp", "", ""),
        ("udp", "9", ""), ("icmpv6", "9", "4"), ("tcp", "", ""), ("tcp", "", ""),
    ]  # fmt: skip
    assert all("9" in row[2].split(",") for row in rows if row[2])


def test_count_and_duration_end_it(lab: Lab, tshark: Callable[..., list[list[str]]]) -> None:
    """So many packets exactly; and a time after which it ends by itself with what there was."""
    capture = lab.capture("-w", "a.pcapng", "--count", "7")
    lab.python(SEND.format(count=100, size=10))
    assert capture.end() == 0
    assert len(tshark("frame.number")) == 7
    assert "7 packets" in capture.said[-1]
    capture = lab.capture("-w", "b.pcapng", "--duration", "300ms")
    assert capture.end() == 0
    assert "b.pcapng: 0 packets, 0 bytes, none dropped" in capture.said[-1]
    assert tshark("frame.number", file="b.pcapng") == []


def test_drops_are_counted_exactly(lab: Lab, tmp_path: Path, tshark: Callable[..., list[list[str]]]) -> None:
    """A capture that cannot take its packets loses some; those in the file and those dropped are all."""
    capture = lab.capture("-w", "a.pcapng")
    capture.send(signal.SIGSTOP)
    lab.python(SEND.format(count=1000, size=50_000))
    capture.send(signal.SIGCONT)
    assert capture.stop() == 0
    received, lost, delivered = dropped(tmp_path)
    assert (received, delivered) == (1000, 1000 - lost)
    assert lost > 0
    numbers = [int(row[0][:8], 16) for row in tshark("data.data")]
    assert numbers == list(range(delivered))
    assert capture.said[-1].endswith(f"; the kernel dropped {lost:,} that are not among them")


def test_a_burst_is_not_dropped(lab: Lab, tmp_path: Path) -> None:
    """20,000 packets as fast as they can be sent, while it has something else to do."""
    capture = lab.capture("-w", "a.pcapng", "--snap", "128")
    capture.send(signal.SIGSTOP)
    lab.python(SEND.format(count=20_000, size=500))
    capture.send(signal.SIGCONT)
    assert capture.stop() == 0
    assert dropped(tmp_path) == (20_000, 0, 20_000)


def test_sigkill_leaves_whole_blocks(
    lab: Lab, tmp_path: Path, tshark: Callable[..., list[list[str]]]
) -> None:
    """What was seen a moment before is in the file, and the file can be read."""
    capture = lab.capture("-w", "a.pcapng")
    lab.python(SEND.format(count=100, size=10) + "time.sleep(0.1)")
    assert capture.stop(signal.SIGKILL) == -signal.SIGKILL
    assert dropped(tmp_path) == (0, 0, 0)  # nobody was asked
    assert len(tshark("frame.number")) == 100


def test_a_full_disk_ends_it(lab: Lab, tmp_path: Path, tshark: Callable[..., list[list[str]]]) -> None:
    """It says since when packets are missing; those before are in a file that can be read."""
    full = 'mount -t tmpfs -o size=64k none full && cd full && "$@"; code=$?; cp a.pcapng ..; exit $code'
    (tmp_path / "full").mkdir()
    wrapped = ("unshare", "-m", "sh", "-c", full, "sh", *CAPTURE, "-w", "a.pcapng")
    capture = lab.begin(*wrapped)
    capture.expect("capturing on lo")
    lab.python(SEND.format(count=200, size=1000))
    assert capture.end() == 1
    said = capture.said[-1]
    packets = len(tshark("frame.number"))
    assert 0 < packets < 70
    assert said.startswith(
        "evloop-trace: a.pcapng cannot be written: No space left on device; packets are missing from "
    )
    assert said.endswith(f" on, it has {packets}")


def test_an_interface_that_goes_down_and_up(lab: Lab, tshark: Callable[..., list[list[str]]]) -> None:
    """It is told, and what comes afterwards is captured as before."""
    capture = lab.capture("-w", "a.pcapng")
    lab.python(SEND.format(count=3, size=10))
    lab.run("ip", "link", "set", "lo", "down")
    capture.expect("lo is down: there are no packets until it is up again")
    lab.run("ip", "link", "set", "lo", "up")
    capture.expect("lo is up again")
    lab.python(SEND.format(count=4, size=10))
    assert capture.stop() == 0
    assert len(tshark("frame.number")) == 7


def test_an_interface_that_is_not_loopback(lab: Lab, tshark: Callable[..., list[list[str]]]) -> None:
    """What goes out of it is seen as well as what comes in; when it is gone, there is no more to see."""
    for command in (
        "link add near type veth peer name far", "addr add 10.9.0.1/24 dev near", "link set near up",
        "link set far up", "neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev near",
    ):  # fmt: skip
        assert lab.run("ip", *command.split()).returncode == 0
    capture = lab.capture("-i", "near", "-w", "a.pcapng")
    lab.python("socket(AF_INET, SOCK_DGRAM).sendto(b'x', ('10.9.0.2', 9))")
    lab.run("ip", "link", "del", "near")
    assert capture.end() == 1
    assert capture.said[-1] == "evloop-trace: a.pcapng: 1 packet, 43 bytes until near was gone, none dropped"
    assert tshark("ip.dst") == [["10.9.0.2"]]


def test_lines(lab: Lab) -> None:
    """Without a file each packet is a line, which is there at once."""
    capture = lab.capture("--port", "9")
    lab.python("socket(AF_INET, SOCK_DGRAM).sendto('哈'.encode(), ('127.0.0.1', 9))")
    assert capture.popen.stdout.readline().decode().split()[3:] == ["127.0.0.1:9", "UDP", "3", "B", '"哈"']
    assert b"port unreachable: UDP 127.0.0.1:" in capture.popen.stdout.readline()
    assert capture.stop() == 0
    assert capture.said[-1] == "evloop-trace: 2 packets, 118 bytes, none dropped"


def test_standard_output(lab: Lab) -> None:
    """A file that another program reads while it grows; when that leaves, it ends in peace."""
    script = '"$@" -w - --port 9000 | tshark -n -l -c 2 -r - -T fields -e udp.length'
    pipe = lab.begin("sh", "-c", script, "sh", *CAPTURE)
    pipe.expect("capturing on lo")
    lab.python(SEND.format(count=2, size=10))
    assert pipe.popen.stdout.read() == b"18\n18\n"
    assert pipe.end() == 0


def test_a_reader_that_leaves(lab: Lab) -> None:
    """It does not need another packet to notice, and is no error."""
    pipe = lab.begin("sh", "-c", '{ "$@"; echo "code $?" >&2; } | head -n1', "sh", *CAPTURE)
    pipe.expect("capturing on lo")
    lab.python(SEND.format(count=1, size=10))
    pipe.expect("^code 0$")
    assert pipe.end() == 0


def test_what_cannot_begin_is_a_sentence(lab: Lab) -> None:
    """One line, exit code 2, and nothing was said of capturing."""
    for options, said in (
        (["-i", "nosuch"], "there is no interface 'nosuch': there are lo, and any"),
        (["-w", "nowhere/a.pcapng"], "nowhere/a.pcapng cannot be written: No such file or directory"),
        (["-w", "/dev/full"], "/dev/full cannot be written: No space left on device"),
    ):
        done = lab.run(*CAPTURE, *options)
        assert done.returncode == 2
        assert done.stderr == f"evloop-trace: {said}\n"


def test_an_interface_that_is_down(lab: Lab) -> None:
    """As a fresh network's loopback is: it says how to change that."""
    lab.run("ip", "link", "set", "lo", "down")
    done = lab.run(*CAPTURE)
    assert done.returncode == 2
    assert "lo is down, nothing can be captured on it: ip link set lo up, or use evloop lab" in done.stderr


def test_without_rights(run: Run, tmp_path: Path) -> None:
    """In a user namespace that does not own the network nobody may; it says what helps, the best first."""
    (tmp_path / "a.pcapng").write_text("not to be lost")
    done = run("unshare", "-Ur", *CAPTURE, "-w", "a.pcapng")
    assert done.returncode == 2
    places = [done.stderr.index(word) for word in ("`evloop lab`", "`sudo`", "`sudo setcap cap_net_raw+ep /")]
    assert places == sorted(places)
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "a.pcapng").read_text() == "not to be lost"


# -- beside a server ------------------------------------------------------------------------


def child_of(process: Process) -> int:
    """The one process that it has started."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        (pid,) = file.read().split()
    return int(pid)


@pytest.mark.parametrize("model", ["loop", "sequential"])
def test_packets_for_a_picture_that_shows_none(lab: Lab, tmp_path: Path, model: str) -> None:
    """Where there is no terminal there are lines of calls: the capture ends in peace, and left no file."""
    (tmp_path / "temporary").mkdir()
    options = ["--model", model, "--tcp", "127.0.0.1:8080", "--trace", "--packets"]
    server = lab.begin(*EVLOOP, "serve", *options, env={**os.environ, "TMPDIR": str(tmp_path / "temporary")})
    server.expect("^listening ")
    lab.python("a = create_connection(('127.0.0.1', 8080)); a.send(b'hello'); assert a.recv(9) == b'HELLO'")
    assert not list((tmp_path / "temporary").glob("*.pcapng"))
    assert server.stop() == 0
    assert [line for line in server.said if "capture" in line or "picture" in line] == []
    assert b"HELLO" in server.popen.stdout.read()


@pytest.mark.parametrize("model", ["loop", "sequential"])
def test_a_server_with_its_capture(lab: Lab, tshark: Callable[..., list[list[str]]], model: str) -> None:
    """From the first SYN to what ends the last connection, of its port and no other; and how much it was."""
    server = lab.serve("--model", model, "--tcp", "127.0.0.1:8080", "--capture", "a.pcapng")
    lab.python(SEND.format(count=10, size=10))
    script = (
        "a = create_connection(('127.0.0.1', 8080)); a.send(b'hello'); assert a.recv(9) == b'HELLO'\n"
        "a.close(); time.sleep(0.05)"
    )
    lab.python(script)
    assert server.stop() == 0
    rows = tshark("tcp.flags", "tcp.len", "tcp.port")
    assert all("8080" in row[2] for row in rows)
    assert [row[0] for row in rows[:3]] == ["0x0002", "0x0012", "0x0010"]
    assert [row[1] for row in rows if row[1] != "0"] == ["5", "5"]
    assert sum(int(row[0], 16) & 1 for row in rows) == 2
    assert server.said[-1].startswith(f"evloop: a.pcapng: {len(rows)} packets, ")


def test_a_capture_that_dies_is_not_the_servers_end(lab: Lab) -> None:
    """It says so at once, and since when there are no packets; clients notice nothing."""
    server = lab.serve("--tcp", "127.0.0.1:8080", "--capture", "a.pcapng", "--log", "a.jsonl")
    os.kill(child_of(server), signal.SIGKILL)
    server.expect(
        r"the capture ended before the server \(signal 9\): a.pcapng lacks the packets from \d\d:\d\d:\d\d on"
    )
    assert lab.run(*EVLOOP, "client", "127.0.0.1:8080", "x").stdout == "X\n"
    assert server.stop() == 0
    assert len([line for line in server.said if "capture" in line]) == 1


def test_a_capture_that_dies_beside_a_server_that_sleeps(lab: Lab) -> None:
    """A blocking server says so when it ends."""
    server = lab.serve("--model", "sequential", "--tcp", "127.0.0.1:8080", "--capture", "a.pcapng")
    os.kill(child_of(server), signal.SIGKILL)
    assert lab.run(*EVLOOP, "client", "127.0.0.1:8080", "x").stdout == "X\n"
    assert server.stop() == 0
    assert "(signal 9): a.pcapng lacks the packets from" in server.said[-1]


def test_a_server_that_dies_ends_its_capture(lab: Lab, tmp_path: Path) -> None:
    """Its file is complete, with what was counted."""
    server = lab.serve("--tcp", "127.0.0.1:8080", "--capture", "a.pcapng")
    capture = os.pidfd_open(child_of(server))
    assert lab.run(*EVLOOP, "client", "127.0.0.1:8080", "x").stdout == "X\n"
    os.kill(server.pid, signal.SIGKILL)
    assert select.select([capture], [], [], 10)[0]
    os.close(capture)
    received, lost, delivered = dropped(tmp_path)
    assert received == delivered >= 8
    assert lost == 0


def test_a_server_that_may_not_capture_does_not_begin(run: Run) -> None:
    """The sentence is the capture's; nobody is told to come."""
    done = run("unshare", "-Ur", *EVLOOP, "serve", "--tcp", "127.0.0.1:0", "--capture", "a.pcapng")
    assert done.returncode == 2
    assert done.stderr.startswith("evloop: to capture on lo needs rights: run it in `evloop lab`")
    assert len(done.stderr.splitlines()) == 1


def test_a_server_whose_capture_cannot_be(lab: Lab) -> None:
    """One line, exit code 2, before it listens."""
    done = lab.run(*EVLOOP, "serve", "--capture", "nowhere/a.pcapng")
    assert done.returncode == 2
    assert done.stderr == "evloop: nowhere/a.pcapng cannot be written: No such file or directory\n"
