"""One client after another: while one talks, the others wait, connected and unanswered.

The kernel shakes hands for us, as long as there is room in the queue that listen(2) asked for, and takes
what those in it send. So they all think that they are being served. Who finds the queue full is not even
refused: its SYNs are dropped, and connect(2) hangs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from evloop.servers.blocking import switched_on, wait_for_call
from evloop.servers.conversation import serve_datagrams, talk

if TYPE_CHECKING:
    from evloop.servers.blocking import Line

__all__ = ["serve", "serve_datagrams"]


def serve(line: Line) -> NoReturn:
    """Steps 4 to 6 again and again, as in conversation.py otherwise."""
    kernel = line.kernel
    # 1. buy a phone, 2. put in the SIM card, 3. switch it on: socket(2), bind(2), listen(2)
    with switched_on(line) as phone:
        while True:
            # 4. wait for a call: the next in the queue, or one to come
            conn, _caller = wait_for_call(line, phone)
            try:
                # 5. talk; here, and in 4, a signal gets us out of the call in which we sleep
                with line.armed():
                    talk(line, conn)
            finally:
                # 6. hang up
                kernel.close(conn, "stop")
    # 7. switch off: a signal leads here; the end of the `with` closes the phone
