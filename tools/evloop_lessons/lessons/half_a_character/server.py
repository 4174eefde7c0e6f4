"""It makes text of what three callers send, each time in another way, and sends it back in capitals.

server.py HOST PORT SIZE
"""

import codecs
import socket
import sys

LENGTH = 1509  # bytes that each of them sends

host, port, size = sys.argv[1:]
phone = socket.create_server((host, int(port)))


def ignoring(data: bytes) -> str:
    """What is no character is left out."""
    return data.decode(errors="ignore")


incremental = codecs.getincrementaldecoder("utf-8")()  # keeps half a character until the rest comes

for decode in (bytes.decode, ignoring, incremental.decode):
    conn, _ = phone.accept()
    sys.stdin.readline()  # busy elsewhere, until all of it has arrived
    left = LENGTH
    while left and (data := conn.recv(int(size))):
        left -= len(data)
        try:
            answer = decode(data).upper()
        except UnicodeDecodeError as error:
            answer = f"byte {error.start}: {error.reason}\n"
        conn.send(answer.encode())
    conn.close()
