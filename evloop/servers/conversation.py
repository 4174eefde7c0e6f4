"""One client, who may say as much as it likes: the program ends when it hangs up."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from evloop.address import parse_inet
from evloop.kernel import send_all
from evloop.protocols import why_unanswered
from evloop.servers.blocking import mailbox, switched_on, wait_for_call, wait_for_letter

if TYPE_CHECKING:
    from evloop.kernel import Socket
    from evloop.servers.blocking import Line

__all__ = ["serve", "serve_datagrams", "talk"]


def serve(line: Line) -> None:
    """Talk with one caller. Whoever calls meanwhile is queued by the kernel, and never answered."""
    kernel = line.kernel
    # 1. buy a phone, 2. put in the SIM card, 3. switch it on: socket(2), bind(2), listen(2)
    with switched_on(line) as phone:
        # 4. wait for a call
        conn, _caller = wait_for_call(line, phone)
        try:
            # 5. talk; here, and in 4, a signal gets us out of the call in which we sleep
            with line.armed():
                talk(line, conn)
        finally:
            # 6. hang up
            kernel.close(conn, "stop")
    # 7. switch off: the end of the `with` closes the phone


def talk(line: Line, conn: Socket) -> None:
    """Answer until the caller hangs up. Between its messages we sleep in recv(2), and hear nobody else."""
    recv, send = line.kernel.stream_calls(conn)
    # A caller that breaks off is one that has hung up: ECONNRESET, or EPIPE if we were just talking.
    with contextlib.suppress(OSError):
        # b"" is the end of the stream and nothing else; it would come again and again, at once.
        while data := recv(line.recv_size):
            send_all(send, line.respond(data))


def serve_datagrams(line: Line) -> None:
    """Answer everybody, each datagram by itself, for ever: nobody can keep the others from being answered.

    There is no conversation to end: a datagram of length 0 is data, and there is no end of a stream.
    """
    kernel = line.kernel
    with mailbox(line) as box:
        recvfrom, sendto = kernel.datagram_calls(box, line.recv_size)
        own_ports = {parse_inet(kernel.address_of(box)).port}
        while True:
            data, sender = wait_for_letter(recvfrom, line.recv_size)
            if not why_unanswered(sender, own_ports, kernel.is_local):
                with contextlib.suppress(OSError):  # no room, or no way to there: the answer is lost
                    sendto(line.respond(data), sender)
