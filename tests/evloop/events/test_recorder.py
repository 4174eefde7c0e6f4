"""Events are numbered and handed on; a sink that fails is let go, and the clocks are told again."""

from __future__ import annotations

import sys
import threading
from collections import deque

import pytest

from evloop.events import recorder as module
from evloop.events.recorder import CLOCK_EVERY, DirectRecorder, Recorder, read_clocks
from evloop.events.schema import Clock, End, Gap, Header, Recv, Signal
from evloop.events.sinks import MemorySink, encode


class BrokenSink(MemorySink):
    """Raises whatever it is given."""

    def write(self, block, events):
        """Fail."""
        raise RuntimeError("no more")


def record(recorder, t) -> None:
    """Something that happened at a time."""
    recorder.append(Signal(recorder.next_seq(), t, recorder.tick, "SIGINT"))


def test_a_broken_sink_is_let_go(header):
    """It is reported once and asked no more; the others get everything."""
    broken, whole, said = BrokenSink(), MemorySink(), []
    recorder = Recorder(header(), lambda sink, error: said.append((sink, str(error))))
    recorder.sinks += [broken, whole]
    for t in (1, 2):
        record(recorder, t)
        recorder.flush()
    assert said == [(broken, "no more")]
    assert [event.seq for event in whole.events] == [0, 1, 2]


def test_the_clocks_are_told_again(header):
    """Once in ten seconds of events, and not more often."""
    sink, recorder = MemorySink(), Recorder(header(), lambda _sink, _error: None)
    recorder.sinks.append(sink)
    for t in (1, CLOCK_EVERY - 1, CLOCK_EVERY, CLOCK_EVERY + 1):
        record(recorder, t)
        recorder.flush()
    kinds = [type(event) for event in sink.events]
    assert kinds == [Header, Signal, Signal, Signal, Clock, Signal]
    assert [event.seq for event in sink.events] == list(range(6))


def test_what_a_clock_says(header):
    """Both clocks, the monotonic one as a `t` too, and how far they may be apart."""
    sink, recorder = MemorySink(), Recorder(header(mono_ns=100), lambda _sink, _error: None)
    recorder.clocks = lambda: (130, 7, 2)
    recorder.sinks.append(sink)
    recorder.tick = 4
    record(recorder, CLOCK_EVERY)
    recorder.flush()
    assert sink.events[-1] == Clock(2, 30, 4, 130, 7, 2)


def test_nothing_to_hand_on(header):
    """A flush of nothing writes nothing."""
    sink, recorder = MemorySink(), Recorder(header(), lambda _sink, _error: None)
    recorder.flush()
    recorder.sinks.append(sink)
    recorder.flush()
    assert sink.events == []


def test_the_last_line(header):
    """It says why it ended, how many events there were, and what this sink has lost."""
    sink, recorder = MemorySink(), Recorder(header(), lambda _sink, _error: None)
    recorder.sinks.append(sink)
    sink.lost = 7
    record(recorder, 1)
    recorder.reason = "SIGINT"
    recorder.close(5)
    assert sink.events[-1] == End(2, 5, 0, "SIGINT", 3, 7)
    assert recorder.sinks == []


def test_the_clocks_are_read_together():
    """The two readings are as close as the bracket says, and the bracket is small."""
    mono_ns, wall_ns, bracket_ns = read_clocks()
    assert 0 <= bracket_ns < 1_000_000_000
    assert mono_ns > 0
    assert wall_ns > 1_500_000_000 * 10**9


def test_the_closest_of_five_readings(monkeypatch):
    """Of two that are equally close the first; the monotonic time is the middle of its two."""
    monotonic = iter([0, 10, 20, 25, 30, 36, 40, 45, 50, 59])
    wall = iter([1000, 2000, 3000, 4000, 5000])
    monkeypatch.setattr(module, "_monotonic_ns", monotonic.__next__)
    monkeypatch.setattr(module, "_wall_ns", wall.__next__)
    middle, *others = read_clocks()
    assert (middle, others) == (22, [2000, 5])
    assert isinstance(middle, int)
    assert list(monotonic) == list(wall) == []


class LastLineSink(MemorySink):
    """Raises for the last line, or when it is closed."""

    def __init__(self, *, fails_at):
        super().__init__()
        self.fails_at = fails_at
        self.closed = 0

    def write(self, block, events):
        """Fail at the end."""
        super().write(block, events)
        if self.fails_at == "write" and isinstance(events[-1], End):
            raise RuntimeError("no last line")

    def close(self):
        """Count."""
        self.closed += 1
        if self.fails_at == "close":
            raise RuntimeError("no end")


