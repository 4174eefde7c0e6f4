"""Children of every kind that multiprocessing and subprocess make, each with a socket of its own."""

import multiprocessing
import socket
import subprocess
import sys

CHILD = "import socket; here, there = socket.socketpair(); here.send(b'x'); print(there.recv(1))"


def work(listener):
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"from a process")


def main():
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            process = context.Process(target=work, args=(listener,))
            process.start()
            connection, _ = listener.accept()
            with connection:
                print(method, connection.recv(100), flush=True)
            process.join()
            print(process.exitcode)
    print(subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True, text=True).stdout)
    subprocess.run([sys.executable, "-I", "-c", CHILD], check=True)
    subprocess.run([sys.executable, "-c", "print('no socket')"], check=True)


if __name__ == "__main__":
    main()
