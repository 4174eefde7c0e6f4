"""Told to, it calls, to see whether somebody is there.

visitor.py PATH
"""

import contextlib
import socket
import sys

path = sys.argv[1]
sys.stdin.readline()  # until it is our turn
with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
    sock.connect(path)
