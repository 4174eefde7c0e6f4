"""The system calls themselves: what they make, what they refuse, and in which words."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from evloop import binding
from evloop import kernel as kernel_module
from evloop.address import Inet, UnixPath
from evloop.errors import AddressError
from evloop.kernel import (
    FD_SETSIZE,
    IN,
    OUT,
    READ,
    WRITE,
    Kernel,
    Poller,
    is_missing_address,
    raise_descriptor_limit,
    send_all,
)
from evloop.testing import failure


@pytest.fixture
def limits():
    """Put the limit of descriptors back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


# -- selectors -------------------------------------------------------------------------------


def test_what_a_selector_reports(selector, keep):
    """Readable, writable and both, in the bits of poll(2)."""
    poller = Poller(selector)
    ours, theirs = map(keep, socket.socketpair())
    theirs.send(b"x")
    try:
        for mask, bits in ((READ, IN), (WRITE, OUT), (READ | WRITE, IN | OUT)):
            poller.register(ours.fileno(), mask)
            assert list(poller.poll(1)) == [(ours.fileno(), bits)]
            poller.unregister(ours.fileno())
        assert list(poller.poll(0)) == []
        poller.register(ours.fileno(), READ)
        poller.modify(ours.fileno(), WRITE)
        assert list(poller.poll(None)) == [(ours.fileno(), OUT)]
    finally:
        poller.close()


def test_a_hang_up_wakes_every_selector(selector, keep):
    """A Unix peer that left is readable, whatever the selector calls it."""
    poller = Poller(selector)
    ours, theirs = map(keep, socket.socketpair())
    poller.register(ours.fileno(), READ)
    theirs.close()
    try:
        ((fd, bits),) = poller.poll(1)
        assert fd == ours.fileno()
        assert bits & ~OUT
    finally:
        poller.close()


def test_a_selector_gives_its_descriptors_back(selector, descriptors):
    """The duplicate of epoll's too."""
    before = descriptors()
    Poller(selector).close()
    assert descriptors() == before


# -- opening ---------------------------------------------------------------------------------


def test_a_port_in_use(kernel, keep):
    """The sentence names the command that shows by whom, for TCP and for UDP."""
    port = keep(kernel.listen(Inet("127.0.0.1", 0), 1)).getsockname()[1]
    with pytest.raises(AddressError, match=rf"`ss -ltnp 'sport = :{port}'`"):
        kernel.listen(Inet("127.0.0.1", port), 1)
    port = keep(kernel.bind(Inet("127.0.0.1", 0))).getsockname()[1]
    with pytest.raises(AddressError, match=rf"`ss -lunp 'sport = :{port}'`"):
        kernel.bind(Inet("127.0.0.1", port))


def test_an_address_of_another_machine(kernel):
    """Not bound, and told from one that is taken."""
    for make in (lambda to: kernel.listen(to, 1), kernel.bind):
        with pytest.raises(AddressError, match="not an address of this machine") as failed:
            make(Inet("203.0.113.1", 0))
        assert is_missing_address(failed.value)


def test_a_host_that_cannot_be_found(kernel, monkeypatch):
    """A name that cannot even be asked for, and one that nobody knows."""
    with pytest.raises(AddressError, match="cannot be found"):
        kernel.resolve(Inet("x" * 70 + ".example", 80))

    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(kernel_module.socket, "getaddrinfo", unknown)
    with pytest.raises(AddressError, match="Name or service not known"):
        kernel.resolve(Inet("nobody.example", 80))


