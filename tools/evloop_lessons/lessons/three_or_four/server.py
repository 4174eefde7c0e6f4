"""It answers five callers, one after another, and takes leave of each in another way.

server.py HOST PORT careless|careful
"""

import os
import socket
import struct
import sys

host, port, manner = sys.argv[1:]
careful = manner == "careful"
phone = socket.create_server((host, int(port)))


def talk() -> socket.socket:
    """Accept, answer, and wait until the caller has hung up."""
    conn, _ = phone.accept()
    conn.send(conn.recv(1024).upper())
    conn.recv(1024)
    return conn


# 1: at once
conn = talk()
conn.close()

# 2: late
conn = talk()
if not careful:
    sys.stdin.readline()  # busy elsewhere
conn.close()

# 3: never
forgotten = talk()
if careful:
    forgotten.close()

# 4: without a FIN
conn, _ = phone.accept()
sys.stdin.readline()
if not careful:
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # on, 0 seconds
conn.close()

# 5: while another process has it, too
conn, _ = phone.accept()
sys.stdin.readline()
child = os.fork()
if not child:
    sys.stdin.readline()  # it does not use the connection, but has it
    os._exit(0)
if careful:
    conn.shutdown(socket.SHUT_RDWR)  # ends the connection, whoever has it
conn.close()
os.waitpid(child, 0)
sys.stdin.readline()
