"""Told to, it calls, and sends as much as it is told to, without ever sleeping in send().

writer.py HOST PORT BUFFER SIZE
"""

import selectors
import socket
import sys

host, port, buffer, size = sys.argv[1:]
sys.stdin.readline()  # until it is our turn
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, int(buffer))
sock.connect((host, int(port)))
sock.setblocking(False)
selector = selectors.DefaultSelector()
left = b"x" * int(size)
while left:
    try:
        left = left[sock.send(left) :]  # what the kernel has not taken is still ours
    except BlockingIOError:
        selector.register(sock, selectors.EVENT_WRITE)
        if not selector.select(0):  # is there room? No:
            selector.select()  # sleep until there is
        selector.unregister(sock)
sock.close()
