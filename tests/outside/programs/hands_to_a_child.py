"""A server that hands its connection to a child, and is its own client."""

import os
import socket

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
conn, _ = listener.accept()
if os.fork() == 0:
    conn.sendall(b"hello")
    conn.close()
    os._exit(0)
got = client.recv(100)
conn.close()
os.wait()
got += client.recv(100)
