"""Real connections, recorded and captured: each reason stands where it is true, and nowhere else."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from evloop_trace.logs import open_logs
from evloop_trace.packets.capture_file import read_packets
from evloop_trace.timeline import Timeline

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from evloop_trace.correlate.entries import Strand

pytestmark = pytest.mark.needs("namespaces")

PROGRAM = Path(__file__).parent / "programs" / "lives.py"
FIRST = 9000
LIVES = (
    "plain", "late_accept", "sticky", "part", "unread", "linger", "dead", "half", "nagle", "window",
    "keep_alive", "refused", "full_queue", "abandoned", "big", "empty", "postcards", "nobody",
    "nobody_connected", "together", "cleared", "half_read", "reset_before", "both_ways", "held", "killed",
)  # fmt: skip

REASONS = [
    # What stands there, in which lives it must, and in which it may.
    (r"the kernel had finished the handshake [\d.]+ \ws before", "plain late_accept dead held", ...),
    (r"handshake (?:[5-9]\d|\d{3})[\d.]* ms before, and acknowledged 13 B since", "late_accept", ""),
    (r"3 sends in one recv\(\): a stream keeps no borders \(packets #", "sticky", ""),
    (r"asked for 1,024 B at most: 485 B of packet #\d+ are left for the next", "part", ""),
    (r"^6 B were unread at the server's close\(\) #\d+: RFC 2525", "unread", ""),
    (r"^SO_LINGER of 0 s: the server's close\(\)", "linger", ""),
    (r"^SO_LINGER of 0 s: the client's close\(\)", "reset_before", ""),
    (r"^data came \(packet #\d+\); the server had closed \d", "cleared", ""),
    (r"^one segment, 2 sends \(#", "together", ...),
    (r"^2 sends in one recv\(\)", "", "nagle"),
    (r"^13 B were unread at the client's close\(\)", "half_read", ""),
    (r"a RST, not a FIN", "", ""),
    (r"the client's shutdown\(\) #\d+: it sends no more, and wants to read no more", "both_ways", ""),
    (r"^the RST of packet #\d+$", "unread linger abandoned killed", "refused"),
    (r"only fills a buffer; the client had closed \(packet #\d+\), and resets \(packet #", "dead", ""),
    (r"^data came \(packet #\d+\); the client had closed \d", "dead", ""),
    (r"^the RST of packet #\d+ had ended the connection", "dead", ""),
    (r"^shutdown\(\) #\d+ had ended what we send", "half", ""),
    (r"the client's shutdown\(\) #\d+: it sends no more, but can still read", "half half_read", ""),
    (r"delayed ACK: the server sent nothing for [3-9]\d.* could have acknowledged the FIN", "half", ...),
    (r"^the end of the stream stays", "half", ""),
    (r"^likely Nagle: send\(\) #\d+ was [3-9]\d[\d.]* ms before.* the ACK of the last, #", "nagle", ""),
    (r"delayed ACK: the server sent nothing .* could have acknowledged packet #", "nagle", ...),
    (r"^the send buffer had room for \d", "window", ""),
    (r"^the send buffer is full: [\d,]+ B are not acknowledged", "window", ""),
    (r"^the server has room for no more: the window is full", "window", "big"),
    (r"^the server has not called recv\(\) yet, and [\d,]+ B fill its buffer", "window", ""),
    (r"^is there room again\? The window is closed for 2", "window", ""),
    (r"^probe 2, .* the persist timer backs off", "window", ""),
    (r"^room again, after .*: the server's recv\(\) #\d+ took what waited", "window", ""),
    (r"^keep-alive: nothing was said for 1.\d s; is the server still there\?", "keep_alive", ""),
    (r"^refused: likely nobody listens on 127.0.0.1:", "refused", ""),
    (r"^no answer for 1.\d s: likely the listener's queue is full, 1 in it \(backlog 0\)", "full_queue", ""),
    (r"^SYN was sent \w+ ?\w* before it was answered", "full_queue", ""),
    (r"^the socket does not block: the kernel does the handshake", "full_queue", ""),
    (r"^close\(\) #\d+ closed the listener, and nobody had accepted", "abandoned", ""),
    (r"^one send\(\), \d+ segments of at most [\d,]+ B", "big", "window"),
    (r"^nothing to send: no packet", "empty", ""),
    (r"^an empty datagram is sent all the same", "postcards", ""),
    (r"^an empty datagram is no end", "postcards", ""),
    (r"^cut to 1,024 B of 1,500 B: recv\(\) asked for no more", "postcards", ""),
    (r"^no recvfrom\(\) took it", "postcards", ""),
    (r"^nobody is bound to .*; run:udp-\d+ is not connected, so it is never told", "nobody", ""),
    (r"^nobody is bound to .*: the next call on run:udp-\d+ gets ECONNREFUSED", "nobody_connected", ""),
    (r"^of an earlier datagram: ICMP, packet #", "nobody_connected", ""),
    (r"the client's close\(\) #\d+ was [\d.]+ \ws ago: likely a copy of it was open", "held", ""),
    (r"^no close\(\) is in the client's log: likely its process was killed with 5 B unread", "killed", ""),
    (r"^the client closed first, and so waits in TIME-WAIT", "plain half held", ...),
    (r"it also acknowledges the client's FIN .* three segments, not four", "", ...),
    (r"spurious|retransmission|tail-loss|duplicate|out of order|not in the capture", "", "big window"),
]  # fmt: skip

SILENCES = [
    (r"nobody has called accept\(\), and 13 B wait with it", "late_accept"),
    (r"11 B wait for the server, which is in no call", "sticky"),
    (r"the client sends no more, and the server has not closed yet: CLOSE-WAIT", "dead half"),
    (r"the server's kernel delays the ACK of 10 B: an answer could carry it", "nagle"),
    (r"the server's window is closed: .* wait in the kernel, which probes it now and then", "window"),
    (r"nobody has answered the SYN: the client's kernel waits", "full_queue"),
    (r"the client has closed, but no FIN went out: likely a copy", "held"),
    (r"5 B wait for the client, which is in no call", "killed"),
    (r"it is reset: the server learns of it when it sends", "dead"),
]


def test_every_reason_where_it_is_true(
    evloop: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Each is found in the lives that were made for it, and in no other."""
    traced = (sys.executable, "-P", "-m", "evloop_trace", "run", "--log", "run.jsonl")
    made = evloop("lab", "--", *traced, "--capture", "run.pcapng", str(PROGRAM), str(FIRST), *LIVES)
    assert made.returncode == 0, made.stderr

    said, quiet = defaultdict(list), defaultdict(list)
    with open_logs([str(it) for it in sorted(tmp_path.glob("run.jsonl*"))]) as logs:
        timeline = Timeline(logs)
        with (tmp_path / "run.pcapng").open("rb") as file:
            for entry in timeline.entries(read_packets(file.read, timeline.capture)):
                name = _life(entry.strand)
                said[name] += entry.reasons
                quiet[name].append(entry.quiet)
                assert len(entry.reasons) <= 2

    for pattern, must, may in REASONS:
        found = {name for name, reasons in said.items() if any(re.search(pattern, it) for it in reasons)}
        assert found >= set(must.split()), pattern
        assert may is ... or found <= {*must.split(), *may.split()}, pattern
    for pattern, must in SILENCES:
        found = {name for name, reasons in quiet.items() if any(re.search(pattern, it) for it in reasons)}
        assert found >= set(must.split()), pattern
    assert len(said["plain"]) <= 6, said["plain"]


def _life(strand: Strand | None) -> str:
    """Whose it is, by the port."""
    return "of-none" if strand is None else LIVES[int(strand.server.rpartition(":")[2]) - FIRST]
