"""One caller after another: greets, and when it is told to, reads until there is no more.

server.py HOST PORT on|off    with or without keep-alive
"""

import socket
import sys

host, port, keepalive = sys.argv[1:]
phone = socket.socket()
phone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # bytes: each connection gets so small a buffer
if keepalive == "on":  # and it is asked whether it is still there
    phone.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    phone.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)  # seconds of silence before the first time
    phone.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)  # and until the next
    phone.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)  # so often without an answer
phone.bind((host, int(port)))
phone.listen(5)
while True:
    conn, _caller = phone.accept()
    conn.send(b"hello")
    sys.stdin.readline()  # until we are to read
    try:
        while conn.recv(65536):
            pass
    except OSError as error:
        print(error)
    conn.close()