def test_a_sink_that_fails_at_the_end(header):
    """The others get their last line and are closed all the same; so is this one."""
    for fails_at in ("write", "close"):
        said = []
        recorder = Recorder(header(), lambda sink, error, said=said: said.append((sink, str(error))))
        broken, whole = LastLineSink(fails_at=fails_at), LastLineSink(fails_at="")
        recorder.sinks += [broken, whole]
        recorder.close(5)
        assert isinstance(whole.events[-1], End)
        assert (broken.closed, whole.closed) == (1, 1)
        assert said == [(broken, {"write": "no last line", "close": "no end"}[fails_at])]


def test_a_broken_sink_is_closed(header):
    """What it has open is given back, even if that fails too."""
    broken, recorder = BrokenSink(), Recorder(header(), lambda _sink, _error: None)
    closes = []

    def close():
        closes.append(1)
        raise RuntimeError("again")

    broken.close = close
    recorder.sinks.append(broken)
    recorder.flush()
    recorder.flush()
    assert closes == [1]
    assert recorder.sinks == []


class Slow(MemorySink):
    """Does something while it is written to."""

    def __init__(self, meanwhile=lambda: None):
        super().__init__()
        self.meanwhile = meanwhile

    def write(self, block, events):
        """Keep, after what happens meanwhile."""
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        super().write(block, events)


def numbers(sink):
    """What each event is and its number."""
    return [(type(event).__name__, event.seq) for event in sink.events]


def test_each_event_at_once(header):
    """Numbered, and written before `record` returns."""
    sink = MemorySink()
    recorder = DirectRecorder(header(), sink)
    assert numbers(sink) == [("Header", 0)]
    recorder.record(Signal(0, 1, 0, "SIGINT"))
    assert numbers(sink)[1:] == [("Signal", 1)]
    assert recorder.clock() >= 0


def test_recording_while_recording(header):
    """A signal's handler runs in the middle: its event follows, and nobody waits for themselves."""
    sink = Slow()
    recorder = DirectRecorder(header(), sink)
    sink.meanwhile = lambda: recorder.record(Signal(0, 2, 0, "SIGTERM"))
    recorder.record(Signal(0, 1, 0, "SIGINT"))
    assert [(event.seq, event.signal) for event in sink.events[1:]] == [(1, "SIGINT"), (2, "SIGTERM")]


def test_threads_that_record_at_once(header):
    """No event is lost, none written twice."""
    sink = MemorySink()
    recorder = DirectRecorder(header(), sink)

    def work(name):
        for t in range(500):
            recorder.record(Signal(0, t, 0, name))

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert [event.seq for event in sink.events] == list(range(2001))
    for name in "0123":
        assert [event.t for event in sink.events[1:] if event.signal == name] == list(range(500))


def test_the_clocks_are_told_again_by_a_direct_recorder(header):
    """Once in ten seconds."""
    sink = MemorySink()
    recorder = DirectRecorder(header(), sink)
    for t in (1, CLOCK_EVERY, CLOCK_EVERY + 1):
        recorder.record(Signal(0, t, 0, "SIGINT"))
    assert [type(event) for event in sink.events] == [Header, Signal, Signal, Clock, Signal]
    assert [event.seq for event in sink.events] == list(range(5))


def test_what_a_clock_of_a_direct_recorder_says(header, monkeypatch):
    """As that of the other one."""
    monkeypatch.setattr(module, "read_clocks", lambda: (130, 7, 2))
    first = header(mono_ns=100)
    sink = MemorySink()
    recorder = DirectRecorder(first, sink)
    assert (recorder.header, recorder.tick) == (first, 0)
    recorder.tick = 4
    recorder.record(Signal(0, CLOCK_EVERY, 0, "SIGINT"))
    assert sink.events[-1] == Clock(2, 30, 4, 130, 7, 2)


class Lines(MemorySink):
    """Keeps the lines, too."""

    def __init__(self):
        super().__init__()
        self.text = b""

    def write(self, block, events):
        """Keep both."""
        super().write(block, events)
        self.text += block


def test_lines_for_who_wants_them(header):
    """Each sink is given the events, and their lines if one of them wants any, the last line always."""
    for wants in (True, False):
        first, sink = header(), Lines()
        sink.wants_lines = wants
        recorder = Recorder(first, lambda _sink, _error: None)
        assert recorder.header is first
        recorder.sinks += [sink, MemorySink()]
        record(recorder, 1)
        recorder.close(5)
        assert sink.text == encode(sink.events if wants else sink.events[-1:])
        assert sink.events[-1].reason == "stopped"


