"""Told to, seven call, and none of them waits. What the first says then is in the kernel; is it in the file?

crowd.py PATH
"""

import os
import socket
import sys

path = sys.argv[1]
sys.stdin.readline()  # until it is our turn
crowd = [socket.socket(socket.AF_UNIX) for _ in range(7)]
for sock in crowd:
    sock.setblocking(False)
    sock.connect_ex(path)  # 0, or why not
crowd[0].send("hello la 哈哈哈".encode())
crowd[0].send(f" st_size = {os.stat(path).st_size}".encode())
sys.stdin.readline()  # until it is over
