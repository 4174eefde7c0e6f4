"""A client that asks what to say, until there is nothing more."""

import socket
import sys

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect(("127.0.0.1", int(sys.argv[1])))
while True:
    message = input("say: ").strip()
    if not message:
        continue
    client.send(message.encode())
    data = client.recv(1024)
    print(data.decode())
