"""The states of sockets, where the kernel does not tell all."""

from __future__ import annotations

from itertools import pairwise

from evloop_trace.states.lifelines import lifelines
from evloop_trace.states.schema import Lost, ReceiveReset, Retransmit, SendReset, Transition

A, B = "127.0.0.1:5", "127.0.0.1:80"


def moves(t, sock, *words, local=A, peer=B):
    """A socket's transitions, one a nanosecond."""
    return [Transition(t + n, local, peer, sock, old, new) for n, (old, new) in enumerate(pairwise(words))]


def told(*events):
    """The sockets' states, each with its time."""
    return [line.states for line in lifelines(sorted(events, key=lambda event: event.t))]


def test_a_socket():
    """What was said of it, from which state it came, and when it came into which."""
    events = moves(10, 1, "LISTEN", "SYN-RECEIVED", "ESTABLISHED")
    (line,) = lifelines([Lost(1, 1), SendReset(5, A, B), *events])
    assert (line.sock, line.local, line.peer, line.begin) == (1, A, B, "LISTEN")
    assert line.events == events
    assert line.states == [(10, "SYN-RECEIVED"), (11, "ESTABLISHED")]


def test_a_socket_that_never_changed():
    """It was heard of, but in which state it is, nobody said."""
    (line,) = lifelines([Retransmit(5, A, B, 1, "ESTABLISHED")])
    assert (line.begin, line.states) == (None, [])


def test_time_wait_of_an_end_that_is_alone():
    """Nothing is known of the other end: that it sent its FIN is the likelier."""
    assert told(*moves(10, 1, "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED")) == [
        [(10, "FIN-WAIT-2"), (11, "TIME-WAIT")],
    ]
    assert told(*moves(10, 1, "CLOSING", "CLOSED")) == [[(10, "TIME-WAIT")]]


def test_time_wait_when_the_other_fin_comes():
    """Before the socket was put away, later, or never."""
    ours = moves(10, 1, "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED")
    for when, states in (
        (5, [(10, "FIN-WAIT-2"), (11, "TIME-WAIT")]),
        (50, [(10, "FIN-WAIT-2"), (50, "TIME-WAIT")]),
    ):
        theirs = moves(when, 2, "CLOSE-WAIT", "LAST-ACK", "CLOSED", local=B, peer=A)
        assert told(*ours, *theirs)[when < 10] == states
    theirs = moves(5, 2, "ESTABLISHED", "CLOSE-WAIT", local=B, peer=A)
    assert told(*ours, *theirs)[1] == [(10, "FIN-WAIT-2")]


def test_the_other_end_is_that_of_this_connection():
    """A later one has the same addresses."""
    ours = moves(10, 1, "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED")
    theirs = moves(5, 2, "CLOSE-WAIT", "LAST-ACK", "CLOSED", local=B, peer=A)
    later = moves(100, 3, "LISTEN", "SYN-RECEIVED", "ESTABLISHED", local=B, peer=A)
    assert told(*ours, *theirs, *later)[1] == [(10, "FIN-WAIT-2"), (11, "TIME-WAIT")]


def test_a_socket_that_is_its_own_other_end():
    """It connected to itself."""
    both = moves(10, 1, "ESTABLISHED", "FIN-WAIT-1", "CLOSING", "CLOSED", local=A, peer=A)
    assert told(*both)[0][-1] == (12, "TIME-WAIT")


def test_a_reset_is_the_end():
    """One that came is told before, one that was sent behind."""
    first, last = moves(10, 1, "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED")
    came = [first, ReceiveReset(10, A, B, 1), last]
    sent = [first, last, SendReset(12, A, B, 1, "CLOSED")]
    for events in (came, sent):
        assert [line.states for line in lifelines(events)] == [[(10, "FIN-WAIT-2"), (11, "CLOSED")]]
    assert told(*moves(10, 1, "LAST-ACK", "CLOSED")) == [[(10, "CLOSED")]]


def test_it_was_all_that_is_known():
    """A recording may begin in FIN-WAIT-2."""
    assert told(*moves(10, 1, "FIN-WAIT-2", "CLOSED")) == [[(10, "TIME-WAIT")]]
