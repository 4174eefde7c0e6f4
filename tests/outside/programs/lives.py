"""Lives of connections, each with a port of its own and both ends in this process; two end in another.

lives.py FIRST_PORT NAME… - all at once but the two that fork.

Where one sleeps, that is what it is about: a peer that thinks, so that the kernel's own timers (a delayed
ACK, a probe, a SYN that is sent again) have their turn. Nothing is waited for.
"""

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

HOST = "127.0.0.1"
SIZE = 400_000


class Life:
    """A listener, and the two ends of a connection."""

    def __init__(self, port, sizes=0):
        self.listener = socket.socket()
        if sizes:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, sizes)
        self.listener.bind((HOST, port))
        self.listener.listen(5)
        self.client = socket.socket()
        if sizes:
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sizes)
        self.client.connect((HOST, port))
        self.server = None

    def accept(self):
        self.server, _ = self.listener.accept()
        return self

    def hang_up(self):
        """The client closes, the server sees it and closes."""
        self.client.close()
        while self.server.recv(65536):
            pass
        self.server.close()
        self.listener.close()


def plain(port):
    life = Life(port).accept()
    life.client.send(b"hello")
    life.server.send(life.server.recv(100))
    life.client.recv(100)
    life.hang_up()


def late_accept(port):
    life = Life(port)
    life.client.send(b"already there")
    time.sleep(0.05)
    life.accept().server.recv(100)
    life.hang_up()


def sticky(port):
    life = Life(port).accept()
    for part in (b"one", b"two", b"three"):
        life.client.send(part)
    time.sleep(0.02)
    life.server.recv(1024)
    life.hang_up()


def part(port):
    life = Life(port).accept()
    life.client.send(b"x" * 1509)
    time.sleep(0.02)
    life.server.recv(1024)
    life.server.recv(1024)
    life.hang_up()


def unread(port):
    life = Life(port).accept()
    life.client.send(b"unread")
    time.sleep(0.02)
    life.server.close()
    with contextlib.suppress(ConnectionResetError):
        life.client.recv(100)
    life.client.close()


def linger(port):
    life = Life(port).accept()
    life.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    life.server.close()
    with contextlib.suppress(ConnectionResetError):
        life.client.recv(100)
    life.client.close()


def dead(port):
    life = Life(port).accept()
    life.client.close()
    time.sleep(0.06)
    life.server.send(b"first")
    time.sleep(0.02)
    with contextlib.suppress(BrokenPipeError):
        life.server.send(b"second")
    life.server.close()


def half(port):
    life = Life(port).accept()
    life.client.send(b"request")
    life.client.shutdown(socket.SHUT_WR)
    while life.server.recv(100):
        pass
    time.sleep(0.08)  # so that the FIN's ACK comes alone
    life.server.send(b"answer")
    life.server.close()
    while life.client.recv(100):
        pass
    life.client.recv(100)
    with contextlib.suppress(BrokenPipeError):
        life.client.send(b"more")
    life.client.close()


def nagle(port):
    life = Life(port).accept()

    def serve():
        for _ in range(3):
            got = 0
            while got < 20:
                got += len(life.server.recv(100))
            life.server.send(b"answer")

    thread = threading.Thread(target=serve)
    thread.start()
    for _ in range(3):
        life.client.send(b"h" * 10)
        life.client.send(b"b" * 10)
        life.client.recv(100)
    thread.join()
    life.hang_up()


def window(port):
    life = Life(port, sizes=4096).accept()
    life.client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            life.client.send(b"x" * 4096)
    time.sleep(1.0)  # two probes
    life.hang_up()


def keep_alive(port):
    life = Life(port).accept()
    life.client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    life.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    time.sleep(1.3)
    life.hang_up()


def refused(port):
    with socket.socket() as client, contextlib.suppress(ConnectionRefusedError):
        client.connect((HOST, port))


def full_queue(port):
    listener = socket.socket()
    listener.bind((HOST, port))
    listener.listen(0)
    first, second = socket.socket(), socket.socket()
    first.connect((HOST, port))
    second.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        second.connect((HOST, port))
    time.sleep(1.3)  # the SYN is sent again, in vain
    listener.accept()[0].close()
    select.select([], [second], [])
    second.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    listener.accept()[0].close()
    for client in (first, second):
        client.close()
    listener.close()


