"""A UDP socket, and what it does with what comes: it answers, reads too little, reads too late, and leaves.

box.py HOST PORT simple|prepared
"""

import socket
import sys

host, port, manner = sys.argv[1:]
prepared = manner == "prepared"
size = 65_535 if prepared else 1024
box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if not prepared:
    box.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
box.bind((host, int(port)))


def answer() -> None:
    """One postcard, whoever wrote it."""
    card, writer = box.recvfrom(size)
    box.sendto(card.upper(), writer)


# two writers
answer()
answer()

# a card that is too large
box.recvmsg(size)  # and not recv(): recvmsg() tells of MSG_TRUNC
try:
    box.recvfrom(size, socket.MSG_DONTWAIT)
except BlockingIOError:
    print("the rest is gone")

# too many at once
sys.stdin.readline()  # busy elsewhere
try:
    while True:
        box.recvfrom(size, socket.MSG_DONTWAIT)
except BlockingIOError:
    print("nothing more")

# nobody
if prepared:
    while True:
        answer()
sys.stdin.readline()
box.close()
sys.stdin.readline()
