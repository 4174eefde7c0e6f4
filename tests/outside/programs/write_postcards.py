"""A UDP client that asks what to write."""

import socket
import sys

client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    message = input(">>> ").strip()
    client.sendto(message.encode(), ("127.0.0.1", int(sys.argv[1])))
    data, server = client.recvfrom(1024)
    print(data.decode())
