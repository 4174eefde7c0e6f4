"""What can go wrong with sockets, each case as it is done wrong and as it is done well: bad|good."""

import codecs
import contextlib
import os
import resource
import select
import selectors
import socket
import sys
import threading
import time

BAD = sys.argv[1] == "bad"
TIMES = 400  # that something is done in vain
BIG = bytes(64_000_000)  # more than any two buffers hold


def pair(backlog=50):
    """A connection: the client's end, and the server's."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


def ready(*socks):
    """Wait until all of them can be read."""
    for sock in socks:
        select.select([sock], [], [])


def end(*socks):
    """End well: say that nothing more comes, and read the other end's last word."""
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.setblocking(True)
            sock.shutdown(socket.SHUT_WR)
    for sock in socks:
        with contextlib.suppress(OSError):
            while sock.recv(1 << 20):
                pass
        sock.close()


def end_of_stream():
    client, server = pair()
    client.close()
    for _ in range(TIMES if BAD else 1):
        assert not server.recv(10)
    server.close()


def asking():
    client, server = pair()
    server.setblocking(False)
    for _ in range(TIMES if BAD else 1):
        with contextlib.suppress(BlockingIOError):
            server.recv(10)
    end(client, server)


def polling():
    client, server = pair()
    for _ in range(TIMES if BAD else 1):
        select.select([server], [], [], 0)
    end(client, server)


def not_reading():
    client, server = pair()
    client.send(b"news")
    for _ in range(TIMES if BAD else 1):
        select.select([server], [], [])
    server.recv(10)
    end(client, server)


def write_interest():
    client, server = pair()
    poll = select.poll()
    poll.register(server, select.POLLIN | select.POLLOUT)
    for _ in range(TIMES if BAD else 1):
        poll.poll(100)
    poll.unregister(server)
    end(client, server)


def pipe_at_its_end():
    reading, writing = os.pipe()
    os.close(writing)
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    for _ in range(TIMES if BAD else 1):
        poll.poll(100)
    os.close(reading)


def no_descriptors():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno(), limit[1]))
        try:
            for _ in range(TIMES if BAD else 1):
                with contextlib.suppress(OSError):
                    listener.accept()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        end(client, listener.accept()[0])


def full(server):
    """Send more than there is room for; what is left."""
    server.setblocking(False)
    return memoryview(BIG)[server.send(BIG) :]


def nobody_watches():
    client, server = pair()
    rest = full(server)
    poll = select.poll()
    poll.register(server, select.POLLIN | (0 if BAD else select.POLLOUT))
    poll.poll(1)
    poll.unregister(server)
    reader = threading.Thread(target=read_all, args=(client,))
    reader.start()
    server.setblocking(True)
    server.sendall(rest)
    server.shutdown(socket.SHUT_WR)
    reader.join()
    end(server)


def read_all(sock):
    """Whatever comes."""
    while sock.recv(1 << 20):
        pass
    sock.close()


def rest_forgotten():
    client, server = pair()
    rest = full(server)
    reader = threading.Thread(target=read_all, args=(client,))
    reader.start()
    server.setblocking(True)
    if not BAD:
        server.sendall(rest)
    server.sendall(b"bye")
    server.shutdown(socket.SHUT_WR)
    reader.join()
    end(server)


def never_closed():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(3):
            client = socket.create_connection(listener.getsockname())
            server = listener.accept()[0]
            client.close()
            assert not server.recv(10)
            if BAD:
                LEFT.append(server)
            else:
                server.close()


LEFT = []


def unread():
    client, server = pair()
    client.send(b"a question, and more")
    ready(server)
    server.recv(10)
    server.send(b"an answer")
    if BAD:
        server.close()
    end(client, server)


def half_a_character():
    client, server = pair()
    client.sendall("哈哈".encode())

    def read():
        decoder = codecs.getincrementaldecoder("utf-8")()
        for _ in range(2):
            data = server.recv(4)
            text = data.decode() if BAD else decoder.decode(data)
            assert "哈" in text

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    end(client, server)


def greedy():
    (one, ours), (two, other) = pair(), pair()
    one.sendall(bytes(200))
    two.sendall(b"a short question")
    ready(ours, other)
    selector = selectors.DefaultSelector()
    for sock in (ours, other):
        selector.register(sock, selectors.EVENT_READ)
    waiting = {ours: 200, other: 16}
    while waiting:
        for key, _ in selector.select(1):
            sock = key.fileobj
            for _ in range(200 if BAD else 10):
                if sock in waiting:
                    waiting[sock] -= len(sock.recv(1))
                    if not waiting[sock]:
                        del waiting[sock]
                        selector.unregister(sock)
    selector.close()
    end(one, ours, two, other)


def slow():
    (one, ours), (two, other) = pair(), pair()
    selector = selectors.DefaultSelector()
    for sock in (ours, other):
        selector.register(sock, selectors.EVENT_READ)
    one.send(b"a hard question")
    ((key, _),) = selector.select()
    key.fileobj.recv(100)
    two.send(b"an easy question")
    if BAD:
        time.sleep(0.15)  # it is what is to be seen
    selector.select()
    other.recv(100)
    selector.close()
    end(one, ours, two, other)


def queue():
    with socket.create_server(("127.0.0.1", 0), backlog=4 if BAD else 100) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(5)]
        end(*clients, *[listener.accept()[0] for _ in clients])


def datagrams():
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.sendto(b"more than that", server.getsockname())
        server.recvmsg(4 if BAD else 100)  # which tells of MSG_TRUNC


def answers():
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.sendto(b"hello", server.getsockname())
        data, peer = server.recvfrom(100)
        server.sendto(data, peer)
        if BAD:  # as if somebody had forged its address
            with socket.socket(fileno=os.dup(server.fileno())) as same:
                same.sendto(b"hello", server.getsockname())
            data, peer = server.recvfrom(100)
            server.sendto(data, peer)
        client.recvfrom(100)


def main():
    for case in (
        end_of_stream, asking, polling, not_reading, write_interest, pipe_at_its_end, no_descriptors,
        nobody_watches, rest_forgotten, never_closed, unread, half_a_character, greedy, slow, queue,
        datagrams, answers,
    ):  # fmt: skip
        case()


main()
