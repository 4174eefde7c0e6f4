"""A server that answers one client after the other, for ever."""

import socket

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.bind(("127.0.0.1", 0))
server.listen(5)
print(server.getsockname()[1], flush=True)
while True:
    conn, client = server.accept()
    while True:
        try:
            data = conn.recv(1024)
            if len(data) == 0:
                break
            print("it says", data.decode(), flush=True)
            conn.send(data.upper())
        except Exception:
            break
    conn.close()
