"""Told to, it calls a server and says its name; told again, it hangs up, but not before it has its answer.

caller.py NAME HOST:PORT HOST:PORT...
"""

import socket
import sys

name, *servers = sys.argv[1:]
for server in servers:
    sys.stdin.readline()  # until it is our turn
    host, port = server.split(":")
    sock = socket.create_connection((host, int(port)))
    sock.send(name.encode())
    sock.recv(1024)
    sys.stdin.readline()  # until we may hang up
    sock.close()
