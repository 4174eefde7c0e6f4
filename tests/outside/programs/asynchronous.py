"""asyncio: streams, protocols and datagrams, server and client in one loop."""

import asyncio


async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for word in (b"hello\n", b"x" * 60_000 + b"\n"):
        writer.write(word)
        print(len(await reader.readline()))
    writer.close()
    await writer.wait_closed()


class Upper(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data.upper())


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data.upper(), address)


class Once(asyncio.DatagramProtocol):
    def __init__(self):
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        transport.sendto(b"datagram")

    def datagram_received(self, data, address):
        self.done.set_result(data)


async def main():
    loop = asyncio.get_running_loop()
    servers = [
        await asyncio.start_server(answer, "127.0.0.1", 0),
        await loop.create_server(Upper, "127.0.0.1", 0),
    ]
    for server in servers:
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(ask(port), ask(port))
        server.close()
    served, _ = await loop.create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    asking, once = await loop.create_datagram_endpoint(Once, remote_addr=served.get_extra_info("sockname"))
    print(await once.done)
    asking.close()
    served.close()
    await asyncio.sleep(0.01)
    process = await asyncio.create_subprocess_exec("echo", "from a process", stdout=asyncio.subprocess.PIPE)
    print((await process.communicate())[0])


asyncio.run(main(), debug=False)
