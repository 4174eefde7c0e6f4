"""Three servers, of which the second sets SO_REUSEADDR. Each serves one client; one of the two closes first.

old.py HOST FIRST: client|server, who closes first on the ports 8081 and 8082; on 8083 it is the client
"""

import socket
import sys

host, first = sys.argv[1:]
listeners = [socket.socket() for _ in range(3)]
listeners[1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what it accepts has it, too
for port, listener in enumerate(listeners, 8081):
    listener.bind((host, port))
    listener.listen()
for listener, closes in zip(listeners, (first, first, "client"), strict=True):
    conn, _ = listener.accept()
    if closes == "client":
        conn.recv(1024)  # b'': it has closed
    conn.close()
    listener.close()