def abandoned(port):
    life = Life(port)
    life.listener.close()
    with contextlib.suppress(ConnectionResetError):
        life.client.recv(10)
    life.client.close()


def big(port):
    life = Life(port).accept()
    sender = threading.Thread(target=life.client.sendall, args=(b"y" * SIZE,))
    sender.start()
    got = 0
    while got < SIZE:
        got += len(life.server.recv(1 << 20))
    sender.join()
    life.hang_up()


def empty(port):
    life = Life(port).accept()
    life.client.send(b"")
    life.hang_up()


def postcards(port):
    server, client = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
    server.bind((HOST, port))
    client.sendto(b"", (HOST, port))
    server.recvfrom(1024)
    client.sendto(b"x" * 1500, (HOST, port))
    server.recvfrom(1024)
    client.sendto(b"never read", (HOST, port))
    time.sleep(0.02)
    client.close()
    time.sleep(0.6)
    server.close()


def nobody(port):
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"nobody", (HOST, port))


def nobody_connected(port):
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect((HOST, port))
        client.send(b"nobody")
        with contextlib.suppress(ConnectionRefusedError):
            client.recv(10)


def together(port):
    """Two sends in a segment, and a recv for each."""
    life = Life(port).accept()
    for _ in range(20):  # a send of over 1 ms stands behind its segment, as one that slept
        since = time.monotonic()
        life.client.send(b"abc", socket.MSG_MORE)
        life.client.send(b"def")
        took = time.monotonic() - since
        time.sleep(0.02)
        life.server.recv(3)
        life.server.recv(3)
        if took < 0.001:
            break
    life.hang_up()


def cleared(port):
    """SO_LINGER of 0 s was set, but not for long; what comes later is reset."""
    life = Life(port).accept()
    for onoff in (1, 0):
        life.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", onoff, 0))
    life.server.close()
    time.sleep(0.05)
    life.client.send(b"more")
    time.sleep(0.02)
    life.client.close()


def half_read(port):
    """The client has only ended what it sends; it resets as it closes with bytes unread."""
    life = Life(port).accept()
    life.client.shutdown(socket.SHUT_WR)
    life.server.recv(10)
    life.server.send(b"answer" * 3)
    time.sleep(0.02)
    life.client.recv(5)
    life.client.close()
    time.sleep(0.02)
    life.server.close()


def reset_before(port):
    """The client resets; then the server closes with bytes unread, and sends nothing."""
    life = Life(port).accept()
    life.client.send(b"hello")
    time.sleep(0.02)
    life.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    life.client.close()
    time.sleep(0.02)
    life.server.close()


def both_ways(port):
    life = Life(port).accept()
    life.client.shutdown(socket.SHUT_RDWR)
    life.server.recv(10)
    life.server.close()
    life.client.close()


def held(port):
    """A child holds the client's socket, too."""
    life = Life(port).accept()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    life.client.close()
    time.sleep(0.2)
    os.close(write)
    os.waitpid(child, 0)
    life.server.recv(10)
    life.server.close()


def killed(port):
    """The client is killed with 5 bytes unread."""
    listener = socket.socket()
    listener.bind((HOST, port))
    listener.listen(5)
    child = os.fork()
    if not child:
        listener.close()
        client = socket.socket()
        client.connect((HOST, port))
        client.recv(1)
        time.sleep(60)
    server, _ = listener.accept()
    server.send(b"abcdef")
    time.sleep(0.4)  # its log's lines are written
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with contextlib.suppress(ConnectionResetError):
        server.recv(10)
    server.close()


def main(first, names):
    threads = [
        threading.Thread(target=globals()[name], args=(first + at,), name=name)
        for at, name in enumerate(names)
        if name not in {"held", "killed"}
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at, name in enumerate(names):
        if name in {"held", "killed"}:
            globals()[name](first + at)


main(int(sys.argv[1]), sys.argv[2:])
