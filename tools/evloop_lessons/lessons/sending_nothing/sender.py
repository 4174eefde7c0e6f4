"""Sends so many bytes over TCP, then "hello"; as many over UDP; closes both. Each when it is told to.

sender.py HOST PORT SIZE
"""

import socket
import sys

host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
message = b"x" * size
tcp = socket.create_connection((host, port))
sys.stdin.readline()
print(tcp.send(message))
sys.stdin.readline()
tcp.sendall(b"hello")
left = size + 5
while left:
    left -= len(tcp.recv(1024))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sys.stdin.readline()
print(udp.sendto(message, (host, port)))
print(udp.recvfrom(1024))
sys.stdin.readline()
udp.close()
tcp.close()