def test_a_host_that_names_its_interface(kernel, keep, monkeypatch):
    """It keeps it, in the words in which it was typed, or else as a number; and can be bound with it."""
    assert kernel.resolve(Inet("::1%1", 80)) == [Inet("::1%1", 80)]
    keep(kernel.listen(Inet("::1%1", 0), 1))
    assert kernel.is_local("::1%1")
    with pytest.raises(
        AddressError, match=r"^\[fe80::1%nowhere\]:80 needs a link-local address, and an interface"
    ):
        kernel.resolve(Inet("fe80::1%nowhere", 80))

    def found(*_, **__):
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 7))]

    monkeypatch.setattr(kernel_module.socket, "getaddrinfo", found)
    assert kernel.resolve(Inet("fe80::1%eth0", 80)) == [Inet("fe80::1%eth0", 80)]
    assert kernel.resolve(Inet("here.example", 80)) == [Inet("fe80::1%7", 80)]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "ports below 1024"),
        (errno.EPERM, "ports below 1024"),
        (errno.EAFNOSUPPORT, "no IPv6"),
        (errno.ENOBUFS, "cannot be bound: No buffer space"),
    ],
)
def test_why_not_bound(kernel, monkeypatch, number, words):
    """Each errno has a sentence that says what to do."""
    tries = []

    def bind(*_):
        tries.append(1)
        raise failure(number)

    monkeypatch.setattr(binding, "bind", bind)
    for make in (lambda to: kernel.listen(to, 1), kernel.bind):
        with pytest.raises(AddressError, match=words):
            make(Inet("127.0.0.1", 80))
    assert len(tries) == 2


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EAFNOSUPPORT, "no IPv6"), (errno.EMFILE, "Too many open files")]
)
def test_a_socket_that_cannot_be_made(kernel, monkeypatch, number, words):
    """A kernel without IPv6 refuses the socket itself, before anything is bound."""
    tries = []

    def no_socket(*_):
        tries.append(1)
        raise failure(number)

    monkeypatch.setattr(kernel_module.socket, "socket", no_socket)
    for make in (lambda to: kernel.listen(to, 1), kernel.bind):
        with pytest.raises(AddressError, match=words):
            make(Inet("::1", 0))
    assert len(tries) == 2


def test_a_link_local_address_that_names_no_interface(kernel):
    """The sentence shows how to name it; the system says EINVAL."""
    for make in (lambda to: kernel.listen(to, 1), kernel.bind):
        with pytest.raises(AddressError, match=r"say on which, as in \[fe80::1%eth0\]:80"):
            make(Inet("fe80::1", 80))


def test_listen_that_fails(kernel, monkeypatch, descriptors):
    """A port can be taken between bind(2) and listen(2); the socket is given back."""

    class Late(socket.socket):
        """One whose listen fails."""

        def listen(self, _backlog):
            raise failure(errno.EADDRINUSE)

    before = descriptors()
    monkeypatch.setattr(kernel_module.socket, "socket", Late)
    with pytest.raises(AddressError, match="in use"):
        kernel.listen(Inet("127.0.0.1", 0), 1)
    assert descriptors() == before


def test_what_tcp_is_set_to(kernel, keep):
    """NODELAY, inherited by what is accepted; REUSEADDR on listeners and not on UDP; never blocking."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 1))
    client = keep(socket.create_connection(listener.getsockname()))
    accepted, peer = kernel.accept(listener)
    keep(accepted)
    assert peer == client.getsockname()
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    datagrams = keep(kernel.bind(Inet("127.0.0.1", 0)))
    assert not datagrams.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert not any(sock.getblocking() for sock in (listener, accepted, datagrams))
    ours, theirs = map(keep, kernel.socket_pair())
    assert (ours.getblocking(), theirs.getblocking()) == (False, True)


# -- paths -----------------------------------------------------------------------------------


def test_a_path_left_by_a_dead_server(kernel, keep, short_dir):
    """It refuses connections, and only that makes it ours."""
    address = UnixPath(f"{short_dir}/s")
    kernel.listen(address, 1).close()
    assert stat.S_ISSOCK(os.stat(address.path).st_mode)
    keep(kernel.listen(address, 1))
    client = keep(kernel.connect(address, 1))
    assert client.getpeername() == address.path


@pytest.mark.parametrize("backlog", [0, 5])
def test_a_path_of_a_living_server(kernel, keep, short_dir, backlog):
    """Not taken over, also when its queue is full and it does not answer."""
    address = UnixPath(f"{short_dir}/s")
    keep(kernel.listen(address, backlog))
    inode = kernel.inode_of(address)
    for _ in range(3):  # the probes themselves fill a queue of one
        with pytest.raises(AddressError, match="in use by a living server"):
            kernel.listen(address, 1)
    assert kernel.inode_of(address) == inode


def test_a_file_in_the_way(kernel, short_dir):
    """What is no socket is nobody's to remove; a link is none either."""
    path, link = f"{short_dir}/file", f"{short_dir}/link"
    with open(path, "w") as file:
        file.write("dear")
    os.symlink(path, link)
    for name in (path, link):
        with pytest.raises(AddressError, match="is no socket"):
            kernel.listen(UnixPath(name), 1)
    with open(path) as file:
        assert file.read() == "dear"


