"""Echo with asyncio's protocols, on the event loop of the standard library: TCP, UDP or Unix.

python asyncio_protocol.py KIND ADDRESS
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

__all__ = ["main"]


class Stream(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        self.write = cast("asyncio.Transport", transport).write

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self.write(data)


class Datagrams(asyncio.DatagramProtocol):
    """A UDP socket."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        self.sendto = cast("asyncio.DatagramTransport", transport).sendto

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        self.sendto(data, addr)


async def main(kind: str, address: str) -> None:
    """Serve for ever; `address` is HOST:PORT or a path."""
    loop = asyncio.get_running_loop()
    host, _, port = address.rpartition(":")
    if kind == "udp":
        transport, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=(host, int(port)))
        bound = transport.get_extra_info("sockname")
    elif kind == "unix":
        server = await loop.create_unix_server(Stream, address)
        bound = server.sockets[0].getsockname()
    else:
        server = await loop.create_server(Stream, host, int(port))
        bound = server.sockets[0].getsockname()
    where = bound if kind == "unix" else f"{bound[0]}:{bound[1]}"
    print(f"listening {kind} {where}", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
