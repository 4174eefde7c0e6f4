"""Segments behind each kind of tag and inside each kind of tunnel, crafted with scapy."""

from __future__ import annotations

from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import GRE, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting
from scapy.layers.l2 import GRE_PPTP, LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN

SEGMENTS = (("S", 7, 0, b""), ("S", 7, 0, b""), ("A", 8, 1, b""), ("PA", 8, 1, b"abc"))


def frames():
    """The same segments of a connection, each time with something else around them."""
    host, site = IP(src="10.0.0.1", dst="10.0.0.2"), IP(src="192.0.2.1", dst="192.0.2.2")
    host6, site6 = IPv6(src="2001:db8::1", dst="2001:db8::2"), IPv6(src="2001:db8::3", dst="2001:db8::4")
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    snap = Dot3(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / LLC() / SNAP(code=0x0800)
    arounds = [
        ether / host, ether / host6, ether / Dot1Q(vlan=5) / host,
        ether / Dot1AD(vlan=5) / Dot1Q(vlan=6) / host, ether / Dot1Q(vlan=5) / host6, snap / host,
        ether / PPPoE(sessionid=1) / PPP(proto=0x21) / host,
        ether / PPPoE(sessionid=1) / PPP(proto=0x57) / host6, ether / MPLS(label=16, s=1) / host,
        ether / MPLS(label=16, s=0) / MPLS(label=17, s=1) / host6, ether / site / host, ether / site / host6,
        ether / site6 / host6, ether / site / GRE() / host, ether / site / GRE() / host6,
        ether / site / GRE(chksum_present=1, key_present=1, seqnum_present=1) / host,
        ether / site / GRE(proto=0x6558) / ether / host,
        ether / site / GRE(proto=0x8847) / MPLS(label=16) / host,
        ether / site / GRE_PPTP(seqnum_present=1, acknum_present=1) / PPP(proto=0x21) / host,
        ether / site / UDP(sport=50000, dport=4789) / VXLAN(vni=7) / ether / host,
        ether / site / UDP(sport=50000, dport=4789) / VXLAN(vni=7) / ether / Dot1Q(vlan=5) / host6,
        ether / site / UDP(sport=50000, dport=6081) / GENEVE(vni=7) / ether / host,
        ether / site / UDP(sport=2152, dport=2152) / GTP_U_Header(teid=7, gtp_type=255) / host,
        ether / site / UDP(sport=50000, dport=3544) / host6,
        ether / host6 / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(),
    ]  # fmt: skip
    for port, around in enumerate(arounds, 30000):
        for flags, seq, ack, data in SEGMENTS:
            yield bytes(around / TCP(sport=port, dport=8080, flags=flags, seq=seq, ack=ack) / data)
