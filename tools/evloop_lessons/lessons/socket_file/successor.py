"""Told to, it takes the place of a server that is gone: first its path, then its abstract name.

successor.py PATH NAME
"""

import contextlib
import os
import socket
import sys

path, name = sys.argv[1:]
sys.stdin.readline()  # until it is our turn

server = socket.socket(socket.AF_UNIX)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
with contextlib.suppress(OSError):
    server.bind(path)

os.unlink(path)
another = socket.socket(socket.AF_UNIX)
another.bind(path)
another.listen()

abstract = socket.socket(socket.AF_UNIX)
abstract.bind(f"\0{name}")
abstract.listen()

os.unlink(path)
