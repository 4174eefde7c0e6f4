"""A client that says one thing, after a while."""

import socket
import sys
import time

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect(("127.0.0.1", int(sys.argv[1])))
time.sleep(0.05)
client.send("hello la 哈哈哈".encode())
data = client.recv(1024)
print(data.decode())
client.close()
