"""Takes one call, never listens, and sends a word for each line that it is told; then it looks what has come.

server.py HOST PORT
"""

import socket
import sys

host, port = sys.argv[1:]
phone = socket.create_server((host, int(port)))
conn, _caller = phone.accept()
for line in sys.stdin:
    try:
        conn.send(line.strip().encode())
    except OSError as error:  # a C program would not get here: SIGPIPE would have killed it
        print(error)
print(conn.recv(1024))
conn.close()
phone.close()