def test_a_datagram_socket_in_the_way(kernel, keep, short_dir):
    """It is another kind and alive: not ours to take."""
    path = f"{short_dir}/s"
    keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).bind(path)
    with pytest.raises(AddressError, match="cannot be taken over"):
        kernel.listen(UnixPath(path), 1)


def test_a_path_that_goes_while_it_is_looked_at(kernel, keep, short_dir, monkeypatch):
    """Another server that ends just now removes it: then it is free."""
    address = UnixPath(f"{short_dir}/s")
    kernel.listen(address, 1).close()
    real, tries = socket.socket.connect, []

    class Racing(socket.socket):
        """One whose connect comes too late."""

        def connect(self, path):
            tries.append(path)
            os.unlink(path)
            real(self, path)

    monkeypatch.setattr(kernel_module.socket, "socket", Racing)
    keep(kernel.listen(address, 1))
    assert tries == [address.path]


WAITS = """
import sys
from evloop.address import UnixPath
from evloop.kernel import Kernel
print("asks", flush=True)
sock = Kernel().connect(UnixPath(sys.argv[1]), 60)
sock.send(b"hello")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="whether it sleeps stands in /proc")
def test_a_wait_for_a_full_queue_that_is_stopped(kernel, keep, short_dir):
    """With Ctrl-Z, and let go on: the kernel ends the call then, and nobody is connected."""
    address = UnixPath(f"{short_dir}/s")
    listener = keep(Kernel(blocking=True).listen(address, 0))
    keep(kernel.connect(address, 1))
    with subprocess.Popen(
        [sys.executable, "-P", "-c", WAITS, address.path], stdout=subprocess.PIPE
    ) as client:
        try:
            assert client.stdout.readline() == b"asks\n"
            for number, state in ((0, "S"), (signal.SIGSTOP, "T"), (signal.SIGCONT, "S")):
                client.send_signal(number)
                until_state(client.pid, state)
            for said in (b"", b"hello"):  # the first is who filled the queue, and says nothing
                caller = keep(kernel.accept(listener)[0])
                caller.settimeout(30)
                assert not said or caller.recv(10) == said
            assert client.wait(30) == 0
        finally:
            client.kill()


def until_state(pid, state):
    """Wait until a process is in this state: proc_pid_stat(5)."""
    deadline = time.monotonic() + 30
    while (found := Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]) != state:
        assert time.monotonic() < deadline, found


def test_two_servers_at_once(kernel, keep, short_dir, monkeypatch):
    """Between its bind(2) and its listen(2) a server refuses, as a dead one does: the other waits."""
    address = UnixPath(f"{short_dir}/s")
    bound, waits, listening = threading.Event(), threading.Event(), []
    real_bind, real_flock = binding.bind, binding.fcntl.flock

    def bind(*args):
        real_bind(*args)
        if not bound.is_set():
            bound.set()
            assert waits.wait(30)

    def flock(*args):
        try:
            real_flock(*args)
        except BlockingIOError:
            waits.set()
            raise

    monkeypatch.setattr(binding, "bind", bind)
    monkeypatch.setattr(binding.fcntl, "flock", flock)
    monkeypatch.setattr(binding, "LOCK_TRIES", 100_000)  # however slow the first one is
    first = threading.Thread(target=lambda: listening.append(keep(kernel.listen(address, 1))))
    first.start()
    assert bound.wait(30)
    try:
        with pytest.raises(AddressError, match="in use by a living server"):
            kernel.listen(address, 1)
    finally:
        waits.set()
        first.join(30)
    assert len(listening) == 1
    assert os.listdir(short_dir) == ["s"]
    keep(kernel.connect(address, 1))


def test_a_folder_that_somebody_keeps_locked(kernel, keep, short_dir, monkeypatch):
    """Whoever may read it can, and nobody is kept from serving by that."""
    slept = []
    monkeypatch.setattr(binding.time, "sleep", slept.append)
    fd = os.open(short_dir, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        keep(kernel.listen(UnixPath(f"{short_dir}/s"), 1))
    finally:
        os.close(fd)
    assert len(slept) == binding.LOCK_TRIES


def test_a_folder_that_cannot_be_locked(kernel, keep, short_dir, monkeypatch):
    """Not every file system has locks."""
    tries = []

    def flock(*_):
        tries.append(1)
        raise failure(errno.ENOLCK)

    monkeypatch.setattr(binding.fcntl, "flock", flock)
    keep(kernel.listen(UnixPath(f"{short_dir}/s"), 1))
    assert tries == [1]


def test_a_path_that_may_not_be_removed(kernel, short_dir, monkeypatch):
    """A sentence, and not a traceback."""
    address = UnixPath(f"{short_dir}/s")
    kernel.listen(address, 1).close()
    tries = []

    def unlink(path):
        tries.append(path)
        raise failure(errno.EPERM)

    monkeypatch.setattr(binding.os, "unlink", unlink)
    with pytest.raises(AddressError, match="cannot be bound: Operation not permitted"):
        kernel.listen(address, 1)
    assert tries == [address.path]


@pytest.mark.parametrize("path", ["/nowhere/at/all", "/dev/null/s"])
def test_a_folder_that_is_not_there(kernel, path):
    """The system's own words."""
    with pytest.raises(AddressError, match="cannot be bound"):
        kernel.listen(UnixPath(path), 1)


