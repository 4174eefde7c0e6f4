"""A log that is not what the server did is found out at the very event; and no log brings the rerun down."""

from __future__ import annotations

import contextlib
import io
import socket

import click
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evloop.cli_serve import serve
from evloop.errors import LogError
from evloop.events.reader import read_blocks
from evloop.events.schema import (
    Accept,
    Close,
    Cut,
    Gap,
    Inherit,
    Interest,
    Limit,
    Listen,
    Poll,
    Prepare,
    Queue,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Signal,
    Slow,
    TcpInfo,
    Timer,
)
from evloop.events.sinks import encode
from evloop.rerun import rerun
from evloop.rerun.run import _LIMITS

KINDS = (
    Listen,
    Accept,
    Interest,
    Prepare,
    Poll,
    Recv,
    Send,
    Recvfrom,
    Sendto,
    Limit,
    Timer,
    TcpInfo,
    Signal,
    Close,
)


@pytest.fixture(scope="module")
def whole(request):
    """A run that has events of every kind."""
    make = request.getfixturevalue("make_recorded")
    run = make(max_connections=2, idle_timeout=5.0, sample=1.0)
    tcp, udp = run.tcp(), run.udp()
    run.begin()
    first, second = run.client(tcp), run.client(tcp)
    assert run.exchange(first, b"hello") == b"HELLO"
    assert run.exchange(second, b"la") == b"LA"
    run.until(lambda: run.events(Limit))
    run.client(udp, socket.SOCK_DGRAM).send(b"card")
    run.until(lambda: run.events(Sendto))
    run.kernel.pass_time(1.5)
    run.until(lambda: run.events(Timer))
    first.close()
    run.until(lambda: run.events(Close))
    run.kernel.pass_time(6)
    run.until(lambda: run.events(Close, reason="idle-timeout"))
    events = run.end()
    assert not {kind.__name__ for kind in KINDS} - {type(event).__name__ for event in events}
    return encode(events)


@pytest.fixture
def log(whole):
    """Its events, to be altered."""
    return [item for block in read_blocks(io.BytesIO(whole), "log")[1] for item in block.items]


def at(outcome):
    """Where the rerun parted from the log."""
    assert outcome.difference is not None
    return outcome.events


def test_an_event_that_is_missing(log, again):
    """Each of them, one after the other; those behind it have other numbers, so that none seems to be gone.

    What TCP would not say the kernel would not: the end, which counts the events, tells of that.
    """
    for number in range(1, len(log) - 1):
        behind = [msgspec.structs.replace(event, seq=event.seq - 1) for event in log[number + 1 :]]
        found = at(again([*log[:number], *behind]))
        assert found == (len(log) - 2 if isinstance(log[number], TcpInfo) else number)
    assert again(log[:-1]).difference is None
    assert not again(log[:-1]).ended


def test_two_that_are_exchanged(log, again):
    """With their numbers, so that these are in order."""
    for number in range(1, len(log) - 2):
        one, other = log[number : number + 2]
        swapped = [msgspec.structs.replace(other, seq=one.seq), msgspec.structs.replace(one, seq=other.seq)]
        if type(one) is not type(other):
            assert at(again([*log[:number], *swapped, *log[number + 2 :]])) <= number + 1


def test_an_event_twice(log, again):
    """Each of them."""
    for number in range(1, len(log)):
        assert at(again([*log[: number + 1], *log[number:]])) == number + 1


# The kernel's word, which is taken from the log: at most what follows from it elsewhere is found.
TAKEN = {
    "t", "dur", "fd", "peer", "local", "address", "waited", "pid", "unread", "unsent", "queued", "ready",
    "signal", "data", "n", "off", "truncated", "timeout", "lost",
}  # fmt: skip
# Of what TCP says all is the kernel's, but whom it is of; and the backlog of a queue is its limit.
OWN = {TcpInfo: {"seq", "tick", "conn", "why"}, Queue: {"seq", "tick", "sock"}}


OTHER = {(Close, "reason"): "exit", (TcpInfo, "why"): "send"}  # not every word is one of theirs


