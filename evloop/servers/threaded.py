"""A thread for each client: each sleeps in a recv(2) of its own, and nobody waits for anybody."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from evloop.address import Sockaddr, UnixPath, format_sockaddr
from evloop.servers.blocking import switched_on, wait_for_call
from evloop.servers.conversation import talk
from evloop.signals import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop.kernel import Socket
    from evloop.servers.blocking import Line

__all__ = ["serve"]

DRAIN = 2.0  # seconds that conversations have to end, when a signal says to stop

Calls: TypeAlias = dict[threading.Thread, "Socket"]

_hanging_up = threading.Lock()  # held by who ends a call, so that no other thread ends it at the same time


def serve(line: Line) -> NoReturn:
    """The main thread only accepts: it hands each call to a thread, and is at the phone again."""
    calls: Calls = {}
    numbers = count(1)
    try:
        # 1. buy a phone, 2. put in the SIM card, 3. switch it on: socket(2), bind(2), listen(2)
        with switched_on(line) as phone:
            while True:
                # 4. wait for a call
                conn, caller = wait_for_call(line, phone)
                # 5. and 6. are another thread's
                name = _name(line, caller, numbers)
                thread = threading.Thread(target=_talk, name=name, args=(line, conn, calls), daemon=True)
                calls[thread] = conn
                _start(line, thread, conn, calls)
        # 7. switch off: a signal leads here; the end of the `with` closes the phone
    finally:
        _end(line, calls)


def _talk(line: Line, conn: Socket, calls: Calls) -> None:
    """One caller's thread: 5. talk, 6. hang up."""
    try:
        talk(line, conn)
    finally:
        with _hanging_up:
            line.kernel.close(conn, "stop")
            del calls[threading.current_thread()]


def _name(line: Line, caller: Sockaddr, numbers: Iterator[int]) -> str:
    """As the log and a debugger show the thread; a Unix client has no address, so it gets a number."""
    if isinstance(line.address, UnixPath):
        return f"unix {format_sockaddr(caller) or next(numbers)}"
    return f"tcp {format_sockaddr(caller)}"


def _start(line: Line, thread: threading.Thread, conn: Socket, calls: Calls) -> None:
    """A thread costs memory, and the system has a limit: beyond it a caller is hung up on."""
    try:
        with line.unsignalled():
            thread.start()
    except RuntimeError as error:
        del calls[thread]
        line.kernel.close(conn, "stop")
        line.report(f"{thread.name} cannot be served ({error}): {len(calls)} threads are running")


def _end(line: Line, calls: Calls) -> None:
    """Let each thread answer what has arrived; at the deadline, or at a second signal, break off."""
    if not calls:
        return
    kernel = line.kernel
    line.report(f"stopping: waiting at most {DRAIN:g} s for {len(calls)} open connections to end")
    with _hanging_up:
        for conn in calls.values():
            kernel.hear_no_more(conn)  # its thread's recv(2) returns, in the end with b""
    deadline = kernel.now() + int(DRAIN * 1e9)
    try:
        with line.armed():
            for thread in filter(threading.Thread.is_alive, tuple(calls)):
                thread.join(max(0.0, (deadline - kernel.now()) / 1e9))
    except Stopped as again:
        line.report(f"{again} again: stopping at once")
    with _hanging_up:
        for conn in calls.values():
            kernel.break_off(conn)
    for thread in filter(threading.Thread.is_alive, tuple(calls)):  # dead: the signal came before its start
        thread.join()
