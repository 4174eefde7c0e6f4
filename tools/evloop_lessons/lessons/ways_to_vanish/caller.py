"""Told to, it calls; reads the greeting, or does not; sends so many bytes, or none; and stays.

caller.py HOST PORT read|unread BYTES
"""

import socket
import sys

host, port, greeting, size = sys.argv[1:]
sys.stdin.readline()  # until it is our turn
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
sock.connect((host, int(port)))
if greeting == "read":
    sock.recv(16)
if int(size):
    sock.send(bytes(int(size)))
sys.stdin.read()
