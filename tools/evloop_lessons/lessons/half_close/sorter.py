"""Serves one client: reads lines until the end of the stream and, told to, sends them back sorted.

sorter.py HOST PORT
"""

import socket
import sys

host, port = sys.argv[1:]
listener = socket.create_server((host, int(port)))
sock, _ = listener.accept()
lines = b""
while data := sock.recv(1024):  # which line is the first nobody knows before the last has come
    lines += data
sys.stdin.readline()  # until it is our turn
sock.send(b"".join(sorted(lines.splitlines(keepends=True))))
sock.close()
listener.close()
