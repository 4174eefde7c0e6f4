"""The states of both ends by RFC 9293, and Zeek's words for how it went."""

from __future__ import annotations

import pytest
from evloop_trace.packets import machine

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
STATES = {
    "CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT",
    "CLOSING", "LAST-ACK", "TIME-WAIT", "?",
}  # fmt: skip

C, S = 0, 1


def states(look, talk):
    """Both ends' states behind each segment that changes one."""
    conn = next(look(talk.pcap(), stories=1).analysis.connections())
    return [mark.states for mark in conn.marks if mark.changed]


def test_the_table_is_whole():
    """It leads from states there are to states there are, and each can be reached and left."""
    assert {state for state, _ in machine.TRANSITIONS} | set(machine.TRANSITIONS.values()) == STATES
    assert set(machine.TRANSITIONS.values()) == STATES - {"LISTEN", "?"}
    assert machine.TRANSITIONS.keys() >= machine.ASSUMED
    assert machine.after("ESTABLISHED", "snd SYN") == "ESTABLISHED"


def test_a_whole_life(wire, look):
    """Opened, closed by the client first."""
    talk = wire.Talk().opened().c(FIN | ACK).s(ACK).s(FIN | ACK).c(ACK)
    assert states(look, talk) == [
        ("SYN-SENT", "LISTEN"),
        ("ESTABLISHED", "SYN-RECEIVED"),
        ("ESTABLISHED", "ESTABLISHED"),
        ("FIN-WAIT-1", "CLOSE-WAIT"),
        ("FIN-WAIT-2", "CLOSE-WAIT"),
        ("TIME-WAIT", "LAST-ACK"),
        ("TIME-WAIT", "CLOSED"),
    ]


def test_closed_in_three(wire, look):
    """The server's FIN acknowledges the client's."""
    assert states(look, wire.Talk().opened().closed())[3:] == [
        ("FIN-WAIT-1", "CLOSE-WAIT"),
        ("TIME-WAIT", "LAST-ACK"),
        ("TIME-WAIT", "CLOSED"),
    ]


def test_simultaneous_close(wire, look):
    """Two FINs that cross: neither acknowledges the other."""
    talk = wire.Talk().opened().c(FIN | ACK).s(FIN | ACK, ack=1001).c(ACK).s(ACK)
    assert states(look, talk)[3:] == [
        ("FIN-WAIT-1", "CLOSE-WAIT"),
        ("CLOSING", "CLOSING"),
        ("CLOSING", "TIME-WAIT"),
        ("TIME-WAIT", "TIME-WAIT"),
    ]
    only = look(talk.pcap()).only
    assert only.conn_state == "SF"
    assert only.verdict == "opened, no data, closed by both ends at once"


def test_simultaneous_open(wire, look):
    """Two SYNs that cross."""
    talk = wire.Talk().c(SYN).s(SYN).c(SYN | ACK, seq=1000).s(SYN | ACK, seq=5000)
    assert states(look, talk) == [
        ("SYN-SENT", "LISTEN"),
        ("SYN-RECEIVED", "SYN-RECEIVED"),
        ("SYN-RECEIVED", "ESTABLISHED"),
        ("ESTABLISHED", "ESTABLISHED"),
    ]


def test_begun_before_the_capture(wire, look):
    """Who talks is taken for established."""
    talk = wire.Talk().c(PSH | ACK, b"x").s(ACK).s(FIN | ACK)
    assert states(look, talk) == [("ESTABLISHED", "ESTABLISHED"), ("CLOSE-WAIT", "FIN-WAIT-1")]
    assert states(look, wire.Talk().s(SYN | ACK).c(ACK)) == [
        ("ESTABLISHED", "SYN-RECEIVED"),
        ("ESTABLISHED", "ESTABLISHED"),
    ]


def words(wire, *segments):
    """A connection of these segments: who, flags, and what else."""
    talk = wire.Talk()
    for who, flags, *rest in segments:
        talk.send(who, flags, *(rest[:1] or [b""]), **(rest[1] if len(rest) > 1 else {}))
    return talk


HAND = [(C, SYN), (S, SYN | ACK), (C, ACK)]
DATA = [(C, PSH | ACK, b"12345"), (S, ACK)]


