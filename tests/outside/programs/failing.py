"""Fails in one of many ways, to be told by argument."""

import contextlib
import gc
import logging
import socket
import sys
import threading
import traceback
import warnings


def pair():
    """Two sockets, of which the first does not wait."""
    here, there = socket.socketpair()
    here.setblocking(False)
    return here, there


def refused():
    """A connection that nobody takes."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        socket.create_connection(nobody.getsockname())


def unbound():
    """A call that the kernel refuses."""
    socket.socket().accept()


def wrong_type():
    """Text is sent, and sockets want bytes."""
    here, _there = pair()
    here.send("text")


def wrong_count():
    """An argument is missing."""
    here, _there = pair()
    for call in (here.recv, here.send, here.sendall, here.recv_into, here.sendto, here.recvmsg, here.sendmsg):
        try:
            call()
        except TypeError:
            traceback.print_exc()


def wrong_address():
    """An address that is none."""
    socket.socket().connect("127.0.0.1")


def wrong_family():
    """There is no such family."""
    socket.socket(999)


def closed():
    """A call on a socket that is closed."""
    here, _there = pair()
    here.close()
    here.recv(1)


def resolver():
    """A name that cannot be a host's."""
    socket.create_connection(("..", 1))


def chained():
    """An error that came of another."""
    here, _there = pair()
    try:
        here.recv(1)
    except BlockingIOError as error:
        raise ValueError("nothing there") from error


def in_context():
    """An error on the way out of another."""
    here, _there = pair()
    try:
        here.recv(1)
    except BlockingIOError:
        here.recv_into(bytearray(2))


def group():
    """Several errors at once."""
    errors = []
    here, _there = pair()
    for call in (lambda: here.recv(1), lambda: here.recvfrom(1), lambda: here.recvmsg(1)):
        try:
            call()
        except OSError as error:
            errors.append(error)
    raise ExceptionGroup("all of them", errors)


def printed():
    """The traceback module."""
    here, _there = pair()
    try:
        here.recv(1)
    except BlockingIOError as error:
        traceback.print_exc()
        traceback.print_exception(error)
        traceback.print_tb(error.__traceback__)
        print(traceback.extract_tb(error.__traceback__), file=sys.stderr)
        print(len(list(traceback.walk_tb(error.__traceback__))), file=sys.stderr)


def logged():
    """The logging module."""
    here, _there = pair()
    try:
        here.send(b"x" * 10_000_000)
        here.send(b"x" * 10_000_000)
    except BlockingIOError:
        logging.exception("it failed")


def in_a_thread():
    """An error in a thread."""
    here, _there = pair()
    thread = threading.Thread(target=here.recv, args=(1,))
    thread.start()
    thread.join()


def in_a_finalizer():
    """An error where nobody can catch it."""

    class Careless:
        def __init__(self):
            self.here, self.there = pair()

        def __del__(self):
            self.here.recv(1)

    Careless()


def unclosed():
    """Sockets that are forgotten: in a variable, in a cycle, in a subclass, and until the end."""
    warnings.simplefilter("always")

    class Mine(socket.socket):
        pass

    for cls in (socket.socket, Mine):
        forgotten = cls()
        forgotten = None
    cycle = [socket.socket()]
    cycle.append(cycle)
    del cycle, forgotten
    gc.collect()
    globals()["kept"] = socket.socket()


def unclosed_is_an_error():
    """The same with -W error."""
    warnings.simplefilter("error")
    forgotten = socket.socket()
    del forgotten


def own_hook():
    """A program with a hook of its own, that ends with Python's."""

    def hook(kind, error, trace):
        print("mine", file=sys.stderr)
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = hook
    unbound()


def selecting():
    """select, poll and their selectors are given nonsense."""
    import select
    import selectors

    for call in (
        lambda: select.select(1, [], []),
        lambda: select.select(["x"], [], []),
        lambda: select.select([], [], [], -1),
        lambda: select.poll().register("x"),
        lambda: select.poll().unregister(5),
        lambda: select.epoll().modify(99, 1),
        lambda: select.epoll().register("x"),
        lambda: selectors.DefaultSelector().register(99, 1),
    ):
        with contextlib.suppress(SystemExit):
            try:
                call()
            except Exception:
                traceback.print_exc()


def status():
    """An exit code."""
    sys.exit(7)


def interrupted():
    """KeyboardInterrupt."""
    raise KeyboardInterrupt


def at_exit():
    """Python's own tools see a program's exit handlers fail."""
    import atexit

    atexit.register(unbound)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
