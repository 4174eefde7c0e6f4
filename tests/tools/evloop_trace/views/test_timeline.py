"""The timeline: calls and packets on one row, states beside the wire, and reasons, at terminals' sizes."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate.ends import Joined, Origin
from evloop_trace.correlate.entries import INFERRED, UNMATCHED, CallRef, KernelEntry
from evloop_trace.packets.segments import ACK, RETRANSMISSION, RST, SYN
from evloop_trace.views.cells import width_of
from evloop_trace.views.columns import known, milliseconds
from evloop_trace.views.timeline import TimelinePanel, TimelineView
from rich.cells import cell_len

from evloop.events.schema import (
    Accept,
    Bind,
    Block,
    Close,
    Connect,
    Interest,
    Listen,
    Poll,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Shutdown,
    Socket,
    TcpInfo,
    Unknown,
)

MS = 1_000_000
US = 1000


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 237])
def test_every_line_is_exactly_as_wide_as_the_terminal(talk: Any, width: int) -> None:
    """Also those of gaps, headings and reasons."""
    entries = [*talk.conversation(), *talk.conversation(talk.strand(1, 5001, ("tcp-2", "tcp-2")))]
    assert {width_of(line) for line in TimelineView(width, ["a", "b"]).lines(entries)} == {width}


def test_a_conversation_at_80_columns(talk: Any) -> None:
    """Cause, packet and effect, from the left to the right and back."""
    assert talk.drawn(talk.conversation()) == [
        " tcp-1  127.0.0.1:5000 → 127.0.0.1:8080",
        "  0.100  connect()  SYN-SENT │══ SYN ═══════ #1 ═▶│",
        "  0.140          ESTABLISHED │◀═ #2 ═══ SYN ACK ══│     SYN-RECEIVED",
        "  0.160  = 0                 │── ACK ─────── #3 ─▶│     ESTABLISHED",
        "         ┄┄┄ 10.8 ms · nothing happens ┄┄┄",
        " 11.000                      │                    │   1 woke: listen-1 readable",
        " 11.100                      │                    │     accept() → tcp-1  fd 7",
        ' 11.200  send() = 5  "hello" │── 5 B  [0,5) ─────▶│',
        " 11.230                      │◀─ #5 ───── ACK 5 ──│",
        ' 11.310                      │                    │   2 recv() = 5  "hello"',
        ' 11.320                      │◀───── 5 B  [0,5) ──│     send() = 5  "HELLO"',
        " 11.340                      │── ACK 5 ───── #7 ─▶│",
        ' 11.400  recv() = 5  "HELLO" │                    │',
        " 11.500  close()  FIN-WAIT-1 │══ FIN ACK ═══ #8 ═▶│     CLOSE-WAIT",
        "         ╰ it sends no more  │                    │",
    ]


CHINESE = {
    "client": "客户端",
    "server · loop": "服务器",
    "wire": "线路",
    "nothing happens": "没有动静",
    "woke: listen-1 readable": "醒来：listen-1 可读",
    "it sends no more": "它不再发送",
    "connection": "连接",
    "retransmission": "重传",
}


def said(sentence: str) -> str:
    """In another language."""
    return CHINESE.get(sentence, sentence)


def test_what_the_reader_is_told_may_be_in_another_language(talk: Any) -> None:
    """What is of no language is as it was, and where it was."""
    entries = talk.conversation()
    lines = talk.drawn(entries, say=said)
    assert lines[4:6] == [
        "         ┄┄┄ 10.8 ms · 没有动静 ┄┄┄",
        " 11.000                      │                    │   1 醒来：listen-1 可读",
    ]
    assert lines[-1] == "         ╰ 它不再发送        │                    │"
    told = ("没有", "醒来", "它不再")
    assert [it for it in lines if not any(word in it for word in told)] == [
        it
        for it in talk.drawn(entries)
        if not any(word in it for word in ("nothing happens", "woke", "it sends no more"))
    ]
    for width in (60, 81, 120):
        heading, *rest = TimelineView(width, ["", ""], say=said).lines(entries)
        text = "".join(it.text for it in heading)
        assert {"客户端", "线路", "服务器"} <= {*text.replace("─", " ").split()}
        assert {width_of(line) for line in [heading, *rest]} == {width}


def test_arrows_with_wide_characters_are_as_long(talk: Any) -> None:
    """Those of packets, and those of calls where there are none: the wire stays straight."""
    again = talk.data(11_600, talk.strand(), 9, 0, b"hello", found=RETRANSMISSION)
    accept = next(it for it in talk.conversation() if isinstance(getattr(it, "event", None), Accept))
    accept.strand = talk.strand(captured=False)
    for entries, word in (([*talk.conversation(), again], "重传"), ([accept], "连接")):
        for width in (60, 80, 81, 120, 160):
            lines = talk.drawn(entries, width, say=said, packets=len(entries) > 1)
            arrow = next(it for it in lines if word in it)
            wire = {cell_len(arrow[:at]) for at, it in enumerate(arrow) if it == "│"}
            straight = talk.drawn(entries, width, packets=len(entries) > 1)
            assert wire == {at for at, it in enumerate(straight[lines.index(arrow)]) if it == "│"}


def test_captions_stand_before_what_comes_next(talk: Any) -> None:
    """Also behind the last row: that nothing comes may be what they are about."""
    captions = [(0, "They talk."), (60_000 * MS, "Nobody says anything.")]
    view = TimelineView(80, captions=captions)
    text = ["".join(it.text for it in line).rstrip() for line in view.lines(talk.conversation())]
    assert [at for at, it in enumerate(text) if it.startswith("▸")] == [1, len(text) - 1]
    assert text[-1] == "▸ Nobody says anything."


def test_with_more_room_more_is_said(talk: Any) -> None:
    """Offsets beside calls, flags and numbers on packets, how long a poll slept."""
    lines = talk.drawn(talk.conversation(), 120)
    blank = " " * 32
    assert f" 11.000  {blank}│{blank}│   1 woke: listen-1 readable  (11.0 ms)" in lines
    assert ' 11.200  send() = 5  [0,5)  "hello"      │── PSH ACK  5 B  [0,5) ─── #4 ─▶│' in lines
    assert f' 11.320  {blank}│◀─ #6 ─── PSH ACK  5 B  [0,5) ──│     send() = 5  [0,5)  "HELLO"' in lines


def test_the_heading_says_whose_calls_are_known(talk: Any) -> None:
    """Both sides', or what the packets alone tell, or that there are none."""

    def heading(entries: list[Any], width: int = 120, **more: Any) -> str:
        line = next(TimelineView(width, ["", ""], **more).lines(entries))
        return " ".join("".join(it.text for it in line).replace("─", " ").split())

    every = talk.conversation()
    assert heading(every) == "ms client wire tick server · loop"
    assert (
        heading([it for it in every if not hasattr(it, "event")])
        == "ms client (from its packets) wire server (from its packets)"
    )
    assert heading([it for it in every if getattr(it, "log", 0) == 0]) == "ms client wire server, no log"
    assert (
        heading([it for it in every if hasattr(it, "event")], packets=False)
        == "ms client no capture tick server · loop"
    )
    labelled = next(TimelineView(120, ["one", "two"]).lines(every))
    assert " client: one " in "".join(it.text for it in labelled)


