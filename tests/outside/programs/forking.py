"""A server that forks for each of two clients; the clients are its own threads."""

import os
import socket
import sys
import threading

listener = socket.create_server(("127.0.0.1", 0))


def talk():
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"hello")
        print(client.recv(100).decode())


for _ in range(2):
    thread = threading.Thread(target=talk)
    thread.start()
    connection, _ = listener.accept()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        listener.close()
        connection.sendall(connection.recv(100).upper())
        connection.close()
        os._exit(0)
    connection.close()
    thread.join()
    os.waitpid(child, 0)
if not os.fork():  # a child that has nothing to do with sockets
    os._exit(0)
os.wait()
listener.close()
