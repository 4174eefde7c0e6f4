"""`evloop-trace capture -i any`, and tags of VLANs: real frames on a cable with two ends; tshark judges."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Lab

pytestmark = pytest.mark.needs("namespaces", "nsenter", "tshark", "ip")

CABLE = "ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up"
# UDP in frames of our own, so that there is a tag without a kernel that has VLANs; the receiving end's kernel
# takes the first one off, and puts it beside the packet, as a network card does.
SEND = """
import struct
wire = socket(AF_PACKET, SOCK_RAW); wire.bind(("v0", 0))
udp = struct.pack(">HHHH", 5, 6, 11, 0) + b"abc"
ends = bytes([10, 0, 0, 1, 10, 0, 0, 2])
ip = struct.pack(">BBHHHBBH8s", 0x45, 0, 31, 1, 0, 64, 17, 0, ends) + udp
for tags in {tags}:
    wire.send(b"\\xff" * 6 + b"\\2" * 6 + tags + b"\\x08\\0" + ip)
"""
FIELDS = ("frame.interface_name", "frame.protocols", "vlan.id", "sll.pkttype", "udp.dstport", "frame.len")


@pytest.fixture
def shown(run: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[[], list[list[str]]]:
    """What tshark reads in a.pcapng."""

    def read() -> list[list[str]]:
        fields = [word for field in FIELDS for word in ("-e", field)]
        done = run("tshark", "-n", "-r", "a.pcapng", "-T", "fields", "-E", "separator=|", *fields)
        assert done.returncode == 0, done.stderr
        return [line.split("|") for line in done.stdout.splitlines()]

    return read


def test_tags_are_put_back(lab: Lab, shown: Callable[[], list[list[str]]]) -> None:
    """Of what comes in and of what goes out; one, another kind, and two."""
    assert lab.run("sh", "-c", CABLE).returncode == 0
    tags = [b"", b"\x81\0\x20\5", b"\x88\xa8\0\7", b"\x88\xa8\0\7\x81\0\0\5"]
    for end in ("v0", "v1"):
        capture = lab.capture("-i", end, "-w", "a.pcapng", "--port", "6")
        lab.python(SEND.format(tags=tags))
        assert capture.stop() == 0
        rows = shown()
        assert [row[0] for row in rows] == [end] * 4
        assert [row[1].removesuffix(":ip:udp:data") for row in rows] == [
            "eth:ethertype",
            "eth:ethertype:vlan:ethertype",
            "eth:ethertype:ieee8021ad:ethertype",
            "eth:ethertype:ieee8021ad:ethertype:vlan:ethertype",
        ]
        assert [row[2] for row in rows] == ["", "5", "", "5"]
        assert [row[5] for row in rows] == ["45", "49", "49", "53"]


def test_all_interfaces(lab: Lab, shown: Callable[[], list[list[str]]]) -> None:
    """On loopback each packet once; on a cable's ends what leaves and what comes; with name and tag."""
    assert lab.run("sh", "-c", CABLE).returncode == 0
    capture = lab.capture("-i", "any", "-w", "a.pcapng")
    lab.python(SEND.format(tags=[b"", b"\x81\0\0\5"]))
    lab.python('socket(AF_INET, SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))')
    assert capture.stop() == 0
    assert [row[:5] for row in shown()] == [
        ["v0", "sll:ethertype:ip:udp:data", "", "4", "6"],
        ["v1", "sll:ethertype:ip:udp:data", "", "1", "6"],
        ["v0", "sll:ethertype:vlan:ethertype:ip:udp:data", "5", "4", "6"],
        ["v1", "sll:ethertype:vlan:ethertype:ip:udp:data", "5", "1", "6"],
        ["lo", "sll:ethertype:ip:udp:data", "", "0", "9"],
        ["lo", "sll:ethertype:ip:icmp:ip:udp:data", "", "0", "9"],
    ]


def test_a_conversation_on_all_interfaces(lab: Lab) -> None:
    """Lines name the interface; what is in the file is analysed like any other."""
    lines = lab.capture("-i", "any", "--port", "8080")
    capture = lab.capture("-i", "any", "-w", "a.pcapng", "--port", "8080")
    server = lab.serve("--tcp", "127.0.0.1:8080")
    evloop = sys.executable, "-P", "-m"
    assert lab.run(*evloop, "evloop", "client", "127.0.0.1:8080", "hello").stdout == "HELLO\n"
    server.stop()
    assert capture.stop() == lines.stop() == 0
    told = lab.run(*evloop, "evloop_trace", "packets", "a.pcapng")
    assert (told.returncode, told.stderr) == (0, "")
    assert "8080  SF ─" in told.stdout
    assert "retransmission" not in told.stdout
    one = lab.run(*evloop, "evloop_trace", "packets", "a.pcapng", "--packet", "1").stdout
    assert "interface   lo\n" in one
    assert "cooked linux v2  20 B [0,20)" in one
