"""Serves two clients in turn: a request is a length and so many bytes, and is answered when it is whole.

answerer.py HOST PORT
"""

import socket
import sys

host, port = sys.argv[1:]
listener = socket.create_server((host, int(port)))
for _ in range(2):
    sock, _ = listener.accept()
    request = b""
    while data := sock.recv(1024):
        request += data
        size, colon, body = request.partition(b":")
        if colon and len(body) == int(size):
            sock.send(body.upper())
            request = b""
    sock.close()
listener.close()
