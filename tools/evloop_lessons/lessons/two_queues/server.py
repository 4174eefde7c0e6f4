"""Two listeners that never accept. A handshake is finished only by what the client has to say.

server.py HOST BACKLOG SECONDS: of TCP_DEFER_ACCEPT; 0: the handshake's last ACK is enough, as usual
"""

import socket
import sys

host, backlog, seconds = sys.argv[1:]
listeners = [socket.socket(), socket.socket()]
for port, listener in enumerate(listeners, 8080):
    if int(seconds):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(seconds))
    listener.bind((host, port))
    listener.listen(int(backlog))
sys.stdin.readline()  # until it is over