def test_several_logs_on_a_side_are_named(talk: Any) -> None:
    """And connections that are called alike are told apart by their logs."""
    one = talk.strand(0, 5000, ("a:tcp-1", "s:tcp-1"))
    two = talk.strand(1, 5001, ("b:tcp-1", "s:tcp-2"))
    entries = [
        talk.send(1, 0, 1, 0, b"x", one, client=True), talk.send(2, 1, 1, 0, b"x", two, client=True),
        talk.send(3, 0, 2, 1, b"x", one, client=True),
    ]  # fmt: skip
    view = TimelineView(100, ["a", "b", "s"])
    lines = ["".join(it.text for it in line).rstrip() for line in view.lines(entries)]
    assert " clients: a, b " in lines[0]
    assert lines[1] == " a  127.0.0.1:5000 → 127.0.0.1:8080"
    assert lines[3] == " b:tcp-1 = s:tcp-2  127.0.0.1:5001 → 127.0.0.1:8080"
    assert [line[8:10].strip() for line in (lines[2], lines[4], lines[5])] == ["a", "b", "a"]


def test_two_names_in_one_log(talk: Any) -> None:
    """Whose is whose is said in words."""
    lines = talk.drawn(talk.conversation(talk.strand(0, 5000, ("tcp-2", "tcp-3"))))
    assert lines[0] == " the client's tcp-2 = the server's tcp-3  127.0.0.1:5000 → 127.0.0.1:8080"


def test_one_after_the_other_needs_no_column_of_names(talk: Any) -> None:
    """The heading of each says whose the rows below it are."""
    both = [*talk.conversation(), *talk.conversation(talk.strand(1, 5001, ("tcp-2", "tcp-2")))]
    lines = talk.drawn(both)
    assert lines[0] == " tcp-1  127.0.0.1:5000 → 127.0.0.1:8080"
    assert " tcp-2  127.0.0.1:5001 → 127.0.0.1:8080" in lines
    assert "  0.100  connect()  SYN-SENT │══ SYN ═══════ #1 ═▶│" in lines


def test_who_has_no_name_is_called_by_the_port(talk: Any) -> None:
    """Of packets alone no log tells a name; what was sent stands beside who sent it."""
    it = talk.strand(names=("", ""))
    assert talk.drawn([talk.data(1, it, 1, 0, b"hello \x1b[2J")], 100) == [
        " :5000  127.0.0.1:5000 → 127.0.0.1:8080",
        '  0.001  "hello \\x1b[2J"          │── PSH ACK  10 B  [0,10) ── #1 ─▶│',
    ]


def test_a_long_send_begins_beside_its_first_segment(talk: Any) -> None:
    """It is told of when it returns, with how many packets it became."""
    it = talk.strand()
    data = b"x" * 10
    entries = [
        talk.data(1_000, it, 1, 0, data, cause=(0, 5, "block")),
        talk.call(1_010, 0, Block(4, 1_010 * US, 0, "send", "tcp-1", size=20), it),
        talk.data(1_020, it, 2, 10, data, cause=(0, 5, "send")),
        talk.send(4_000, 0, 5, 0, data * 2, it, 1, 2),
    ]
    lines = talk.drawn(entries, 100)[1:]
    assert lines[0] == "  1.000  send() …                               │── PSH ACK  10 B  [0,10) ── #1 ─▶│"
    assert "send() …  blocks: the kernel's" in lines[1]
    assert lines[2] == "  1.020                                         │── PSH ACK  10 B  [10,20) ─ #2 ─▶│"
    assert "send() = 20  ▸ 2 packets" in lines[3]


