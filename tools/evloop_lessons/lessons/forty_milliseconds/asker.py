"""Told to, it calls; told to again, it asks three times: a length, and so many bytes; then it reads.

asker.py HOST PORT two-sends|nodelay|one-send
"""

import socket
import sys

host, port, way = sys.argv[1:]
sys.stdin.readline()  # until it is our turn
sock = socket.create_connection((host, int(port)))
if way == "nodelay":
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # no Nagle: send each at once
sys.stdin.readline()  # until the server has taken the call
for _ in range(3):
    if way == "one-send":
        sock.send(b"5:hello")
    else:
        sock.send(b"5:")
        sock.send(b"hello")
    print(sock.recv(1024))
sock.close()
