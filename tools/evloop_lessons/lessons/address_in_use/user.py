"""Told to, it calls one server after another, and closes: before the server does, or when it has.

user.py HOST FIRST: as the servers
"""

import socket
import sys

host, first = sys.argv[1:]
sys.stdin.readline()  # until it is our turn
for port, closes in ((8081, first), (8082, first), (8083, "client")):
    sock = socket.create_connection((host, port))
    if closes == "server":
        sock.recv(1024)  # b'': it has closed
    sock.close()