def test_a_short_sleep_is_no_row(talk: Any) -> None:
    """One of a millisecond is."""
    it = talk.strand()

    def rows(ms: float) -> int:
        block = Block(1, 0, 0, "recv", "tcp-1")
        got = Recv(2, 0, 0, int(ms * MS), "tcp-1", 3, 9, 1, (0, 1), b"x")
        return len(talk.drawn([talk.call(0, 0, block, it), talk.call(ms * 1000, 0, got, it, 1)])) - 1

    assert (rows(0.9), rows(1.1)) == (1, 2)


def test_a_connect_that_sleeps_stands_beside_its_syn(talk: Any) -> None:
    """It is told of again when it returns."""
    it = talk.strand()
    entries = [
        talk.call(0, 0, Block(1, 0, 0, "connect", "tcp-1"), it),
        talk.packet(20, it, 1, flags=SYN, cause=(0, 2, "connect"), states=("SYN-SENT", "LISTEN")),
        talk.packet(1_020_000, it, 2, client=False, flags=RST | ACK, states=("CLOSED", "CLOSED")),
        talk.call(
            1_020_100,
            0,
            Connect(2, 0, 0, 1_020 * MS, 3, "tcp-1", None, it.server, it.client, "ECONNREFUSED"),
            it,
            1,
        ),
    ]
    lines = talk.drawn(entries, 100)[1:]
    assert "connect()" in lines[0]
    assert "SYN-SENT │══ SYN ═" in lines[0]
    assert "◀━" in lines[2]
    assert "CLOSED │" in lines[2]
    assert "connect() ECONNREFUSED" in lines[3]


def test_a_refused_connect_stands_beside_the_reset(talk: Any) -> None:
    """Its result is what the RST made of it."""
    it = talk.strand(names=("tcp-1", ""))
    refused = Connect(1, 0, 0, 100 * US, 3, "tcp-1", None, it.server, it.client, "ECONNREFUSED")
    entries = [
        talk.call(0, 0, refused, it, 1),
        talk.packet(20, it, 1, flags=SYN, cause=(0, 1, "connect"), states=("SYN-SENT", "")),
        talk.packet(30, it, 2, client=False, flags=RST | ACK, before=("SYN-SENT", ""), states=("CLOSED", "")),
    ]
    first, second = talk.drawn(entries)[1:]
    assert "connect()" in first
    assert "SYN-SENT │══ SYN ═" in first
    assert "= ECONNREFUSED" in second
    assert "CLOSED │◀━" in second


def test_a_return_that_nothing_answers_has_its_own_row(talk: Any) -> None:
    """It then says what returned."""
    it = talk.strand()
    ok = Connect(1, 0, 0, 100 * US, 3, "tcp-1", None, it.server, it.client)
    assert "connect() = 0" in talk.drawn([talk.call(0, 0, ok, it, 1)])[2]


def test_a_packet_that_comes_before_its_call_is_beside_it(talk: Any) -> None:
    """Two clocks may be some microseconds apart."""
    it = talk.strand()
    entries = [talk.data(10, it, 1, 0, b"abc", cause=(0, 1, "send")), talk.send(15, 0, 1, 0, b"abc", it, 1)]
    lines = talk.drawn(entries)
    assert len(lines) == 2
    assert 'send() = 3  [0,3)  "abc"' in lines[1]
    assert "3 B  [0,3) " in lines[1]


def test_links_are_shown_where_they_are_not_plain(talk: Any) -> None:
    """Inferred, unmatched, and several into one."""
    it = talk.strand()
    got = Recv(9, 0, 0, 0, "tcp-1", 7, 99, 6, (0, 6), b"abcdef")
    text = "\n".join(
        talk.drawn(
            [
                talk.send(1, 0, 1, 0, b"a", it, trust=UNMATCHED),
                talk.data(5, it, 3, 0, b"b", trust=UNMATCHED),
                talk.call(9, 1, got, it, 3, 4, 5),
                talk.call(
                    12, 0, Sendto(8, 0, 0, 0, "udp-1", 3, "127.0.0.1:8080", 4, b"card"), it, 7, trust=INFERRED
                ),
            ],
            120,
        )
    )
    assert "send() = 1  ? unmatched" in text
    assert "? unmatched  no call sent it" in text
    assert 'recv() = 6  ◂ 3 packets  [0,6)  "abcdef"' in text
    assert 'sendto() = 4  ≈  "card"' in text


