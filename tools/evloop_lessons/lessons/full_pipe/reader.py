"""Serves one client: reads nothing before it is told to, and then all that there is.

reader.py HOST PORT BUFFER
"""

import socket
import sys

host, port, buffer = sys.argv[1:]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(buffer))  # its connections inherit it
listener.bind((host, int(port)))
listener.listen()
sock, _ = listener.accept()
sys.stdin.readline()  # until it is our turn
while sock.recv(65536):
    pass
sock.close()
listener.close()
