"""Told to, eight call, without waiting for an answer; told so again, the first says something.

callers.py HOST PORT
"""

import socket
import sys

host, port = sys.argv[1:]
sys.stdin.readline()  # until it is our turn
crowd = [socket.socket() for _ in range(8)]
for sock in crowd:
    sock.setblocking(False)
    sock.connect_ex((host, int(port)))
sys.stdin.readline()  # until the first has something to say
crowd[0].send(b"hello")
sys.stdin.readline()  # until it is over
