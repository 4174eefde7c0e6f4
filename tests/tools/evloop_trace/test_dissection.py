"""Packets taken apart: every header, whatever is cut off, odd or hostile, and nothing else happens."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING

import pytest
from evloop_trace import dissection
from evloop_trace.dissection import dissect
from hypothesis import given, settings
from hypothesis import strategies as st

from evloop.errors import EvloopError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    dissect(1, b"first")  # so that it is imported as it is meant to be
    from scapy.contrib.geneve import GENEVE
    from scapy.contrib.gtp import GTP_U_Header
    from scapy.contrib.mpls import MPLS
    from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
    from scapy.layers.inet6 import (
        ICMPv6DestUnreach,
        IPv6,
        IPv6ExtHdrDestOpt,
        IPv6ExtHdrFragment,
        IPv6ExtHdrHopByHop,
        IPv6ExtHdrRouting,
        PadN,
    )
    from scapy.layers.l2 import GRE, LLC, SNAP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Dot3, Ether
    from scapy.layers.ppp import PPP, PPPoE
    from scapy.layers.vxlan import VXLAN

if TYPE_CHECKING:
    from pathlib import Path

DATA = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=9, dport=7) / b"payload"
DATA6 = IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=9, dport=7) / b"payload"
LINKS = (0, 1, 9, 12, 14, 50, 101, 108, 113, 228, 229, 276, 147, 65000)


def names(link, data):
    """Of all layers; they stand one behind the other, from the first byte to the last."""
    layers = dissect(link, data)
    at = 0
    for layer in layers:
        assert at == layer.begin <= layer.end
        at = layer.end
    assert at == len(data)
    return [layer.name for layer in layers]


def fields(link, data, name):
    """Of the first layer of this name."""
    return dict(next(layer.fields for layer in dissect(link, data) if layer.name == name))


@pytest.mark.parametrize(
    ("link", "packet", "before"),
    [
        (1, Ether() / DATA, ["Ethernet", "IP"]),
        (1, Ether() / DATA6, ["Ethernet", "IPv6"]),
        (1, Ether() / Dot1AD(vlan=7) / Dot1Q(vlan=5) / DATA, ["Ethernet", "802_1AD", "802.1Q", "IP"]),
        (1, Ether() / PPPoE() / PPP() / DATA, ["Ethernet", "PPP over Ethernet", "PPP Link Layer", "IP"]),
        (1, Ether() / MPLS(label=3, s=1) / DATA, ["Ethernet", "MPLS", "IP"]),
        (1, Dot3() / LLC() / SNAP() / DATA, ["802.3", "LLC", "SNAP", "IP"]),
        (113, CookedLinux(proto=0x0800) / DATA, ["cooked linux", "IP"]),
        (276, CookedLinuxV2(proto=0x86DD) / DATA6, ["cooked linux v2", "IPv6"]),
        (276, CookedLinuxV2(proto=0x8100) / Dot1Q(vlan=5) / DATA, ["cooked linux v2", "802.1Q", "IP"]),
        (276, CookedLinuxV2(proto=0x88A8) / Dot1AD(vlan=5) / DATA, ["cooked linux v2", "802_1AD", "IP"]),
        (113, CookedLinux(proto=0x88A8) / Dot1AD(vlan=5) / DATA, ["cooked linux", "802_1AD", "IP"]),
        (101, DATA, ["IP"]),
        (12, DATA6, ["IPv6"]),
        (14, DATA, ["IP"]),
        (228, DATA, ["IP"]),
        (229, DATA6, ["IPv6"]),
        (9, b"\x00\x21" + bytes(DATA), ["PPP Link Layer", "IP"]),
        (9, b"\xff\x03\x00\x57" + bytes(DATA6), ["HDLC", "PPP Link Layer", "IPv6"]),
        (50, b"\xff\x03\x00\x21" + bytes(DATA), ["HDLC", "PPP Link Layer", "IP"]),
        (0, b"\2\0\0\0" + bytes(DATA), ["Loopback", "IP"]),
        (0, b"\x1e\0\0\0" + bytes(DATA6), ["Loopback", "IPv6"]),
        (0, b"\0\0\0\x18" + bytes(DATA6), ["OpenBSD Loopback", "IPv6"]),
        (108, b"\0\0\0\2" + bytes(DATA), ["OpenBSD Loopback", "IP"]),
    ],
)  # fmt: skip
def test_link_layers(link, packet, before):
    """Every link layer that the analysis reads leads to its IP header, and to the payload."""
    data = bytes(packet)
    assert names(link, data) == [*before, "UDP", "payload"]
    last = dissect(link, data)[-1]
    assert data[last.begin : last.end] == b"payload"


def test_unknown_link_types_are_bytes():
    """One that nobody knows, and a frame that is too short for its own."""
    assert names(65000, b"abc") == ["payload"]
    assert names(1, b"abc") == ["payload"]
    assert names(1, b"") == []


def test_tcp_options():
    """Each with its value; also those that scapy has no name for."""
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2)), ("WScale", 7), (30, b"\1\2"), (77, b"")]
    found = fields(101, bytes(IP() / TCP(sport=1, dport=2, options=options)), "TCP")
    assert found["options"].startswith("MSS 1460, SAckOK, Timestamp 1 2, WScale 7, MPTCP 0102, option 77")
    assert (found["flags"], found["window"]) == ("S", "8192")


def test_numbers_have_their_words():
    """Scapy's word, and the number in the packet."""
    found = fields(1, bytes(Ether() / IP(options=[IPOption_RR()]) / TCP(dport=80)), "IP")
    assert found["proto"] == "tcp (6)"
    assert found["flags"] == "none"
    assert "IP Option Record Route (copy_flag 0" in found["options"]
    assert fields(1, bytes(Ether() / DATA), "Ethernet")["type"] == "IPv4 (0x0800)"
    assert fields(113, bytes(CookedLinux(src=b"\1\xff")), "cooked linux")["src"] == "01ff000000000000"


