"""Told to, it calls; and when it is told nothing more, it hangs up.

caller.py HOST PORT close|half
"""

import socket
import sys

host, port, way = sys.argv[1:]
sys.stdin.readline()  # until somebody listens
sock = socket.create_connection((host, int(port)))
sys.stdin.read()
if way == "half":
    sock.shutdown(socket.SHUT_WR)  # the same FIN; but what comes will be read
    while sock.recv(1024):
        pass
sock.close()