def test_a_private_path(kernel, keep, short_dir):
    """Its owner's alone from the first moment, and the umask is as before."""
    umask = os.umask(0)
    try:
        keep(kernel.listen(UnixPath(f"{short_dir}/private"), 1, mode=0o600))
        keep(kernel.listen(UnixPath(f"{short_dir}/public"), 1))
        assert os.umask(0) == 0
    finally:
        os.umask(umask)
    assert stat.S_IMODE(os.stat(f"{short_dir}/private").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(f"{short_dir}/public").st_mode) == 0o777


def test_a_private_path_behind_a_link_of_others(kernel, keep, short_dir):
    """In a folder where others may write nobody leads it elsewhere; where only we may, a link is ours."""
    os.mkdir(f"{short_dir}/real")
    os.symlink("real", f"{short_dir}/link")
    address = UnixPath(f"{short_dir}/link/s")
    keep(kernel.listen(address, 1, mode=0o600)).close()
    os.chmod(short_dir, 0o1777)
    os.unlink(address.path)
    with pytest.raises(AddressError, match="cannot be bound: 'link' on its way is a symbolic link"):
        kernel.listen(address, 1, mode=0o600)
    assert os.listdir(f"{short_dir}/real") == []
    keep(kernel.listen(UnixPath(f"{short_dir}/real/s"), 1, mode=0o600))


def test_only_our_own_path_is_removed(kernel, keep, short_dir):
    """Another server's that took it over stays; one that is gone already is no failure."""
    address = UnixPath(f"{short_dir}/s")
    mine = keep(kernel.listen(address, 1))
    inode = kernel.inode_of(address)
    os.unlink(address.path)
    other = keep(kernel.listen(address, 1))
    kernel.remove_path(address, inode)
    assert os.path.exists(address.path)
    kernel.remove_path(address, kernel.inode_of(address))
    assert not os.path.exists(address.path)
    kernel.remove_path(address, inode)
    assert mine.fileno() != other.fileno()


def test_an_abstract_name(kernel, keep, short_dir):
    """It is no file, and is shown with the @ it was given with."""
    address = UnixPath(f"@evloop-test-{os.path.basename(short_dir)}")
    listener = keep(kernel.listen(address, 1))
    assert kernel.inode_of(address) == 0
    assert kernel.address_of(listener) == address.path
    keep(kernel.connect(address, 1))
    with pytest.raises(AddressError, match="in use by a living server"):
        kernel.listen(address, 1)
    kernel.remove_path(address, 0)


# -- looking ---------------------------------------------------------------------------------


def test_which_hosts_are_ours(kernel):
    """Those that can be bound."""
    assert kernel.is_local("127.0.0.1")
    assert kernel.is_local("127.1.2.3")
    assert not kernel.is_local("203.0.113.1")
    assert not kernel.is_local("2001:db8::1")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EINVAL])
def test_a_host_of_which_nothing_can_be_told(kernel, monkeypatch, number):
    """Better not answered than answered for ever."""
    tries = []

    def no_socket(*_):
        tries.append(1)
        raise failure(number)

    monkeypatch.setattr(kernel_module.socket, "socket", no_socket)
    assert kernel.is_local("203.0.113.1")
    assert tries == [1]