def changed(value):
    """Another of its kind."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
        case bytes():
            return value + b"x"
        case list():
            return []
        case tuple():
            return (value[0], value[1] + 1)
    return None


def test_a_field_that_is_another(log, again):
    """Of every event whatever the server has decided: the number, the turn, the names, sizes and reasons."""
    found = 0
    for number, event in enumerate(log[1:], 1):
        for field in set(OWN.get(type(event), event.__struct_fields__)) - TAKEN:
            value = getattr(event, field)
            new = OTHER.get((type(event), field)) or (value - 1 if field == "seq" else changed(value))
            if new is None or (field == "errno" and event.errno):
                continue
            altered = msgspec.structs.replace(event, **{field: new})
            assert at(again([*log[:number], altered, *log[number + 1 :]])) == number, altered
            found += 1
    assert found > 300


def test_both_are_shown(log, again):
    """A byte that is another: the log's event, the rerun's, and those before."""
    number = next(i for i, event in enumerate(log) if isinstance(event, Send))
    log[number] = msgspec.structs.replace(log[number], data=b"HELLo")
    difference = again(log).difference
    assert difference.logged == log[number]
    assert (difference.rerun.data, difference.rerun.seq) == (b"HELLO", log[number].seq)
    assert difference.before == log[number - 5 : number]


def test_a_byte_that_was_received(log, again):
    """It is found where it is sent on."""
    number = next(i for i, event in enumerate(log) if isinstance(event, Recv))
    log[number] = msgspec.structs.replace(log[number], data=b"jello")
    difference = again(log).difference
    assert (difference.logged.data, difference.rerun.data) == (b"HELLO", b"JELLO")


def test_a_call_that_the_log_has_not(log, again):
    """What was called instead is said in words."""
    number = next(i for i, event in enumerate(log) if isinstance(event, Recv))
    name = log[number].conn
    log[number] = msgspec.structs.replace(log[number], conn="tcp-9")
    assert again(log).difference.rerun == f"recv(65536) on {name}"


def test_another_interest(log, again):
    """What the selector was asked to watch for."""
    number = next(i for i, event in enumerate(log) if isinstance(event, Interest))
    log[number] = msgspec.structs.replace(log[number], new="READ|WRITE")
    assert at(again(log)) == number


def test_sleeps(log, again):
    """A time-out is the deadline less a reading of the clock between the last event and the poll."""
    number = next(i for i, event in enumerate(log) if isinstance(event, Poll) and event.timeout)
    event, before = log[number], log[number - 1]
    deadline = [prepare.until for prepare in log[:number] if isinstance(prepare, Prepare)][-1]
    shortest, longest = deadline - event.t, deadline - before.t - getattr(before, "dur", 0)
    assert shortest <= event.timeout <= longest
    others = (shortest - 1, longest + 1, 0, None)
    for timeout, same in [(shortest, True), (longest, True), *((other, False) for other in others)]:
        log[number] = msgspec.structs.replace(event, timeout=timeout)
        outcome = again(log)
        assert (outcome.difference is None) == same, timeout
        assert same or outcome.events == number


def test_behind_the_end(log, again):
    """A log that goes on behind its end."""
    outcome = again([*log, Timer(log[-1].seq + 1, log[-1].t, 0, "late", 0)])
    assert outcome.difference.rerun == "the server has ended"


def test_a_slow_turn_that_was_none(log, again):
    """An event that follows from the times of the others."""
    number = next(i for i, event in enumerate(log) if isinstance(event, Poll) and i > 20)
    slow = Slow(log[number].seq, log[number].t, log[number].tick - 1, 200_000_000, None)
    for event in log[number:]:
        event.seq += 1
    assert at(again([*log[:number], slow, *log[number:]])) == number


# -- what cannot be rerun ------------------------------------------------------------------


def refused(log, again):
    """The sentence."""
    with pytest.raises(LogError) as caught:
        again(log)
    return str(caught.value)


@pytest.mark.parametrize("name", _LIMITS)
def test_whatever_serve_takes_can_be_rerun(name):
    """An option of a server may be in the header what it may be on the command line."""
    (taken,) = (option.type for option in serve.params if option.name == name)
    low, high, fraction = _LIMITS[name]
    assert low <= taken.min
    assert taken.max <= high
    assert fraction == isinstance(taken, click.FloatRange)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "threaded"}, "without --model"),
        ({"model": "run"}, "without --model"),
        ({"mode": "\x1b[31m"}, "mode"),
        ({"bug": "none-such"}, "gallery"),
        ({"options": {"idle_timeout": 1e300}}, "idle_timeout"),
        ({"options": {"backlog": -1}}, "backlog"),
        ({"options": {"recv_size": 1.5}}, "recv_size"),
        ({"options": {"max_connections": 10**30}}, "max_connections"),
        ({"options": {"telepathy": 1}}, "telepathy"),
        ({"options": {"drain_timeout": None}}, "drain_timeout"),
    ],
)
def test_headers_of_others(log, again, fields, words):
    """A server that is none of ours, or cannot have been."""
    log[0] = msgspec.structs.replace(log[0], **fields)
    assert words in refused(log, again)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Gap(5, 0, 0, 3, "the disk is full"), "the disk is full"),
        (Cut(-1, 0, 0, "rotated"), "another file"),
        (Inherit(-1, 0, 0, "tcp-1", 5, "tcp"), "another file"),
    ],
)
def test_logs_that_are_not_whole(log, again, item, words):
    """Events are missing, or in another file: the line is named, and what to do."""
    log.insert(5, item)
    sentence = refused(log, again)
    assert words in sentence
    assert sentence.startswith("line 6 ")


@pytest.mark.parametrize("missing", [1, 2, 7])
def test_events_that_are_missing(log, again, missing):
    """Wherever they are: the numbers tell of it, and no difference is made of what is not there."""
    for number in range(1, len(log) - missing):
        sentence = refused([*log[:number], *log[number + missing :]], again)
        which = f"events {number} to {number + missing - 1} are" if missing > 1 else f"event {number} is"
        assert sentence.startswith(f"{which} missing before line {number + 1}: ")


def test_a_number_that_is_too_high(log, again):
    """As if something were missing, even where the next goes on from the one before."""
    log[9] = msgspec.structs.replace(log[9], seq=11)
    assert refused(log, again).startswith("events 9 to 10 are missing before line 10: ")


def test_a_flight_recorder_that_forgot_nothing(log, again):
    """Its file is whole as far as it goes; no other goes on with it, so that is not said."""
    last = log[20]
    sentence = refused([*log[:21], Cut(-1, last.t, last.tick, "flight recorder: SIGUSR1")], again)
    assert sentence.startswith("line 22 ")
    assert "flight recorder" in sentence
    assert "--ring" in sentence
    assert "another file" not in sentence


def test_two_logs_in_one(log, again):
    """A second header is another server."""
    assert "one log at a time" in refused([*log, *log], again)


def test_payloads_that_are_not_whole(log, again):
    """The event is named, and how to record it."""
    number = next(i for i, event in enumerate(log) if isinstance(event, Recv))
    log[number] = msgspec.structs.replace(log[number], data=b"he")
    assert refused(log, again) == (
        f"event {number} has 2 of its 5 bytes: rerun needs a log that was written with --payload full"
    )


def test_short_payloads_need_not_be_asked_for(log, again):
    """A log with prefixes can be rerun if nothing was longer."""
    log[0] = msgspec.structs.replace(log[0], payload="prefix", payload_max=5)
    assert again(log).difference is None


@pytest.mark.parametrize("cut", [b'{"ev":"recv","seq":', b'{"ev":"po'])
def test_a_torn_end(whole, cut):
    """It is rerun up to there."""
    lines = whole.splitlines(keepends=True)[:30]
    header, blocks = read_blocks(io.BytesIO(b"".join(lines) + cut), "log")
    outcome = rerun(header, blocks)
    assert (outcome.events, outcome.difference, outcome.ended) == (30, None, False)
    assert "torn" in outcome.torn


def test_a_broken_line(whole):
    """Something else than JSON in the middle."""
    lines = whole.splitlines(keepends=True)
    lines[7] = b"{]\n"
    header, blocks = read_blocks(io.BytesIO(b"".join(lines)), "log")
    with pytest.raises(LogError, match="line 8 is not an event"):
        rerun(header, blocks)


def test_an_event_of_a_later_version(whole):
    """What this version does not know it cannot rerun."""
    lines = whole.splitlines(keepends=True)
    lines[7] = b'{"ev":"teleport","seq":7,"t":1,"tick":0}\n'
    header, blocks = read_blocks(io.BytesIO(b"".join(lines)), "log")
    with pytest.raises(LogError, match="another version"):
        rerun(header, blocks)


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70),
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "tcp-1",
            "listen-1",
            "udp-1",
            "EAGAIN",
            "EMFILE",
            "E5",
            "timeout",
            "\x1b[2J",
            "IN",
            "OUT|HUP",
            "@",
        ]
    ),
    st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), max_size=3),
    st.booleans(),
)


@settings(max_examples=100)
@given(data=st.data())
def test_hostile_logs(whole, data):
    """Whatever stands in a line, the rerun ends with a difference or a sentence."""
    lines = [msgspec.json.decode(line) for line in whole.splitlines()]
    for _ in range(data.draw(st.integers(1, 3))):
        line = data.draw(st.sampled_from(lines[data.draw(st.integers(0, 1)) :]))
        line[data.draw(st.sampled_from(sorted(line)))] = data.draw(VALUES)
    text = b"\n".join(map(msgspec.json.encode, lines)) + b"\n"
    with contextlib.suppress(LogError):
        header, blocks = read_blocks(io.BytesIO(text), "log")
        outcome = rerun(header, blocks)
        assert 0 < outcome.events <= len(lines)
        assert (outcome.difference is None) == (outcome.events == len(lines))