@pytest.mark.parametrize(
    ("segments", "state", "history"),
    [
        ([(C, SYN)], "S0", "S"),
        ([*HAND, *DATA], "S1", "ShADa"),
        ([*HAND, (C, FIN | ACK), (S, FIN | ACK), (C, ACK)], "SF", "ShAFf"),
        ([(C, SYN), (S, RST | ACK)], "REJ", "Sr"),
        ([*HAND, (C, FIN | ACK), (S, ACK)], "S2", "ShAFa"),
        ([*HAND, (S, FIN | ACK), (C, ACK)], "S3", "ShAf"),
        ([*HAND, *DATA, (C, RST | ACK)], "RSTO", "ShADaR"),
        ([*HAND, *DATA, (S, RST | ACK)], "RSTR", "ShADar"),
        ([(C, SYN), (C, RST)], "RSTOS0", "SR"),
        ([(S, SYN | ACK), (S, RST)], "RSTRH", "^hr"),
        ([(C, SYN), (C, FIN)], "SH", "SF"),
        ([(S, SYN | ACK), (S, FIN | ACK)], "SHR", "^hf"),
        ([(C, ACK, b"x"), (S, ACK)], "OTH", "Da"),
        ([(S, ACK, b"x"), (C, ACK)], "OTH", "^dA"),
        ([(C, RST)], "OTH", "R"),
        ([(S, RST)], "RSTRH", "^r"),
        ([(C, FIN | RST)], "OTH", "I"),
        ([(C, SYN | FIN)], "SH", "Q"),
        (
            [(C, SYN), (C, SYN, b"", {"seq": 1000}), (S, SYN | ACK), (S, SYN | ACK, b"", {"seq": 9999})],
            "S1",
            "Sh",
        ),
        ([*HAND, (C, FIN | ACK), (C, FIN | ACK, b"", {"seq": 1001}), (C, FIN | ACK)], "S2", "ShAFF"),
        ([*HAND, *DATA, (C, RST), (C, RST)], "RSTO", "ShADaR"),
        ([*HAND, *DATA, (C, RST), (C, RST, b"", {"seq": 7777})], "RSTO", "ShADaRR"),
        ([*HAND, (C, ACK, b"x", {"window": 0}), (C, ACK, b"x", {"seq": 1001})], "S1", "ShADWT"),
        ([*HAND, (S, FIN | ACK), (S, RST), (C, FIN | ACK)], "SF", "ShAfrF"),
        ([*HAND, (C, FIN | ACK), (S, FIN | ACK), (S, RST)], "SF", "ShAFfr"),
        ([(C, SYN), (S, ACK), (S, SYN | ACK)], "S1", "Sah"),
        ([(C, ACK), (C, SYN, b"", {"seq": 999})], "S0", "AS"),
        ([*HAND, *DATA, (C, RST), (C, ACK, b"late")], "RSTO", "ShADaR"),
        ([(C, SYN), (C, SYN | ACK, b"", {"seq": 2000}), (S, SYN | ACK)], "S1", "Sh"),
        ([(S, SYN | ACK), (C, ACK)], "S1", "^hA"),
        ([(C, SYN), (S, RST, b"", {"seq": 1}), (S, SYN | ACK, b"", {"seq": 8})], "REJ", "Srh"),
        ([*HAND, (C, RST, b"", {"seq": 99_000_000}), (S, RST)], "REJ", "ShARr"),
    ],
)
def test_how_zeek_says_it(wire, look, segments, state, history):
    """Each of its states, and each letter of the history."""
    summary = look(words(wire, *segments).pcap()).summaries[0]
    assert (summary.conn_state, summary.history) == (state, history)


def test_letters_that_count_in_powers_of_ten(wire, look):
    """Retransmissions and zero windows: the 1st, the 10th, the 100th."""
    talk = wire.Talk().opened().c(ACK, b"x")
    for _ in range(100):
        talk.c(ACK, b"x", seq=1001, window=0)
    assert look(talk.pcap()).only.history == "ShADWTWTWT"


def test_who_is_the_client(wire, look):
    """Without a SYN, a well-known port tells; else who is seen first."""
    for sport, dport, flags, flipped in [
        (80, 50000, ACK, True),
        (50000, 80, ACK, False),
        (22, 80, ACK, True),
        (80, 22, ACK, False),
        (50001, 50000, ACK, False),
        (7, 8, SYN | ACK, True),
        (80, 50000, SYN, False),
    ]:
        only = look(wire.Talk(sport, dport).c(flags).pcap()).only
        assert (only.client[1], only.server[1]) == ((dport, sport) if flipped else (sport, dport))
        assert only.history.startswith("^") == flipped
    answer = wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 17, wire.udp(53, 5000, b"x")))
    only = look(wire.pcap([(1, answer)])).only
    assert (only.conn_state, only.history, only.server) == ("SHR", "^d", ("10.0.0.1", 53))
