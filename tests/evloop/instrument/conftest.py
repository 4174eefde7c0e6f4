"""Sockets under the instrument, in this very process, with a recorder that keeps the events."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from evloop.events.recorder import DirectRecorder
from evloop.events.schema import SCHEMA, Header, TcpInfo
from evloop.events.sinks import MemorySink
from evloop.instrument import descriptors
from evloop.instrument.instrument import install
from evloop.instrument.outcome import now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop.events.schema import Event
    from evloop.instrument.instrument import Instrument


class Recorded:
    """What was recorded since the test began, or since it looked last."""

    def __init__(self) -> None:
        header = Header(0, 0, 0, SCHEMA, now(), 0, 0, 1, [], {}, "", "", "prefix", 8)
        self.sink = MemorySink()
        self.infos: list[TcpInfo] = []
        self.instrument: Instrument = install(DirectRecorder(header, self.sink), 8)
        descriptors.patch(self.instrument)
        self.new()

    def new(self) -> list[Event]:
        """The events since the last time; what TCP said is in `infos`."""
        events = list(self.sink.events)
        self.sink.events.clear()
        self.infos = [event for event in events if isinstance(event, TcpInfo)]
        return [event for event in events if not isinstance(event, TcpInfo)]

    def until(self, kind: type) -> None:
        """Wait until there is such an event."""
        deadline = now() + 30_000_000_000
        while not any(isinstance(event, kind) for event in tuple(self.sink.events)):
            assert now() < deadline

    def one(self, kind: type) -> Event:
        """The only event of a kind among the new."""
        (event,) = [event for event in self.new() if isinstance(event, kind)]
        return event


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """The instrument is there for as long as the test runs."""
    recorded = Recorded()
    yield recorded
    recorded.instrument.remove()


@pytest.fixture
def pair(recorded):
    """Two connected TCP sockets, whose making is not among the new events."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    recorded.new()
    with client, server:
        yield client, server


@pytest.fixture
def datagrams(recorded):
    """Two UDP sockets, the first of which is connected to the second."""
    with socket.socket(type=socket.SOCK_DGRAM) as asking, socket.socket(type=socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        asking.connect(bound.getsockname())
        recorded.new()
        yield asking, bound