def test_a_reset_on_demand(kernel, keep):
    """The peer is told ECONNRESET instead of the end of the stream."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 1))
    client = kernel.connect(Inet(*listener.getsockname()), 1)
    accepted = keep(kernel.accept(listener)[0])
    kernel.reset_on_close(client)
    kernel.close(client, "stop")
    accepted.setblocking(True)
    with pytest.raises(ConnectionResetError):
        accepted.recv(1)


def test_a_connect_that_fails_gives_its_socket_back(kernel, keep, descriptors):
    """Nobody listens there."""
    port = keep(kernel.bind(Inet("127.0.0.1", 0))).getsockname()[1]
    before = descriptors()
    with pytest.raises(ConnectionRefusedError):
        kernel.connect(Inet("127.0.0.1", port), 1)
    assert descriptors() == before


@pytest.mark.parametrize("timeout", [None, 1e-9])
def test_a_unix_connection_waits_in_its_calls(kernel, keep, short_dir, timeout):
    """After connecting as the others do; and the shortest time is not taken for none at all, socket(7)."""
    address = UnixPath(f"{short_dir}/s")
    keep(kernel.listen(address, 0))
    client = keep(kernel.connect(address, timeout))
    assert client.gettimeout() == timeout
    if timeout:
        with pytest.raises(BlockingIOError):
            kernel.connect(address, timeout)


# -- descriptors -----------------------------------------------------------------------------


@pytest.mark.usefixtures("limits")
def test_as_many_descriptors_as_there_may_be(selector):
    """All of them; with select only those below 1024, since it cannot name another."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    wanted = FD_SETSIZE if selector == "select" else hard
    assert raise_descriptor_limit(selector) == wanted
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, hard)


@pytest.mark.usefixtures("limits")
def test_a_limit_that_cannot_be_raised(monkeypatch):
    """Stays what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def setrlimit(*_):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert raise_descriptor_limit("epoll") == soft
    monkeypatch.undo()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


@pytest.mark.usefixtures("limits")
def test_more_clients_than_select_can_name(real, keep):
    """With descriptor 1024 select(2) would fail for everybody: accept fails for one instead."""
    raise_descriptor_limit("select")
    server = real("select", traced=True)
    address = server.tcp()
    client = server.client(address)
    assert server.exchange(client, b"x") == b"X"
    waiting = server.client(address)
    fillers = []
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        assert max(fillers) == FD_SETSIZE - 1
        server.until(lambda: server.events("limit"))
        assert server.exchange(client, b"y") == b"Y"
        assert len(server.streams) == 1
    finally:
        for fd in fillers:
            os.close(fd)
    assert server.exchange(waiting, b"z") == b"Z"


# -- programs that block ---------------------------------------------------------------------


def test_a_blocking_kernel(keep):
    """Its listeners, datagram sockets and connections sleep in their calls."""
    kernel = Kernel(blocking=True)
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 1))
    keep(socket.create_connection(listener.getsockname()))
    accepted = keep(kernel.accept(listener)[0])
    datagrams = keep(kernel.bind(Inet("127.0.0.1", 0)))
    assert all(sock.getblocking() for sock in (listener, accepted, datagrams))


def test_all_is_sent():
    """In as many calls as the kernel wants; nothing at all is a call, too: on UDP it is a datagram."""
    taken = []

    def send(data):
        taken.append(bytes(data[:2]))
        return len(taken[-1])

    send_all(send, b"abcde")
    send_all(send, b"")
    assert taken == [b"ab", b"cd", b"e", b""]


def test_hearing_no_more(kernel, keep):
    """What has arrived is read, and then the end; the other direction lives on, until it is broken off."""
    ours, theirs = map(keep, socket.socketpair())
    theirs.send(b"said before")
    kernel.hear_no_more(ours)
    assert [ours.recv(100), ours.recv(100)] == [b"said before", b""]
    ours.send(b"still sent")
    kernel.break_off(ours)
    assert [theirs.recv(100), theirs.recv(100)] == [b"still sent", b""]
    with pytest.raises(BrokenPipeError):
        ours.send(b"x")
    ours.close()
    kernel.hear_no_more(ours)
    kernel.break_off(ours)
