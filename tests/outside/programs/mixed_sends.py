"""Many conversations with an upper-caser, of sends of many sizes: `mixed_sends.py PORT CONNECTIONS`."""

import random
import socket
import sys
import threading


def converse(number, port):
    dice = random.Random(number)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for _ in range(dice.randrange(1, 5)):
            sizes = [dice.choice((1, 6, 5, 700, 3000)) for _ in range(dice.randrange(1, 4))]
            if number % 100 == 0:
                sizes.append(300_000)
            for size in sizes:
                sock.sendall(b"x" * size)
            missing = sum(sizes)
            while missing:
                missing -= len(sock.recv(dice.choice((10, 4096, 65536)) if missing < 9000 else 65536))
        if dice.random() < 0.5:
            sock.shutdown(socket.SHUT_WR)
            assert not sock.recv(10)


def many(first, count, port):
    for number in range(first, first + count):
        converse(number, port)


port, count = int(sys.argv[1]), int(sys.argv[2])
threads = [threading.Thread(target=many, args=(it * count // 4, count // 4, port)) for it in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
