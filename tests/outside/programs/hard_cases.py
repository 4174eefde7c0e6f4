"""What is hard to lay beside packets: each case has a port of its own, from 9001 on."""

import os
import select
import socket
import struct
import sys
import threading

AT_ONCE = struct.pack("ii", 1, 0)


def pair(port, host="127.0.0.1", via=None, **how):
    """A connection to this port: both its ends."""
    with socket.create_server((host, port), **how) as listener:
        client = socket.create_connection((via or host, port))
        return client, listener.accept()[0]


def ready(sock):
    """Wait until it can be read."""
    select.select([sock], [], [])


def end(*socks):
    """Close, and read the other end's FIN."""
    for sock in socks:
        sock.close()


def sleeps(thread):
    """Whether it does: proc_pid_stat(5). A send(2) that has no room any more may still be on its way."""
    with open(f"/proc/self/task/{thread.native_id}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"


def big():
    client, server = pair(9001)

    def drain():
        while server.recv(300_000):
            pass

    thread = threading.Thread(target=drain)
    sender = threading.Thread(target=client.sendall, args=(b"x" * 8_000_000,))
    sender.start()
    while select.select([], [client], [], 0)[1] or not sleeps(sender):  # it is full, and the send waits
        pass
    thread.start()
    sender.join()
    client.send(b"tail")
    client.close()
    thread.join()
    server.close()


def peek():
    client, server = pair(9002)
    client.send(b"hello")
    server.recv(3, socket.MSG_PEEK)
    server.recv(5)
    end(client, server)


def urgent():
    client, server = pair(9003)
    client.send(b"ab")
    client.send(b"!", socket.MSG_OOB)
    client.send(b"cd")
    assert server.recv(2, socket.MSG_WAITALL) == b"ab"
    assert server.recv(2, socket.MSG_WAITALL) == b"cd"
    end(client, server)


def half():
    client, server = pair(9004)
    client.send(b"question")
    client.shutdown(socket.SHUT_WR)
    while server.recv(100):
        pass
    server.send(b"answer")
    server.close()
    while client.recv(100):
        pass
    client.close()


def unread():
    client, server = pair(9005)
    client.send(b"unread")
    ready(server)
    server.close()
    try:
        client.recv(1)
    except ConnectionResetError:
        client.close()


def linger():
    client, server = pair(9006)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    client.close()
    try:
        server.recv(1)
    except ConnectionResetError:
        server.close()


def late():
    client, server = pair(9007)
    server.close()
    ready(client)
    client.send(b"late")
    select.select([], [], [client], 0.05)
    client.close()


def refused():
    client = socket.socket()
    try:
        client.connect(("127.0.0.1", 9008))
    except ConnectionRefusedError:
        client.close()


def waiting():
    listener = socket.create_server(("127.0.0.1", 9009))
    client = socket.create_connection(("127.0.0.1", 9009))
    listener.close()
    try:
        client.recv(1)
    except ConnectionResetError:
        client.close()


def mapped():
    for port, host, via in ((9010, "::1", "::1"), (9011, "::", "127.0.0.1")):
        client, server = pair(port, host, via, family=socket.AF_INET6, dualstack_ipv6=host == "::")
        client.send(b"six")
        server.recv(10)
        end(client, server)


def itself():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 9012))
    sock.connect(("127.0.0.1", 9012))
    sock.send(b"me")
    sock.recv(10)
    sock.close()


def again():
    with socket.create_server(("127.0.0.1", 9013)) as listener:
        for number in range(3):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            client.bind(("127.0.0.1", 9113))
            client.connect(("127.0.0.1", 9013))
            server = listener.accept()[0]
            client.send(b"message %d" % number)
            server.recv(100)
            client.close()
            server.close()


def datagrams():
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 9014))
    connected, loose, cut = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(3))
    connected.connect(("127.0.0.1", 9014))
    connected.send(b"same")
    loose.sendto(b"same", ("127.0.0.1", 9014))
    for _ in range(2):
        data, peer = server.recvfrom(100)
        server.sendto(data, peer)
    connected.recv(100)
    loose.recvfrom(100)
    cut.sendto(b"truncated", ("127.0.0.1", 9014))
    server.recvfrom(4)
    end(server, connected, loose, cut)


def nobody():
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", 9015))
    sock.send(b"anybody?")
    ready(sock)
    try:
        sock.recv(100)
    except ConnectionRefusedError:
        sock.close()


def unix():
    for client, server in (socket.socketpair(), by_path()):
        client.send(b"hello")
        server.recv(100)
        end(client, server)


def by_path():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("hard.sock")
    listener.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect("hard.sock")
    return client, listener.accept()[0]


def processes():
    client, server = pair(9016)
    child = os.fork()
    if not child:
        client.send(b"child's")
        os._exit(0)
    os.waitpid(child, 0)
    server.recv(100)
    client.send(b"parent's")
    server.recv(100)
    end(client, server)


CASES = (
    big, peek, urgent, half, unread, linger, late, refused, waiting, mapped, itself, again, datagrams, nobody,
    unix, processes,
)  # fmt: skip

for case in CASES:
    case()
sys.exit(0)
