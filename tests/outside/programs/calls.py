"""Every call on a socket that Python has, on both sides of what they can do; prints what they gave."""

import array
import errno
import io
import os
import select
import selectors
import socket
import ssl
import sys
import tempfile
import threading

print(socket.socket, select.epoll, type(select.epoll()).__name__, isinstance(select.epoll(), select.epoll))


def both():
    """A TCP connection: (client, server)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return client, server


def receiving():
    client, server = both()
    client.sendall(b"0123456789abcdef" * 4)
    print(client.fileno(), server.fileno())
    buffer = bytearray(4)
    print(server.recv(3), server.recv(3, socket.MSG_PEEK), server.recv(3, socket.MSG_WAITALL))
    print(server.recv_into(buffer), server.recv_into(buffer, 2), server.recv_into(memoryview(buffer)[1:], 0))
    print(server.recv_into(buffer=buffer, nbytes=1, flags=0), bytes(buffer))
    print(server.recvfrom(2), server.recvfrom_into(buffer, 3), server.recvmsg(4))
    print(server.recvmsg_into([buffer, bytearray(1)]), os.read(server.fileno(), 2))
    client.shutdown(socket.SHUT_WR)
    with server.makefile("rb") as file:
        print(file.read())
    client.close()
    print(server.recv(10))
    server.close()


def sending():
    client, server = both()
    print(client.send(b"a"), client.sendall(bytearray(b"bc")), client.sendmsg([b"de", memoryview(b"f")]))
    print(client.send(array.array("H", [1, 2])), os.write(client.fileno(), b"g"), client.send(b""))
    with tempfile.TemporaryFile() as file:
        file.write(b"file")
        file.seek(0)
        print(client.sendfile(file))
    print(client.sendto(b"h", server.getsockname()) if sys.platform == "darwin" else client.send(b"h"))
    with client.makefile("w") as file:
        file.write("buffered")
    client.close()
    print(server.recv(1000))
    server.close()


def large():
    client, server = both()
    got = []

    def drain():
        while data := server.recv(65536):
            got.append(len(data))

    thread = threading.Thread(target=drain)
    thread.start()
    client.sendall(bytes(10_000_000))
    client.close()
    thread.join()
    server.close()
    print(sum(got))


def full():
    client, server = both()
    client.setblocking(False)
    sent = 0
    try:
        while True:
            sent += client.send(bytes(100_000))
    except BlockingIOError as error:
        print(error)
    try:
        client.sendall(bytes(100_000))
    except BlockingIOError as error:
        print(error)
    client.settimeout(0.05)
    for call in (lambda: client.sendall(bytes(10_000_000)), lambda: client.send(bytes(10_000_000))):
        try:
            call()
        except TimeoutError as error:
            print(error)
    try:
        client.recv(1)
    except TimeoutError as error:
        print(error)
    client.close()
    server.close()


def connecting():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.setblocking(False)
        print(errno.errorcode[client.connect_ex(listener.getsockname())])
        print(select.select([], [client], [], 5)[1] == [client])
        print(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        listener.settimeout(5)
        listener.accept()[0].close()
    with socket.socket() as client:
        client.setblocking(False)
        print(errno.errorcode[client.connect_ex(listener.getsockname() if False else ("127.0.0.1", 1))])
        select.select([], [client], [], 5)
        print(errno.errorcode[client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)])


def datagrams():
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        print(client.sendto(b"one", server.getsockname()), client.sendto(b"two", 0, server.getsockname()))
        print(client.sendmsg([b"th", b"ree"], [], 0, server.getsockname()))
        client.connect(server.getsockname())
        print(client.send(b"four"), client.send(b""))
        print(server.recvfrom(2)[0], server.recv(10), server.recvmsg(2)[2] == socket.MSG_TRUNC)
        buffer = bytearray(2)
        print(server.recvfrom_into(buffer)[0], server.recv(10))
        server.settimeout(0.01)
        try:
            server.recvfrom(1)
        except TimeoutError as error:
            print(error)


def passing():
    """Descriptors: over a Unix socket, by detach, dup, and by number."""
    here, there = socket.socketpair()
    client, server = both()
    socket.send_fds(here, [b"x"], [server.fileno()])
    _, fds, _, _ = socket.recv_fds(there, 10, 1)
    server.close()
    received = socket.socket(fileno=fds[0])
    client.sendall(b"hello there")
    print(received.recv(5), received.recv(1))
    copy = received.dup()
    received.close()
    print(copy.recv(2))
    fd = copy.detach()
    print(os.read(fd, 3))
    os.close(fd)
    client.close()
    here.close()
    socket.close(there.detach())


def polling():
    here, there = socket.socketpair()
    with select.epoll() as epoll:
        epoll.register(here)
        epoll.modify(here, select.EPOLLIN)
        print(epoll.poll(0), epoll.poll(0.01), epoll.poll(timeout=0.01, maxevents=1))
        there.send(b"x")
        print(epoll.poll() == [(here.fileno(), select.EPOLLIN)], epoll.closed)
        epoll.unregister(here.fileno())
        again = select.epoll.fromfd(os.dup(epoll.fileno()))
        again.register(here, select.EPOLLIN | select.EPOLLET)
        print(len(again.poll(1)), again.poll(0))
        again.close()
    print(epoll.closed)
    poll = select.poll()
    poll.register(here, select.POLLIN)
    poll.register(here, select.POLLIN | select.POLLOUT)
    print(len(poll.poll()), len(poll.poll(10)))
    poll.modify(here, 0)
    print(poll.poll(1))
    poll.unregister(here)
    print([len(some) for some in select.select([here], {there}, (here,))])
    for kind in (selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector):
        with kind() as selector:
            selector.register(here, selectors.EVENT_READ, "data")
            ((key, mask),) = selector.select()
            print(kind.__name__, key.data, mask, selector.select(-1) != [])
            selector.modify(here, selectors.EVENT_READ | selectors.EVENT_WRITE)
            print(selector.select(0)[0][1])
            selector.unregister(here)
    print(select.select([sys.stdin], [], [], 0)[1:])
    here.close()
    there.close()


def collected():
    here, there = socket.socketpair()
    there.send(b"unread")
    del here, there
    io.BytesIO()


def encrypted():
    """TLS, as far as it goes without a certificate."""
    client, server = both()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    wrapped = context.wrap_socket(client, do_handshake_on_connect=False)
    wrapped.setblocking(False)
    try:
        wrapped.do_handshake()
    except ssl.SSLWantReadError as error:
        print(type(error).__name__)
    print(server.recv(1))
    wrapped.close()
    server.close()


for name in sys.argv[1:] or [
    "receiving", "sending", "large", "full", "connecting", "datagrams", "passing", "polling", "collected",
    "encrypted",
]:  # fmt: skip
    print(f"-- {name}")
    globals()[name]()