def test_the_lines_are_the_events(header):
    """Each line is that of its event, of one that stands for another too."""
    sink = Lines()
    recorder = DirectRecorder(header(), sink)
    recorder.tick = 3
    recorder.record(Signal(0, 1, 0, "SIGINT"))
    recorder.record(Signal(0, 8, 3, "\udcff"))
    recorder.close("exit")
    assert sink.text == encode(sink.events)
    assert sink.events[-1].tick == 3


class Reminded(deque):
    """Looks as if something were in it, which another thread has just taken out."""

    def __bool__(self):
        return True


def test_what_had_to_wait_for_the_event(header):
    """It is called when the event is written, once, and in the main thread only."""
    sink = MemorySink()
    recorder = DirectRecorder(header(), sink)
    seen = []
    recorder.interrupts.append(lambda: seen.append(len(sink.events)))
    thread = threading.Thread(target=recorder.record, args=(Signal(0, 1, 0, "SIGINT"),))
    thread.start()
    thread.join()
    assert seen == []
    for t in (2, 3):
        recorder.record(Signal(0, t, 0, "SIGINT"))
    assert seen == [3]
    recorder.interrupts = Reminded()
    recorder.record(Signal(0, 4, 0, "SIGINT"))
    assert [event.seq for event in sink.events] == list(range(5))


def test_nothing_after_the_end(header):
    """Threads may go on for a moment when the program ends."""
    sink = MemorySink()
    recorder = DirectRecorder(header(), sink)
    recorder.record(Signal(0, 1, 0, "SIGINT"))
    recorder.close("exit")
    recorder.record(Signal(0, 2, 0, "SIGINT"))
    assert numbers(sink) == [("Header", 0), ("Signal", 1), ("End", 2)]
    assert (sink.events[-1].reason, sink.events[-1].events) == ("exit", 3)


class Index:
    """Is taken for a number by the system's calls, and by no encoder."""


def test_what_cannot_be_encoded(header):
    """A gap stands for it, with its number; the program does not hear of it."""
    sink = MemorySink()
    recorder = DirectRecorder(header(), sink)
    recorder.record(Recv(0, 7, 3, 0, "tcp-1", 3, Index()))
    recorder.record(Signal(0, 8, 3, "\udcff"))
    recorder.record(Signal(0, 9, 3, "SIGINT"))
    recorder.close("exit")
    assert numbers(sink)[1:] == [("Gap", 1), ("Gap", 2), ("Signal", 3), ("End", 4)]
    gap = sink.events[1]
    assert isinstance(gap, Gap)
    assert (gap.t, gap.tick, gap.lost) == (7, 3, 1)
    assert [it.reason for it in sink.events[1:3]] == [
        "an event (recv) could not be written: TypeError",
        "an event (signal) could not be written: UnicodeEncodeError",
    ]
    assert (sink.events[-1].events, sink.events[-1].lost) == (5, 2)


class Handler(MemorySink):
    """A signal's handler raises while this is written to, when it is told to."""

    raises = False

    def write(self, block, events):
        """Keep, and raise."""
        super().write(block, events)
        if self.raises:
            raise KeyError("of the program")


def test_a_handler_that_raises(header):
    """The program gets its exception, and no number is there twice."""
    sink = Handler()
    recorder = DirectRecorder(header(), sink)
    sink.raises = True
    with pytest.raises(KeyError):
        recorder.record(Signal(0, 1, 0, "SIGINT"))
    sink.raises = False
    recorder.record(Signal(0, 2, 0, "SIGINT"))
    assert [event.seq for event in sink.events] == [0, 1, 2]


def test_a_handler_that_raises_while_an_event_is_encoded(header, monkeypatch):
    """It is the program's exception, whatever it is: that event is lost, and its number is missing."""
    handlers = [1]

    def raises(event):
        if handlers:
            handlers.pop()
            raise ValueError("of the program")
        return encode([event])

    sink = MemorySink()
    recorder = DirectRecorder(header(), sink)
    with monkeypatch.context() as patched:
        patched.setattr("evloop.events.recorder.encode_line", raises)
        with pytest.raises(ValueError, match="of the program"):
            recorder.record(Signal(0, 1, 0, "SIGINT"))
    recorder.record(Signal(0, 2, 0, "SIGINT"))
    assert [event.seq for event in sink.events] == [0, 2]
