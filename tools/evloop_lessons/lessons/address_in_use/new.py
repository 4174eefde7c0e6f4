"""Told to, a new server wants each of the old ones' ports, without SO_REUSEADDR and with it.

Then it listens on 8084, and closes each connection when the client has.

new.py HOST
"""

import contextlib
import socket
import sys

host = sys.argv[1]
sys.stdin.readline()  # until it is our turn
for port, reuse in ((8081, False), (8081, True), (8082, False), (8082, True), (8083, False)):
    with socket.socket() as sock, contextlib.suppress(OSError):
        if reuse:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))

listener = socket.socket()
listener.bind((host, 8084))
listener.listen()
while True:
    conn, _ = listener.accept()
    with conn:
        conn.recv(1024)  # b'': it has closed
