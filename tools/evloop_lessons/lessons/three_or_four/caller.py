"""It calls whenever it is told to; then it talks and hangs up, or listens until the server does so.

caller.py HOST PORT
"""

import socket
import sys

host, port = sys.argv[1:]
for _call in sys.stdin:
    sock = socket.create_connection((host, int(port)))
    if sys.stdin.readline() == "talk\n":
        sock.send(b"hello")
        sock.recv(1024)
    else:
        try:
            sock.recv(1024)  # nothing, when the server has closed
        except ConnectionResetError as error:
            print(error)
    sock.close()
