"""Writes postcards: of each line that it is told, `COUNT SIZE`, so many of so many bytes; `read` awaits one.

writer.py HOST PORT connect|sendto
"""

import socket
import sys

host, port, way = sys.argv[1:]
box = host, int(port)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if way == "connect":
    sock.connect(box)  # sends nothing: the kernel only remembers with whom we talk
for line in sys.stdin:
    if line == "read\n":
        try:
            sock.recv(1024)
        except ConnectionRefusedError as error:
            print(error)
        continue
    count, size = map(int, line.split())
    for number in range(1, count + 1):
        card = f"card {number} ".ljust(size, ".")[:size].encode()
        if way == "connect":
            sock.send(card)
        else:
            sock.sendto(card, box)
