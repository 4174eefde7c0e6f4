"""Told to, it calls; sends what it is told and reads the answer, until it is told no more. Then it hangs up.

caller.py HOST:PORT|PATH
"""

import socket
import sys

where = sys.argv[1]
host, colon, port = where.rpartition(":")
sys.stdin.readline()  # until it is our turn
sock = socket.socket(socket.AF_INET if colon else socket.AF_UNIX)
sock.connect((host, int(port)) if colon else where)
for line in sys.stdin:
    sock.sendall(line.strip().encode())
    print(sock.recv(1024).decode())
sock.close()
