"""A message there and back over TCP, in one thread; prints the nanoseconds that a call takes.

python tools/bench/peers/rounds.py ROUNDS
"""

import socket
import sys
import time

MESSAGE = bytes(64)


def main() -> None:
    """Warm up, measure, print."""
    rounds = int(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    begun = 0
    for at in range(-rounds // 10, rounds):
        if at == 0:
            begun = time.perf_counter_ns()
        client.send(MESSAGE)
        server.send(server.recv(1024))
        client.recv(1024)
    print((time.perf_counter_ns() - begun) // (4 * rounds))
    client.close()
    server.close()


if __name__ == "__main__":
    main()
