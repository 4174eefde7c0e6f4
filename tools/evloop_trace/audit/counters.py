"""The kernel's own counters of a network, before and after, held against a log: RFC 4022, RFC 4113.

They count what everybody in the network does, the server's clients too. So of most one can only say that
the kernel must have counted at least what the log tells.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from evloop.events import schema
from evloop_trace.audit.told import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evloop.events.reader import Item
    from evloop_trace.audit.strace import SystemCall

__all__ = ["Account", "Balance", "made_up", "parse"]

LOSSES = {
    "ListenOverflows": "connections that found the accept queue full",
    "NoPorts": "datagrams for a port at which nobody was",
    "RcvbufErrors": "datagrams for which a socket's buffer had no room",
    "InErrors": "datagrams that could not be handed over",
}
"""What the kernel alone knows of: nothing is called, and so no log can tell."""

_MEANING = {
    "PassiveOpens": "TCP connections opened by a peer",
    "ActiveOpens": "TCP connections asked for by connect()",
    "EstabResets": "TCP connections that ended by a reset",
    "InDatagrams": "UDP datagrams that somebody has read",
    "OutDatagrams": "UDP datagrams that were sent",
}

_ASKED = {"EINPROGRESS", "ECONNREFUSED", "ETIMEDOUT"}  # errnos of a connect() for which a SYN was sent
_COUNTED = (
    ("ActiveOpens", FAMILIES["connect"], {"", *_ASKED}),
    ("EstabResets", FAMILIES["recv"] | FAMILIES["send"], {"ECONNRESET"}),
    ("InDatagrams", FAMILIES["recvfrom"], {""}),
    ("OutDatagrams", FAMILIES["sendto"], {""}),
)
"""By which calls, and with which errno or none, a log says that a counter has grown."""


class Balance(msgspec.Struct):
    """One counter."""

    counter: str
    meaning: str
    kernel: int
    """By how much it grew."""
    log: int
    """What the log says of it."""
    agrees: bool
    """The kernel's is not less; and where the server alone could make it grow, it is not more."""


def parse(text: str) -> dict[str, int]:
    """/proc/net/snmp, netstat, or snmp6, or several of them one after the other: name → number.

    The names are the kernel's, without that of their protocol where one is enough: `PassiveOpens`;
    `InDatagrams` is that of UDP over both versions of IP.
    """
    found: Counter[str] = Counter()
    names: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0].startswith("Udp6") and words[1].isdecimal():  # snmp6: one a line
            found[words[0].removeprefix("Udp6")] += int(words[1])
        elif words and words[0] in {"Tcp:", "Udp:", "TcpExt:"}:
            if words[1:] and words[1].lstrip("-").isdecimal():
                for name, word in zip(names, words[1:], strict=False):
                    found[name] += int(word)
            else:
                names = words[1:]
    return dict(found)


def made_up(calls: Iterable[SystemCall]) -> dict[str, int]:
    """Counters that the log's calls may rightly exceed, and by how many: strace gave them, and made none."""
    return dict(
        Counter(
            counter
            for call in calls
            if call.injected and not call.what.startswith("UNIX")
            for counter, names, errnos in _COUNTED
            if call.name in names and call.errno in errnos
        )
    )


class Account:
    """What logs say that the kernel must have counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.waiting = 0
        """Finished handshakes that were still in a queue when it was last looked at."""
        self._protos: dict[str, str] = {}
        self._queued: dict[str, int] = {}
        self._reset: set[str] = set()
        self._shut: set[str] = set()

    def feed(self, items: Iterable[Item]) -> None:
        """Take events in the order of the log."""
        for item in items:
            self._take(item)
        self.waiting = sum(self._queued.values())

    def balances(self, grown: Mapping[str, int]) -> list[Balance]:
        """Each counter of which the log knows something, and how much it grew."""
        # Whoever waited in a queue has been opened, and nobody accepted it.
        most = {"PassiveOpens": self.counts["PassiveOpens"] + self.waiting}
        found = []
        for name, meaning in _MEANING.items():
            kernel, log = grown.get(name), self.counts[name]
            if kernel is not None and (kernel or log):
                agrees = log <= kernel <= most.get(name, kernel)
                found.append(Balance(name, meaning, kernel, log, agrees))
        return found

    def _take(self, event: Item) -> None:
        match event:
            case schema.Listen() | schema.Bind() | schema.Socket() if event.sock:
                self._protos[event.sock] = event.proto
            case schema.Inherit():
                self._protos[event.name] = event.proto
            case schema.Accept():
                self._accepted(event)
            case schema.Connect():
                self._connected(event)
            case schema.Recvfrom() | schema.Sendto():
                self._datagram(event)
            case schema.Recv() | schema.Send():
                self._moved(event)
            case schema.Shutdown() if event.errno is None:
                self._shut.add(event.conn)
            case schema.Queue():
                self._queued[event.sock] = event.queued

    def _datagram(self, event: schema.Recvfrom | schema.Sendto) -> None:
        looked = "MSG_PEEK" in event.flags  # and left it there
        if event.n is not None and not looked and self._protos.get(event.sock) == "udp":
            way = "InDatagrams" if isinstance(event, schema.Recvfrom) else "OutDatagrams"
            self.counts[way] += 1

    def _accepted(self, event: schema.Accept) -> None:
        if event.conn is None or self._protos.get(event.sock) != "tcp":
            return
        self._protos[event.conn] = "tcp"
        self.counts["PassiveOpens"] += 1
        if event.queued is not None:
            self._queued[event.sock] = event.queued

    def _connected(self, event: schema.Connect) -> None:
        if event.conn and self._protos.get(event.conn) == "tcp" and not event.call:
            asked = event.errno in {None, "timeout"} | _ASKED
            self.counts["ActiveOpens"] += asked

    def _moved(self, event: schema.Recv | schema.Send) -> None:
        """A connection that is reset is that once; one whose end had begun is not counted by the kernel."""
        new = event.errno == "ECONNRESET" and event.conn not in self._reset | self._shut
        if new and self._protos.get(event.conn) == "tcp":
            self._reset.add(event.conn)
            self.counts["EstabResets"] += 1
