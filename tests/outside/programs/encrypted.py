"""TLS on both ends, without certificates."""

import socket
import ssl
import threading


def context(protocol):
    made = ssl.SSLContext(protocol)
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("aNULL:@SECLEVEL=0")
    return made


listener = socket.create_server(("127.0.0.1", 0))


def serve():
    conn, _ = listener.accept()
    with context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(conn, server_side=True) as tls:
        tls.sendall(tls.recv(100).upper())


thread = threading.Thread(target=serve)
thread.start()
asking = context(ssl.PROTOCOL_TLS_CLIENT)
asking.check_hostname = False
asking.verify_mode = ssl.CERT_NONE
with asking.wrap_socket(socket.create_connection(listener.getsockname())) as client:
    client.sendall(b"a secret")
    print(client.recv(100))
thread.join()
listener.close()
