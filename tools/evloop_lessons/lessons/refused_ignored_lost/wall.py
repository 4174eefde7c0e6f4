"""Listens, and throws away whatever arrives, before TCP sees it: as a firewall does, or a broken cable.

wall.py HOST PORT
"""

import array
import socket
import struct
import sys

SO_ATTACH_FILTER = 26  # socket(7)
DROP = array.array("B", struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET | BPF_K, 0: keep no byte of it

host, port = sys.argv[1:]
phone = socket.socket()
phone.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, DROP.buffer_info()[0]))
phone.bind((host, int(port)))
phone.listen()
sys.stdin.read()
phone.close()
