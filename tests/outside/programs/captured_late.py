"""A connection that has sent before a capture begins: `captured_late.py FILE COMMAND…`."""

import os
import signal
import socket
import subprocess
import sys


def say(client, server, words):
    client.send(words)
    server.recv(len(words), socket.MSG_WAITALL)


def main(file, *command):
    listener = socket.create_server(("127.0.0.1", 9001))
    client = socket.create_connection(("127.0.0.1", 9001))
    server = listener.accept()[0]
    for number in range(3):
        say(client, server, b"before %d" % number)
    plain = {
        name: value for name, value in os.environ.items() if "EVLOOP" not in name and name != "PYTHONPATH"
    }
    capture = subprocess.Popen([*command, "capture", "-w", file], stderr=subprocess.PIPE, env=plain)
    while b"capturing" not in capture.stderr.readline():
        pass
    for number in range(3):
        say(client, server, b"within, at last: %d" % number)
    client.close()
    server.recv(1)
    server.close()
    capture.send_signal(signal.SIGINT)
    capture.wait()
    client = socket.create_connection(("127.0.0.1", 9001))
    client.send(b"behind")
    client.close()


main(*sys.argv[1:])
