"""Echo with asyncio's streams, a coroutine a connection: TCP or Unix (streams know no UDP).

python asyncio_streams.py KIND ADDRESS
"""

from __future__ import annotations

import asyncio
import sys

__all__ = ["main"]


async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, until its end."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(kind: str, address: str) -> None:
    """Serve for ever; `address` is HOST:PORT or a path."""
    host, _, port = address.rpartition(":")
    if kind == "unix":
        server = await asyncio.start_unix_server(serve_one, address)
    else:
        server = await asyncio.start_server(serve_one, host, int(port))
    bound = server.sockets[0].getsockname()
    where = bound if kind == "unix" else f"{bound[0]}:{bound[1]}"
    print(f"listening {kind} {where}", file=sys.stderr, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
