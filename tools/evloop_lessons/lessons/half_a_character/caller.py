"""Told to, it calls, sends its text, and reads the answer to its end; as often as it is told to.

caller.py HOST PORT chinese|english
"""

import socket
import sys

TEXTS = {"chinese": "hello la " + "哈" * 500, "english": "hello la " + "ha" * 750}  # 1,509 bytes in UTF-8

host, port, language = sys.argv[1:]
for _call in sys.stdin:
    sock = socket.create_connection((host, int(port)))
    sock.send(TEXTS[language].encode())
    answer = b""
    while data := sock.recv(4096):
        answer += data
    print(answer.decode())  # not before it is whole
    sock.close()
