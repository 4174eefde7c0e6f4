"""socketserver and http.server, of every kind, each with a client that asks twice."""

import http.client
import http.server
import socket
import socketserver
import sys
import threading


class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for _ in range(2):  # not up to the end: the forked children hold the clients' sockets open, too
            self.wfile.write(self.rfile.readline().upper())


class Datagram(socketserver.DatagramRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read().upper())


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def ask_lines(address):
    with socket.create_connection(address) as client, client.makefile("rw") as file:
        for word in ("hello\n", "again\n"):
            file.write(word)
            file.flush()
            print(file.readline(), end="")


def ask_datagrams(address):
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        for word in (b"hello", b"again"):
            client.sendto(word, address)
            print(client.recvfrom(100)[0])


def ask_pages(address):
    client = http.client.HTTPConnection(*address)
    client.request("GET", "/serving.py")
    print(len(client.getresponse().read()) > 1000)
    client.close()


SERVERS = {
    "tcp": (socketserver.TCPServer, Upper, ask_lines),
    "threading": (socketserver.ThreadingTCPServer, Upper, ask_lines),
    "forking": (socketserver.ForkingTCPServer, Upper, ask_lines),
    "udp": (socketserver.UDPServer, Datagram, ask_datagrams),
    "http": (http.server.ThreadingHTTPServer, Quiet, ask_pages),
}

for name in sys.argv[1:]:
    server_class, handler, ask = SERVERS[name]
    with server_class(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        for _ in range(2):
            ask(server.server_address)
        server.shutdown()
        thread.join()
    print(name)
