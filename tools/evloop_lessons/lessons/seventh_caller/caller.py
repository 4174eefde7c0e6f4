"""Told to, it calls; sends each further line, and reads the answer; hangs up when there are no more.

caller.py HOST PORT
"""

import socket
import sys

host, port = sys.argv[1:]
sys.stdin.readline()  # until it is our turn
with socket.create_connection((host, int(port))) as sock:
    for line in sys.stdin:
        sock.sendall(line.strip().encode())
        print(sock.recv(1024))
