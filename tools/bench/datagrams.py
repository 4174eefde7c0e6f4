"""Clients of a UDP server: each keeps a window of datagrams under way and checks every answer."""

from __future__ import annotations

import socket
import time
from collections import deque
from typing import NamedTuple

from streams import IN, Failures, make_poller, messages_of

__all__ = ["Datagrams"]

SILENCE = 0.25  # seconds without an answer, after which what is under way is taken for lost


class Client(NamedTuple):
    """One socket: its messages, those under way (the oldest first), and those to send next."""

    sock: socket.socket
    due: deque[bytes]
    ready: deque[bytes]


class Datagrams:
    """`count` sockets with `window` datagrams of `size` bytes each under way."""

    def __init__(self, address: str, count: int, size: int, window: int) -> None:
        self.failures = Failures()
        self.lost = 0
        self._size = size
        self._poller = make_poller()
        self._clients: dict[int, Client] = {}
        host, _, port = address.rpartition(":")
        for number in range(count):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.connect((host, int(port)))
            client = Client(sock, deque(), deque(messages_of(number, 2 * window, size)))
            self._clients[sock.fileno()] = client
            self._poller.register(sock.fileno(), IN)
            self._send(client, window)

    def _send(self, client: Client, count: int) -> None:
        """Send the next `count` datagrams."""
        send, due, ready = client.sock.send, client.due, client.ready
        for _ in range(count):
            message = ready.popleft()
            due.append(message)
            try:
                send(message)
            except OSError as error:
                self.failures.add(f"send: {error}")

    def run(self, seconds: float) -> int:
        """Talk for so long; how many datagrams came back right."""
        poll, clients, size, answered = self._poller.poll, self._clients, self._size, 0
        now = time.monotonic()
        deadline, heard = now + seconds, now
        while now < deadline:
            ready = poll(0.05)
            for fd, _ in ready:
                client = clients[fd]
                recv, due, back = client.sock.recv, client.due, client.ready
                came = 0
                while due:
                    try:
                        data = recv(size + 1)
                    except BlockingIOError:
                        break
                    except OSError as error:  # ECONNREFUSED: nobody serves there
                        self.failures.add(f"recv: {error}")
                        break
                    if data == due[0]:
                        answered += 1
                    elif not self._skip_to(data, client):
                        continue
                    back.append(due.popleft())
                    came += 1
                self._send(client, came)
            now = time.monotonic()
            if ready:
                heard = now
            elif now - heard > SILENCE:
                heard = now
                self._send_again()
        return answered

    def _skip_to(self, data: bytes, client: Client) -> bool:
        """Something else than the oldest came: if it is a later one, those before it are lost."""
        if data not in client.due:
            self.failures.add(f"an answer of {len(data)} bytes that belongs to no datagram under way")
            return False
        skipped = client.due.index(data)
        self.lost += skipped
        for _ in range(skipped):
            client.ready.append(client.due.popleft())
        self._send(client, skipped)
        return True

    def _send_again(self) -> None:
        """Nothing has come for long: what was under way is lost."""
        for client in self._clients.values():
            count = len(client.due)
            self.lost += count
            client.ready.extend(client.due)
            client.due.clear()
            self._send(client, count)

    def close(self) -> None:
        """Close every socket."""
        for client in self._clients.values():
            client.sock.close()
        self._poller.close()
