"""Told to, it calls, and hangs up when it is told nothing more.

caller.py HOST PORT
"""

import socket
import sys

host, port = sys.argv[1:]
sys.stdin.readline()  # until it is our turn
try:
    sock = socket.create_connection((host, int(port)))
except OSError as error:
    print(error)
else:
    sys.stdin.read()
    sock.close()
