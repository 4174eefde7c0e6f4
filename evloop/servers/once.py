"""One client, one exchange, and the program ends: the shortest server there is.

It is a telephone: buy one, put in the SIM card, switch it on, wait for a call, talk, hang up, switch off.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from evloop.kernel import send_all
from evloop.servers.blocking import mailbox, switched_on, wait_for_call, wait_for_letter

if TYPE_CHECKING:
    from evloop.servers.blocking import Line

__all__ = ["serve", "serve_datagrams"]


def serve(line: Line) -> None:
    """Answer one message of one caller. Whoever calls meanwhile is queued, and then reset by step 7."""
    kernel = line.kernel
    # 1. buy a phone, 2. put in the SIM card, 3. switch it on: socket(2), bind(2), listen(2)
    with switched_on(line) as phone:
        # 4. wait for a call
        conn, _caller = wait_for_call(line, phone)
        try:
            # 5. talk: one recv(2). It gives what has arrived, which may be less than was sent: TCP knows
            # no messages. What is not read by the end makes the kernel answer with a reset.
            recv, send = kernel.stream_calls(conn)
            with line.armed(), contextlib.suppress(OSError):  # the caller has hung up in the middle
                send_all(send, line.respond(recv(line.recv_size)))
        finally:
            # 6. hang up
            kernel.close(conn, "stop")
    # 7. switch off: the end of the `with` closes the phone


def serve_datagrams(line: Line) -> None:
    """A postcard comes, a postcard goes: no call, no accept(2), nobody to hang up on."""
    kernel = line.kernel
    with mailbox(line) as box:
        recvfrom, sendto = kernel.datagram_calls(box, line.recv_size)
        data, sender = wait_for_letter(recvfrom, line.recv_size)  # what is longer is cut, the rest is gone
        with contextlib.suppress(OSError):
            sendto(line.respond(data), sender)
