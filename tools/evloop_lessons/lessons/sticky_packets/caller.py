"""Told to, it calls; sends each further line with a send() of its own; then reads the answer and hangs up.

caller.py HOST PORT plain|nodelay|framed
"""

import socket
import sys

host, port, way = sys.argv[1:]
sys.stdin.readline()  # until it is our turn
sock = socket.create_connection((host, int(port)))
if way == "nodelay":
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # no Nagle: send each at once
end = b"\n" if way == "framed" else b""
size = 0
for line in sys.stdin:
    size += sock.send(line.strip().encode() + end)
while size:
    answer = sock.recv(1024)
    print(answer)
    size -= len(answer)
sock.close()
