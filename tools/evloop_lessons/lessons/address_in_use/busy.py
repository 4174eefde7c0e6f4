"""Told to, it calls five times, and hangs up first each time; it waits until the server has done so, too.

busy.py HOST PORT
"""

import contextlib
import socket
import sys

host, port = sys.argv[1:]
sys.stdin.readline()  # until it is our turn
for _ in range(5):
    with socket.socket() as sock, contextlib.suppress(OSError):
        sock.connect((host, int(port)))
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1024)  # b'': the server has closed