def test_what_the_kernel_says_wins(talk: Any) -> None:
    """States come from it alone, and stand beside the packet of the same moment."""
    it = talk.strand()
    entries = [
        KernelEntry(95 * US, "state", True, it, "CLOSED", "SYN-SENT"),
        *talk.conversation(it)[1:2],
        KernelEntry(200 * US, "state", True, it, "SYN-SENT", "ESTABLISHED", reasons=["it was answered"]),
        KernelEntry(300 * US, "state", True, it, "ESTABLISHED", "FIN-WAIT-1"),
        KernelEntry(400 * US, "retransmit", True, it),
    ]
    lines = talk.drawn(entries, 100, kernel=True)[1:]
    assert "SYN-SENT │══ SYN ═" in lines[0]
    assert "ESTABLISHED │" in lines[1]
    assert "╰ it was answered" in lines[2]
    assert "FIN-WAIT-1 │" in lines[3]
    assert "kernel: retransmit" in lines[4]
    assert "SYN-SENT" not in "\n".join(talk.drawn(talk.conversation(it), kernel=True))


def test_without_a_capture_arrows_are_those_of_the_calls(talk: Any) -> None:
    """As far as two logs tell of each other."""
    it = talk.strand(names=("client:tcp-1", "server:tcp-1"), captured=False)
    joined = Joined(20 * US, 0, [Origin("send", "client", 1, 1 * US, 0, 3)])
    got = Recv(4, 0, 1, 10 * US, "server:tcp-1", 7, 99, 3, (0, 3), b"abc")
    lines = talk.drawn(
        [talk.send(1, 0, 1, 0, b"abc", it), talk.call(20, 1, got, it, joined=joined)], 100, packets=False
    )
    assert "│─" in lines[1]
    assert "3 B [0,3)" in lines[1]
    assert "─►│   1 recv() = 3  ◂ 19.0 µs" in lines[2]
    late = Joined(1 * US, 3, [Origin("send", "client", n, 5 * US, n, n + 1) for n in range(2)], exact=False)
    assert (
        "◂ ≈ 2 sends clocks differ"
        in talk.drawn([talk.call(20, 1, got, it, joined=late)], 160, packets=False)[1]
    )
    gone = Joined(1 * US, 3)
    assert "◂ not in the logs" in talk.drawn([talk.call(20, 1, got, it, joined=gone)], 160, packets=False)[1]


def test_reasons_and_quiet_times_are_never_cut(talk: Any) -> None:
    """They go over the wire if their lane is too narrow, and on over several lines."""
    it = talk.strand()
    why = "the kernel sent a reset because six bytes were still unread when the server called close on it"
    quiet = "the client has said that it sends no more, and the server does not close, as nobody calls recv"
    entries = [
        talk.send(1, 0, 1, 0, b"a", it, 1, reasons=[why]),
        talk.packet(90_000, it, 2, client=False, flags=RST | ACK, ack=1, reasons=[why], quiet=quiet),
    ]
    for width in (60, 80, 120):
        lines = talk.drawn(entries, width, labels=["", ""])
        text = " ".join(" ".join(lines).replace("│", " ").replace("╰", " ").split())
        assert text.count(why) == 2
        assert quiet in text


def test_a_silence_calls_connections_what_their_rows_call_them(talk: Any) -> None:
    """Whatever their other end calls them; what is no connection keeps its name."""
    ann, bob = (
        talk.strand(at, 5000 + at, (f"{it}:tcp-1", f"s:tcp-{at + 2}")) for at, it in enumerate(["ann", "bob"])
    )
    why = "the server sleeps in recv() on s:tcp-2 and accept() on s:tcp-1; it sleeps in send() on bob:tcp-1"
    packets = [talk.data(at, it, at, 0, b"x") for at, it in ((1, ann), (2, bob), (3, ann))]
    packets[2].t += 50 * MS
    packets[2].quiet = f"s:tcp-3: {why}"
    text = " ".join(" ".join(talk.drawn(packets, 120)).split())
    assert (
        "bob: the server sleeps in recv() on ann and accept() on s:tcp-1; it sleeps in send() on bob ┄"
        in text
    )


def test_nine_letters_of_a_name_have_room(talk: Any) -> None:
    """On a terminal of 80 columns."""
    some = [talk.strand(at, 5000 + at, (f"client-{at}:tcp-1", "")) for at in (9, 10)]
    packets = [talk.data(at, some[at % 2], at, 0, b"x") for at in range(1, 4)]
    assert [line.split()[1] for line in talk.drawn(packets) if "│" in line] == [
        "client-10",
        "client-9",
        "client-10",
    ]


def test_who_knows_one_side_only_does_not_say_that_nobody_calls(talk: Any) -> None:
    """Without the logs of both ends nothing happens, as far as can be seen."""
    it = talk.strand(names=("", ""))
    packets = [talk.data(at, it, at, 0, b"x") for at in (1, 50_000)]
    assert any("50.0 ms · nothing happens" in line for line in talk.drawn(packets))
    server = talk.call(60_000, 1, Close(1, 60 * MS, 0, US, 3, "close", "tcp-1"), it)
    assert not any("nobody calls" in line for line in talk.drawn([*packets, server]))


def test_what_was_before_the_log_began_has_times_below_0(talk: Any) -> None:
    """And the silence behind it is as long as it was."""
    it = talk.strand()
    packets = [talk.data(at, it, n, n, b"x") for n, at in ((1, -2_030_500), (2, -2_000_000), (3, 20_000))]
    lines = [line.split("│")[0].strip() for line in talk.drawn(packets)]
    assert lines[1] == "-2030.500"
    assert any("┄┄┄ 30.5 ms · " in line for line in lines)
    assert any("┄┄┄ 2.0 s · " in line for line in lines)
    assert milliseconds(-999) == "0.000"


