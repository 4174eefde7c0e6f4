"""Answers one client in upper case; only if `on` it asks whether recv() gave anything.

server.py PORT off|on TURNS

When it has been given nothing so many times it ends; without that bound it would go on for ever.
"""

import socket
import sys

port, check, turns = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
listener = socket.create_server(("127.0.0.1", port))
conn, _ = listener.accept()
while turns:
    data = conn.recv(1024)
    if not data:
        turns -= 1
        if check == "on":
            break
    conn.sendall(data.upper())
conn.close()
