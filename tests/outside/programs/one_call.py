"""A server that answers one message of one client. Prints its port first."""

import socket

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.bind(("127.0.0.1", 0))
server.listen(5)
print(server.getsockname()[1], flush=True)
conn, client = server.accept()
print(conn)
print("the client:", client)
data = conn.recv(1024)
print("it says", data.decode())
conn.send(data.upper())
conn.close()
server.close()
