"""Told to, it calls, and sends each further line; behind the last it ends its half, or not; then it reads.

asker.py HOST PORT shutdown|close|nothing
"""

import socket
import sys

host, port, end = sys.argv[1:]
sys.stdin.readline()  # until it is our turn
sock = socket.create_connection((host, int(port)))
for line in sys.stdin:
    sock.send(line.encode())
if end == "shutdown":
    sock.shutdown(socket.SHUT_WR)
    try:
        sock.send(b"plum\n")  # it is too late for that
    except BrokenPipeError as error:
        print(error)
if end == "close":
    sock.close()
    sys.exit()
while answer := sock.recv(1024):
    print(answer.decode())
sock.close()