def test_extension_headers():
    """All of them, and no port behind a later fragment."""
    chain = (
        IPv6() / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"abcd")]) / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrRouting() / IPv6ExtHdrFragment() / UDP(sport=9, dport=7) / b"x"
    )  # fmt: skip
    found = names(229, bytes(chain))
    assert [name.rpartition(" - ")[2] for name in found[1:-2]] == [
        "Hop-by-Hop Options Header", "Destination Options Header", "IPv6 Option Header Routing",
        "Fragmentation header",
    ]  # fmt: skip
    assert found[-2:] == ["UDP", "payload"]
    later = IPv6() / IPv6ExtHdrFragment(offset=9, nh=6) / b"abc"
    assert names(229, bytes(later))[-1] == "payload"
    assert names(101, bytes(IP(frag=3, proto=6) / b"abcdefghijklmnopqrstuvwxyz")) == ["IP", "payload"]


def test_errors_have_the_packet_they_answer():
    """Also if it was cut there."""
    about = IP() / TCP(sport=1, dport=2)
    whole = bytes(IP() / ICMP(type=3, code=3) / about)
    assert names(101, whole) == ["IP", "ICMP", "IP in ICMP", "TCP in ICMP"]
    assert names(101, whole[:56])[:3] == ["IP", "ICMP", "IP in ICMP"]
    assert names(101, whole[:40])[:2] == ["IP", "ICMP"]
    assert "ICMPv6 Destination Unreachable" in names(229, bytes(IPv6() / ICMPv6DestUnreach() / DATA6))


def test_padding_is_no_payload():
    """An Ethernet frame has at least 60 bytes."""
    assert names(1, bytes(Ether() / IP() / TCP()) + bytes(6)) == ["Ethernet", "IP", "TCP", "padding"]


