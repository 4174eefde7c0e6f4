"""Datagrams: those that were cut, and answers that may be answered for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.model.diagnosis.state import Datagrams
from evloop_trace.model.diagnosis.words import call, when
from evloop_trace.model.lint.finding import Finding
from evloop_trace.numbers import size

if TYPE_CHECKING:
    from evloop.events.schema import Recvfrom, Sendto
    from evloop_trace.model.diagnosis.state import Process
    from evloop_trace.model.lint.finding import Findings

__all__ = ["Answering"]

_PRIVILEGED = 1024
_ASKED = 1000  # peers whom we spoke to first


class Answering:
    """What came, and who was answered."""

    def __init__(self, process: Process, findings: Findings) -> None:
        self._process = process
        self._findings = findings
        self._asked: dict[tuple[str, str], None] = {}

    def received(self, event: Recvfrom) -> None:
        """A datagram, or none."""
        if event.truncated and not self._findings.again("truncated", event.sock, event):
            text = (
                f"A datagram from {event.peer or 'an unnamed socket'} on {event.sock} was cut {when(event)}: "
            )
            text += f"{call(event)} was given {size(event.n or 0)}, and the rest of it is gone."
            self._findings.add(Finding("truncated", event.sock, [event], event, text))

    def sent(self, event: Sendto) -> None:
        """An answer, or a question of ours; only what was answered can go round."""
        why = self._why(event)
        if not why or event.n is None:
            return
        sock = self._process.sockets.get(event.sock)
        got = sock.recv if isinstance(sock, Datagrams) else None
        if got is None or got.peer != event.peer or not sock.address:  # type: ignore[union-attr]
            if len(self._asked) < _ASKED:
                self._asked[event.sock, event.peer] = None
            return
        if (event.sock, event.peer) in self._asked or self._findings.again("reflection", event.sock, event):
            return
        text = f"{event.sock} answers {event.peer} {when(event)}, {why}: the two may never stop."
        self._findings.add(Finding("reflection", event.sock, [got, event], event, text))

    def _why(self, event: Sendto) -> str:
        """Why this peer should not be answered."""
        host, _, port = event.peer.rpartition(":")
        if not port.isdecimal() or not host:
            return ""
        if int(port) < _PRIVILEGED:
            return f"and what lives on port {port} may answer every datagram"
        for sock in self._process.sockets.values():
            if isinstance(sock, Datagrams) and _is_its(sock.address, host, port):
                return (
                    "which is our own socket" if sock.name == event.sock else f"which is our own {sock.name}"
                )
        return ""


def _is_its(address: str, host: str, port: str) -> bool:
    """Whether a datagram to this host and port comes to who is bound to the address."""
    bound, _, its_port = address.rpartition(":")
    return its_port == port and (bound == host or (bound in {"0.0.0.0", "[::]"} and _is_loopback(host)))  # noqa: S104


def _is_loopback(host: str) -> bool:
    return host == "[::1]" or host.startswith("127.")