def test_the_heading_of_a_panel_fits_its_lines(talk: Any) -> None:
    """Also where what stands above them has other names, and takes turns with others."""
    strands = [talk.strand(n, 5000 + n, (name, name)) for n, name in enumerate(("a-long-name-1", "tcp-2"))]
    entries = [entry for it in strands * 2 for entry in talk.conversation(it)]
    entries += [entry for _ in range(9) for entry in talk.conversation(strands[1])]
    panel = TimelinePanel(["client", "server"], entries)
    heading = "".join(it.text for it in panel.heading(100))
    row = next(text for line in panel.lines(100, 20) if "SYN ═" in (text := "".join(it.text for it in line)))
    wire = row.index("│"), row.rindex("│")
    assert heading[: wire[0]].endswith("─")
    assert heading[wire[1] + 6 :].startswith("─ server") or heading.index("server") > wire[1]
    assert abs(heading.index("wire") - sum(wire) // 2) <= 3


def test_a_state_that_has_no_room_beside_the_call_stands_below(talk: Any) -> None:
    """At 80 columns shutdown() fills its lane."""
    it = talk.strand()
    event = Shutdown(1, 0, 0, 10 * US, "tcp-1", 3, "SHUT_WR")
    close = Close(2, 20 * US, 0, 10 * US, 3, "close", "tcp-1", sent=0)
    entries = [
        *talk.conversation(it)[4:6],
        talk.call(11_600, 0, event, it, 1),
        talk.packet(
            11_620,
            it,
            1,
            flags=17,
            cause=(0, 1, "shutdown"),
            before=("ESTABLISHED", "ESTABLISHED"),
            states=("FIN-WAIT-1", "CLOSE-WAIT"),
        ),
        talk.call(11_700, 0, close, it),
    ]
    lines = talk.drawn(entries)
    at = next(n for n, line in enumerate(lines) if "shutdown(SHUT_WR)" in line)
    assert "CLOSE-WAIT" in lines[at]
    assert lines[at + 1].split() == ["FIN-WAIT-1", "│", "│"]
    assert "close()" in lines[at + 2]


def test_what_is_no_row(talk: Any) -> None:
    """Unknown events, polls of a moment, accepts that find nobody, and what TCP_INFO says before a close."""
    entries = [
        talk.call(1, 1, Unknown(1, 0, 0, "news", {})),
        talk.call(2, 1, TcpInfo(2, 0, 0, "tcp-1", "close", "ESTABLISHED")),
        talk.call(3, 1, Block(3, 0, 0, "poll")),
        talk.call(4, 1, Poll(4, 0, 3, 10, None, "", [("tcp-1", "IN")])),
        talk.call(5, 1, Listen(5, 0, 3, 10, "listen-1", 3, "tcp", "127.0.0.1:8080", 5)),
    ]
    assert len(talk.drawn(entries)) == 1


def test_polls_in_vain_are_one_fold(talk: Any) -> None:
    """A server that wakes twice a second for nothing does not fill the picture."""
    vain = [talk.call(n * 500_000, 1, Poll(n, 0, n, 500 * MS, 500 * MS, "", [])) for n in range(1, 9)]
    listen = Listen(1, 0, 0, 10, "listen-1", 3, "tcp", "127.0.0.1:8080", 5)
    signal = Interest(9, 0, 8, None, "listen-1", "READ", "", "stop")
    lines = talk.drawn([talk.call(0, 1, listen), *vain, talk.call(4_000_100, 1, signal)], 100)
    assert lines[1].strip() == "┄┄┄ 4.0 s · 8 polls timed out ┄┄┄"
    assert "│   8 watch nothing  listen-1  stop" in lines[2]


def test_a_loop_that_goes_round_is_counted(talk: Any) -> None:
    """A row for all wake-ups for the same, of which nothing comes; in the live picture too."""
    listen = Listen(1, 0, 0, 10, "listen-1", 3, "tcp", "127.0.0.1:8080", 5)
    spins = [talk.call(1 + n, 1, Poll(n, 0, n, 2, None, "", [("tcp-1", "OUT")])) for n in range(1, 2002)]
    told = talk.call(2100, 1, Interest(9, 0, 2002, None, "listen-1", "READ", "", "stop"))
    entries = [talk.call(0, 1, listen), *spins, told]
    lines = talk.drawn(entries, 100)
    assert "woke 2,000 times  and did nothing" in lines[1]
    assert "╰ each time it was told the same: tcp-1 writable" in lines[2]
    assert "2002 watch nothing" in lines[3]
    live = TimelinePanel(["client", "server"], entries, most=5000).lines(100, 10)
    assert "woke 2,000 times" in "".join(it.text for line in live for it in line)
    assert "times" not in "".join(talk.drawn([entries[0], *spins[:8], told], 100))
    assert "woke 2,000 times" in "".join(talk.drawn(entries[:-1], 100))


def test_recv_does_not_say_who_sent(talk: Any) -> None:
    """The heading does."""
    it = talk.strand(names=("", ""), proto="udp")
    got = Recvfrom(3, 0, 0, 10, "udp-1", 3, 4, "", data=b"card", call="recv")
    lines = talk.drawn([talk.packet(1, it, 1, end=4, data=b"card"), talk.call(2, 0, got, it)], 100)
    assert 'recv() = 4  "card"' in lines[2]
    assert "?" not in lines[2]


def test_errors_come_back_to_who_sent(talk: Any) -> None:
    """An ICMP error is about what the client sent."""
    it = talk.strand(names=("", ""), proto="udp")
    refused = Recvfrom(3, 0, 0, 10, "udp-1", 3, errno="ECONNREFUSED")
    entries = [
        talk.packet(1, it, 1, end=4, data=b"card", trust=INFERRED),
        talk.packet(
            2, it, 2, error="port unreachable", sender="127.0.0.1", reasons=["nobody is bound to it"]
        ),
        talk.call(3, 0, refused),
    ]
    lines = talk.drawn(entries, 100)
    assert '"card"' in lines[1]
    assert "┄┄ UDP 4 B ┄" in lines[1]
    assert "◀╍" in lines[2]
    assert "ICMP port unreachable" in lines[2]
    assert "╰ nobody is bound to it" in lines[3]
    assert "recvfrom() ECONNREFUSED  udp-1" in lines[4]


HOSTILE = b"\x1b[31m\r\n\xe5\x93\x88\xe2\x80\xae\xff[bold]"


def test_what_a_peer_says_stays_on_its_line(talk: Any) -> None:
    """Payloads, addresses, names, and an error's words."""
    bad = HOSTILE.decode(errors="replace")
    it = talk.strand(names=(bad, bad))
    it.client = it.server = bad
    entries = [
        talk.data(1, it, 1, 0, HOSTILE),
        talk.packet(2, it, 2, error=bad, sender=bad, quiet=bad, reasons=[bad]),
        talk.call(3, 0, Send(1, 0, 0, 0, bad, 3, 3, 3, (0, 3), HOSTILE, errno=None), it),
        talk.call(4, 1, Poll(2, 0, 1, 9 * MS, None, bad, [(bad, bad)])),
    ]
    for width in (80, 200):
        for line in TimelineView(width, [bad, bad]).lines(entries):
            text = "".join(segment.text for segment in line)
            assert text.isprintable(), text
            assert width_of(line) == width


def test_wide_characters_keep_the_columns(talk: Any) -> None:
    """哈 takes two cells."""
    it = talk.strand()
    data = ("哈" * 40).encode()
    for width in range(60, 130):
        lines = [
            *TimelineView(width, ["a", "b"]).lines(
                [talk.send(1, 0, 1, 0, data, it, 1), talk.data(2, it, 1, 0, data, cause=(0, 1, "send"))]
            )
        ]
        assert {width_of(line) for line in lines} == {width}


def test_nothing_is_drawn_of_nothing() -> None:
    """No heading over an empty timeline."""
    assert list(TimelineView(80).lines([])) == []


def test_the_panel_has_the_newest_at_the_bottom(talk: Any) -> None:
    """At most as many lines as there is room for, each exactly as wide."""
    panel = TimelinePanel(["client", "server"], most=500)
    assert panel.lines(80, 10) == []
    for n in range(20):
        for entry in talk.conversation():
            entry.t += n * 100 * MS
            panel.append(entry)
    for height in (0, 1, 5, 40):
        lines = panel.lines(80, height)
        assert len(lines) == height
        assert {width_of(line) for line in lines} <= {80}
    assert "╰ it sends no more" in "".join(it.text for it in panel.lines(80, 5)[-1])
    assert width_of(panel.heading(33)) == 33
    assert {width_of(line) for line in panel.lines(40, 5)} == {40}
    short = "\n".join("".join(it.text for it in line) for line in panel.lines(80, 5))
    assert "127.0.0.1:5000" not in short  # that has been said when it began


def test_a_direction_has_one_colour(talk: Any) -> None:
    """From the call over the packet to the call that gets it."""
    it = talk.strand()
    entries = [entry for entry in talk.conversation(it) if 11_200 * US <= entry.t <= 11_400 * US]
    lines = list(TimelineView(80, ["client", "server"]).lines(entries))
    colours: dict[str, set[str]] = {"hello": set(), "HELLO": set()}
    for line, message in zip(lines[2:], ("hello", "", "hello", "HELLO", "", "HELLO"), strict=True):
        for segment in line:
            if message and segment.style and segment.style.color:
                colours[message].add(segment.style.color.name)
    assert colours == {"hello": {"cyan"}, "HELLO": {"green"}}


def test_a_clock_that_grows_is_never_cut(talk: Any) -> None:
    """A stream is drawn before anybody knows how long it is: the column gets wider on the way."""
    listen = Listen(1, 0, 0, 10, "listen-1", 3, "tcp", "127.0.0.1:8080", 5)
    early = [talk.call(n, 1, listen) for n in range(5000)]
    lines = talk.drawn([*early, talk.call(123_456_789_012, 1, listen)])
    assert lines[-1].startswith(" 123456789.012  ")


def test_what_a_server_did_before_it_listened_stands_right(talk: Any) -> None:
    """Nobody knew then that it would be one."""
    socket = Socket(1, 0, 0, 10, "tcp-1", 3, "tcp")
    listen = Listen(2, 0, 0, 10, "tcp-1", 3, "tcp", "127.0.0.1:8080", 5)
    lines = talk.drawn([talk.call(1, 1, socket, client=True), talk.call(2, 1, listen)])
    assert [line.rpartition("│")[2].split()[0] for line in lines] == ["socket()", "listen()"]


def test_only_what_is_alike_is_called_by_its_log(talk: Any) -> None:
    """By the label alone, or with it, if the log has more than one of them."""
    strands = [
        talk.strand(number, 5000 + number, (name, ""))
        for number, name in enumerate(["a:tcp-1", "b:tcp-1", "a:tcp-2", "b:tcp-2", "c:tcp-3", "d:tcp-1"])
    ]
    entries = [talk.send(n, 0, n, 0, b"x", it) for n, it in enumerate(strands)]
    assert list(known(entries, []).names.values()) == [
        "a:tcp-1",
        "b:tcp-1",
        "a:tcp-2",
        "b:tcp-2",
        "tcp-3",
        "d",
    ]


def test_connections_that_take_turns_later_are_named_again(talk: Any) -> None:
    """There is no column for their names: whose the rows are is said whenever that changes."""
    one, two = talk.strand(), talk.strand(1, 5001, ("tcp-2", "tcp-2"))
    ahead = [talk.send(n, 0, n, n, b"x", one) for n in range(4096)]
    turns = [talk.send(5000 + n, 0, n, n, b"x", (one, two)[n % 2]) for n in range(1, 4)]
    lines = talk.drawn([*ahead, *turns])
    assert [line.split()[0] for line in lines[-6:]] == ["tcp-2", "5.001", "tcp-1", "5.002", "tcp-2", "5.003"]


def test_calls_of_a_stream_that_say_more(talk: Any) -> None:
    """A Unix client's pid, who still waits, what a send found, and what the kernel said of it."""
    it = talk.strand(captured=False)
    accept = Accept(1, 0, 1, 10, "listen-1", "tcp-1", 7, "", "x", 2, waited=20 * MS, pid=12)
    nobody = Accept(2, 0, 1, 10, "listen-1", errno="EMFILE")
    info = TcpInfo(3, 0, 0, "tcp-1", "send", "ESTABLISHED", rtt=35_000)
    lines = talk.drawn(
        [talk.call(1, 1, accept, it), talk.call(2, 1, nobody), talk.call(3, 1, info, it)], 200, packets=False
    )
    text = "\n".join(lines)
    assert "accept() → tcp-1  waited 20.0 ms in the queue  2 still wait  from pid 12" in text
    assert "accept() EMFILE" in text
    assert "tcp_info  rtt 35.0 µs" in text


def test_a_state_is_not_put_beside_a_call_that_cannot_change_it(talk: Any) -> None:
    """A server's close that takes long is told of when it returns; what it did to the state stands before."""
    it = talk.strand()
    watch = Interest(1, 0, 1, "tcp-1", None, "READ", "", "eof")
    entries = [
        talk.call(10, 1, watch, it),
        KernelEntry(20 * US, "state", False, it, "CLOSE-WAIT", "LAST-ACK"),
        talk.packet(30, it, 1, client=False, flags=17, cause=(1, 2, "close")),
        KernelEntry(40 * US, "send_reset", False, it, detail="NOT_SPECIFIED"),
    ]
    lines = talk.drawn(entries, 100, kernel=True)[1:]
    assert "LAST-ACK" not in lines[0]
    assert "FIN ACK" in lines[1]
    assert "close() …  LAST-ACK" in lines[1]
    assert "kernel: send reset  NOT_SPECIFIED" in lines[2]


def test_a_connect_returns_beside_the_ack_whatever_the_server_did_meanwhile(talk: Any) -> None:
    """The kernel tells of two states of the server's at once."""
    it = talk.strand()
    entries = talk.conversation(it)[:4]
    entries += [
        KernelEntry(161 * US, "state", False, it, "LISTEN", "SYN-RECEIVED"),
        KernelEntry(162 * US, "state", False, it, "SYN-RECEIVED", "ESTABLISHED"),
    ]
    lines = talk.drawn(entries, 100, kernel=True)
    assert [line.split()[1] for line in lines[3:]] == ["=", "│"]
    assert "SYN-RECEIVED" in lines[3]
    assert "ESTABLISHED" in lines[4]


def test_unread_bytes_and_half_closes_are_told_as_in_the_ladder(talk: Any) -> None:
    """Who said that it reads no more is not told that the other side has finished."""
    it = talk.strand()
    deaf = Shutdown(1, 0, 0, 10, "tcp-1", 3, "SHUT_RD")
    nothing = Recv(2, 0, 0, 10, "tcp-1", 3, 9, 0, (0, 0))
    close = Close(3, 0, 0, 10, 3, "close", "tcp-1", unread=6)
    lines = talk.drawn([talk.call(n, 1, it_, it) for n, it_ in enumerate([deaf, nothing, close])], 140)
    assert "shutdown(SHUT_RD)" in lines[1]
    assert "recv() = 0  we read no more" in lines[2]
    assert "close()  6 B never read" in lines[3]


def test_of_an_address_that_is_in_use_at_least_the_port_is_seen(talk: Any) -> None:
    """What else is there, the place in the program, gives way."""
    event = Bind(1, 0, 0, 10, "tcp-1", 3, "tcp", "127.0.0.1:8081", errno="EADDRINUSE", where="a.py:3")
    entries = [talk.call(1, 1, event)]
    assert "bind() EADDRINUSE  127.0.0.1:8081" in talk.drawn(entries, 140, packets=False)[-1]
    assert "bind() EADDRINUSE  :8081" in talk.drawn(entries, 80, packets=False)[-1]


def test_close_says_nothing_to_a_server_that_was_not_reached(talk: Any) -> None:
    """The connect failed; after one that did not, the FIN is drawn."""
    it = talk.strand(captured=False)
    refused = Connect(1, 0, 0, 10, 3, "tcp-1", None, "a:80", errno="ECONNREFUSED")
    reached = Connect(3, 0, 0, 10, 3, "tcp-1", None, "a:80")
    closes = [Close(n, 0, 0, 10, 3, "close", "tcp-1") for n in (2, 4)]
    calls = [refused, closes[0], reached, closes[1]]
    entries = [talk.call(n, 0, event, it) for n, event in enumerate(calls)]
    lines = talk.drawn(entries, 100, packets=False)
    assert ["FIN" in line for line in lines if "close()" in line] == [False, True]


def test_a_reason_about_a_state_stands_beside_it(talk: Any) -> None:
    """The server's FIN is why the client waits in TIME-WAIT."""
    it = talk.strand()
    fin = talk.packet(
        1, it, 1, client=False, flags=17, before=("FIN-WAIT-2", "CLOSE-WAIT"),
        states=("TIME-WAIT", "LAST-ACK"), reasons=["TIME-WAIT: 60 s", "the end"],
    )  # fmt: skip
    lines = talk.drawn([fin], 120, labels=[])
    assert lines[2].index("╰ TIME-WAIT: 60 s") < lines[1].index("│")
    assert lines[3].index("╰ the end") > lines[1].rindex("│")


def test_a_segment_of_two_sends_waits_for_the_one_that_is_not_told_yet(talk: Any) -> None:
    """Two sends went out together, and the clocks are a little apart."""
    it = talk.strand()
    both = talk.data(1_300, it, 1, 0, b"abcd", cause=(0, 1, "send"))
    both.causes.append(CallRef(0, 2, "send", 2, 4))
    entries = [talk.send(0, 0, 1, 0, b"ab", it, 1), both, talk.send(1_310, 0, 2, 2, b"cd", it, 1)]
    lines = talk.drawn(entries, 120)
    assert 'send() = 2  [0,2)  "ab"' in lines[1]
    assert 'send() = 2  [2,4)  "cd"' in lines[2]
    assert "4 B  [0,4) " in lines[2]


def test_an_accept_that_finds_nobody_is_no_row(talk: Any) -> None:
    """A loop's accept asks until nobody waits."""
    entries = [
        talk.call(1, 1, Accept(1, 0, 1, 10, "listen-1", errno="EAGAIN")),
        talk.call(2, 1, Accept(2, 0, 1, 10, "listen-1", errno="EMFILE")),
    ]
    assert len(talk.drawn(entries)) == 1


def test_what_is_watched_and_why(talk: Any) -> None:
    """What was watched before, only if it was anything."""
    first = Interest(1, 0, 1, "tcp-1", None, "nothing", "READ", "it was accepted")
    more = Interest(2, 0, 1, "tcp-1", None, "READ", "READ|WRITE", "the buffer is not empty")
    lines = talk.drawn([talk.call(1, 1, first, talk.strand()), talk.call(2, 1, more, talk.strand())], 160)
    assert lines[1].endswith("watch READ  it was accepted")
    assert lines[2].endswith("watch READ|WRITE  the buffer is not empty  was READ")


GENERAL = "the client closed first, and so waits in TIME-WAIT: 60 s on Linux"


def many(talk: Any, number: int = 5) -> list[Any]:
    """Connections that end alike."""
    them = [talk.strand(at, 5000 + at, (f"tcp-{at}", f"tcp-{at}")) for at in range(number)]
    return [
        talk.packet(
            100 * at + 10 * last, it, 2 * at + last + 1, flags=ACK, ack=1, reasons=[GENERAL, f"of {at}"]
        )
        for at, it in enumerate(them)
        for last in (0, 1)
    ]


def test_what_is_true_of_every_connection_is_said_of_the_first(talk: Any) -> None:
    """And so it is of the one that is asked for alone; what is of one is said of each."""
    entries = many(talk)
    said = "\n".join(talk.drawn(entries, width=160))
    assert (said.count("TIME-WAIT"), said.count("╰ of ")) == (2, 10)
    assert "\n".join(talk.drawn(entries[4:6], width=160)).count("TIME-WAIT") == 2


def test_a_panel_remembers_what_it_has_said(talk: Any) -> None:
    """Also when the first connection has gone up and away."""
    entries = many(talk, 40)
    panel = TimelinePanel(["client", "server"], entries[:2], most=16)
    assert sum("TIME-WAIT" in "".join(it.text for it in line) for line in panel.lines(160, 50)) == 2
    for entry in entries[2:]:
        panel.append(entry)
    for _ in range(2):
        drawn = ["".join(it.text for it in line) for line in panel.lines(160, 50)]
        assert any("of 39" in line for line in drawn)
        assert not any("TIME-WAIT" in line for line in drawn)