@pytest.mark.parametrize(
    ("outer", "tunnel"),
    [
        (IP() / GRE(proto=0x0800) / DATA, ["GRE"]),
        (IP() / UDP(dport=4789) / VXLAN(vni=5) / Ether() / DATA, ["UDP", "VXLAN", "Ethernet"]),
        (IP() / UDP(dport=6081) / GENEVE(proto=0x0800) / DATA, ["UDP", "GENEVE"]),
        (IP() / UDP(dport=2152) / GTP_U_Header() / DATA, ["UDP", "GTP-U Header"]),
        (IP() / DATA, []),
    ],
)
def test_tunnels(outer, tunnel):
    """What the analysis looks into is shown to its end."""
    assert names(101, bytes(outer)) == ["IP", *tunnel, "IP", "UDP", "payload"]


@pytest.mark.parametrize("packet", [Ether() / Dot1Q() / DATA, Ether() / IPv6() / TCP(options=[("MSS", 9)])])
def test_cut_anywhere(packet):
    """Whatever the snap length was."""
    data = bytes(packet)
    for size in range(len(data)):
        assert bool(names(1, data[:size])) == bool(size)


def test_very_many_headers():
    """They end somewhere, and so does the answer."""
    found = names(1, bytes(12) + b"\x81\0\0\1" * 16_000 + b"\x08\0")
    assert len(found) < 70
    assert found[-1] == "more headers, not dissected"


def test_long_values_are_cut():
    """A name in a DNS question may be anything, and long."""
    record = b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"".join(b"\x3f" + b"\x1b" * 63 for _ in range(40)) + b"\0\0\1\0\1"
    found = fields(101, bytes(IP() / UDP(sport=53, dport=53) / record), "DNS")
    assert max(map(len, found.values())) == 400


@settings(max_examples=150, deadline=None)
@given(link=st.sampled_from(LINKS), data=st.binary(max_size=200))
def test_any_bytes(link, data):
    """There is no packet that is too odd."""
    names(link, data)


@settings(max_examples=150, deadline=None)
@given(
    packet=st.sampled_from([
        Ether() / IP(options=[IPOption_RR()]) / TCP(options=[("MSS", 1), ("Timestamp", (1, 2))]) / b"abc",
        Ether() / IPv6() / IPv6ExtHdrHopByHop(options=[PadN()]) / UDP(dport=53) / bytes(30),
        Ether() / IP() / ICMP(type=3) / IP() / UDP() / b"abc",
    ]),
    damage=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=6),
)  # fmt: skip
def test_damaged_packets(packet, damage):
    """Nor one in which a few bytes are wrong."""
    data = bytearray(bytes(packet))
    for at, byte in damage:
        data[at % len(data)] = byte
    names(1, bytes(data))


def test_without_scapy(monkeypatch):
    """Everything else works without it; this says what is missing."""
    dissection._scapy.cache_clear()
    monkeypatch.setitem(sys.modules, "scapy", None)
    with pytest.raises(
        EvloopError, match=r"taken apart by scapy, which cannot be loaded .*: pip install scapy"
    ):
        dissect(1, b"abc")
    monkeypatch.undo()
    dissection._scapy.cache_clear()
    assert names(1, b"abc") == ["payload"]


def test_it_leaves_no_trace(tmp_path: Path):
    """No folders, no files, not a word, and the environment is as before: whatever the user has there."""
    (tmp_path / ".config" / "scapy").mkdir(parents=True)
    (tmp_path / ".config" / "scapy" / "prestart.py").write_text("raise SystemExit('it was read')")
    script = (
        "import os; before = dict(os.environ)\n"
        "from evloop_trace.dissection import dissect; import sys\n"
        "assert not any(name.split('.')[0] == 'scapy' for name in sys.modules)\n"
        "print(len(dissect(1, bytes(range(256)) * 9)), dict(os.environ) == before)"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "COVERAGE"))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], env=env | {"HOME": str(tmp_path)}, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout.split()[-1], done.stderr) == ("True", "")
    assert sorted(it.name for it in tmp_path.rglob("*")) == [".config", "prestart.py", "scapy"]
