"""Connections drawn: at any width, whatever happened in them."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path

import pytest
from evloop_trace.packets.analysis import Analysis
from evloop_trace.packets.capture_file import Capture, read_packets
from evloop_trace.packets.summary import summarize
from evloop_trace.views.cells import width_of
from evloop_trace.views.packets import heading, line, story
from evloop_trace.views.page import render

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


@pytest.fixture(scope="module")
def wire():
    """The packet builders of the analysis' tests."""
    path = Path(__file__).parents[1] / "packets" / "wire.py"
    spec = importlib.util.spec_from_file_location("views_wire", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def read(data, stories=1000):
    """The capture and its analysis."""
    capture, analysis = Capture(), Analysis(stories)
    analysis.feed(read_packets(io.BytesIO(data).read, capture))
    return capture, analysis


def drawn(data, width=80):
    """The stories as text."""
    _, analysis = read(data)
    return render([row for conn in analysis.connections() for row in story(conn, summarize(conn), width)])


def test_a_whole_life(wire):
    """Handshake, data with its offsets, teardown, states where they change, numbers."""
    talk = wire.Talk().opened().c(PSH | ACK, b"hello").s(ACK).s(PSH | ACK, b"hi").s(PSH | ACK, b"ho").c(ACK)
    assert (
        drawn(talk.closed().pcap())
        == """
── tcp 10.0.0.1:40000 → 10.0.0.2:8080  SF ──────────────────────────────────────
opened, 5 B from the client, 4 B from the server, closed by both ends, the
client first
         ms  client                                                 server
      0.000  SYN-SENT    SYN ────────────────────────────────────▶  LISTEN
      1.000  ESTABLISHED ◀──────────────────────────────── SYN ACK  SYN-RECEIVED
      2.000              ACK ────────────────────────────────────▶  ESTABLISHED
      3.000              5 B [0,5) ──────────────────────────────▶
      5.000              ◀───────────────── 4 B [0,4) in 2 packets
      8.000  FIN-WAIT-1  FIN ACK ────────────────────────────────▶  CLOSE-WAIT
      9.000  TIME-WAIT   ◀──────────────────────────────── FIN ACK  LAST-ACK
     10.000              ACK ────────────────────────────────────▶  CLOSED
packets 6 / 5  payload 5 B / 4 B  completeness 31  history ShADadFf
round trips (least, median, most): handshake 2.0 ms; the client's data 1.0 ms;
the server's data 1.0 ms
"""
    )


@pytest.mark.parametrize("width", [10, 60, 80, 120, 300])
def test_no_line_is_too_long(wire, width):
    """Whatever happens, at any width from 60 cells on."""
    capture, analysis = read(wire.pcap(wire.random_talks(3)))
    most = min(max(width, 60), 120)
    for row in heading(capture, len(analysis), "x\x1b[31m" * 30, width):
        assert width_of(row) <= most
        assert all(part.text.isprintable() for part in row)
    for conn in analysis.connections():
        summary = summarize(conn)
        for row in [*story(conn, summary, width), line(summary, width)]:
            assert width_of(row) <= most


def test_a_long_story_is_folded(wire):
    """The first lines and the last are there."""
    talk = wire.Talk().opened()
    for _ in range(50):
        talk.c(PSH | ACK, b"x").s(PSH | ACK, b"y")
    text = drawn(talk.closed().pcap())
    assert "┄┄┄  70 more lines are left out" in text
    assert "FIN ACK" in text
    assert text.count("\n") < 50


def test_a_very_long_run_of_data(wire, monkeypatch):
    """Behind thousands of packets data is only counted; the end is told all the same."""
    monkeypatch.setattr("evloop_trace.packets.stories._DATA", 20)
    talk = wire.Talk().opened()
    for _ in range(100):
        talk.c(PSH | ACK, b"x").s(ACK)
    text = drawn(talk.closed().pcap())
    assert "19 B [0,19) in 19 packets" in text
    assert "packets 104 / 102  payload 100 B / 0 B" in text
    assert "FIN ACK" in text


def test_datagrams_and_lines(wire):
    """UDP has no states and no history to show; IPv6 addresses have brackets."""
    ask = wire.ethernet(wire.ipv6("::1", "fe80::2", 17, wire.udp(5000, 9000, b"ask")))
    data = wire.pcap([(wire.START, ask), (wire.START + 10**6, ask)])
    text = drawn(data)
    assert "── udp [::1]:5000 → [fe80::2]:9000  S0 ─" in text
    assert "6 B [0,6) in 2 packets" in text
    assert "completeness" not in text
    _, analysis = read(data, stories=0)
    (summary,) = map(summarize, analysis.connections())
    assert render([line(summary, 80)]) == "udp [::1]:5000 → [fe80::2]:9000  S0  2 datagrams, no answer\n"


def test_comments_and_colour(wire):
    """A capture's comments stand above, escaped; colour only if it is asked for."""
    options = wire.option(1, b"look \x1b[2J here")
    data = wire.section() + wire.interface() + wire.enhanced(1, b"x" * 20, options=options)
    capture, analysis = read(data)
    rows = heading(capture, len(analysis), "it", 80)
    assert render(rows) == "it: pcapng, 1 packet, 0 connections\ncomment on packet 1: look \\x1b[2J here\n"
    assert "\x1b[" in render(rows, colour=True)
    head = wire.section(options=wire.option(1, b"whole")) + wire.interface()
    assert "comment on the file: whole" in render(heading(read(head)[0], 0, "it", 80))
