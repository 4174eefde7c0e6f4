"""Told to, it calls five times, and hangs up at once each time.

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
