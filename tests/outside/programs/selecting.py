"""A server with a selector, as textbooks have it; it ends when its third client has gone."""

import selectors
import socket

selector = selectors.DefaultSelector()
gone = 0


def accept(server):
    conn, _ = server.accept()
    conn.setblocking(False)
    selector.register(conn, selectors.EVENT_READ, talk)


def talk(conn):
    global gone
    data = conn.recv(1000)
    if data:
        conn.send(data.upper())
    else:
        selector.unregister(conn)
        conn.close()
        gone += 1


server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(100)
server.setblocking(False)
print(server.getsockname()[1], flush=True)
selector.register(server, selectors.EVENT_READ, accept)
while gone < 3:
    for key, _ in selector.select():
        key.data(key.fileobj)
