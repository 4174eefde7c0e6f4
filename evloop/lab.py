"""A network of one's own: fresh namespaces, in which an ordinary user may do what needs root elsewhere.

user_namespaces(7): whoever makes a user namespace has every right in it, and so over the network namespace
that belongs to it. There every port is free and nothing leads out. Outside nothing has changed.

This module makes the system calls that this takes, and no other does.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import signal
import socket
import struct
import sys
from typing import TYPE_CHECKING, NoReturn

from evloop.errors import EvloopError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["become", "enter", "set_loopback"]

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1  # linux/sockios.h, linux/if.h
_IFREQ = struct.Struct("=16sH22x")

# What may forbid it, by its path in /proc/sys, the value that does, and one that does not.
_SETTINGS = (
    ("kernel.unprivileged_userns_clone", "0", "1"),  # Debian's kernels
    ("user.max_user_namespaces", "0", "10000"),
    ("user.max_net_namespaces", "0", "10000"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu since 23.10
)


def become(command: Sequence[str]) -> NoReturn:
    """Be the command, in a lab: same process, same streams, and what it ends with is our end.

    Without a command it is the user's shell.

    Raises:
        EvloopError: there is no such command, or the system forbids labs.
    """
    arguments = [*command] or [os.environ.get("SHELL") or "/bin/sh"]
    program = shutil.which(arguments[0])
    if program is None:
        raise EvloopError(f"{arguments[0]} cannot be started: there is no such command")
    enter()
    # Python ignores these two, and what is ignored stays so in the program that a process becomes: signal(7).
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(program, arguments)  # noqa: S606 - the user's own command
    except OSError as error:
        raise EvloopError(f"{arguments[0]} cannot be started: {error.strerror}") from None


def enter(*, buckets: int = 0) -> None:
    """Be in fresh namespaces from here on, as root there, with loopback up.

    Args:
        buckets: How large the network's own table of TCP sockets is to be, a power of 2. With 0, and before
            Linux 6.1, it shares the machine's, and whoever reads /proc/net/tcp walks through all of that,
            which takes milliseconds.

    Raises:
        EvloopError: it is not to be had; the message says which setting forbids it.
    """
    if sys.platform != "linux":
        raise EvloopError("a lab needs Linux: it is made of user and network namespaces")
    mapper = _Mapper()
    failed = 0
    try:
        if _libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
            failed = ctypes.get_errno()
    finally:
        refused = mapper.finish(wanted=not failed)
    if failed or refused:
        raise EvloopError(_why(failed or refused))
    if buckets:
        _take_own_table(buckets)
    set_loopback(up=True)  # a new network namespace has nothing else, and that is down


def _take_own_table(buckets: int) -> None:
    """Be in another network, which has a table of its own, as this one says of its children: ip-sysctl.

    The kernel makes tcp_max_syn_backlog fit the table; here it stays as the machine has it.
    """
    syn_backlog = _setting("net.ipv4.tcp_max_syn_backlog")
    try:
        _write("/proc/sys/net/ipv4/tcp_child_ehash_entries", str(buckets))
    except OSError:  # an older Linux
        return
    if not _libc().unshare(_CLONE_NEWNET):
        _write("/proc/sys/net/ipv4/tcp_max_syn_backlog", syn_backlog)


def set_loopback(*, up: bool) -> None:
    """ip link set lo up, or down: netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0))
        flags = _IFREQ.unpack(answer)[1] & ~_IFF_UP
        fcntl.ioctl(sock, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", flags | (_IFF_UP if up else 0)))


class _Mapper:
    """A process that stays outside, and says there who we are inside.

    Only from outside can more than ourselves be given a number inside. Until that is done we are nobody.
    """

    def __init__(self) -> None:
        read, self._write = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid:
            os.close(read)
            return
        os.close(self._write)
        code = 0
        try:
            if os.read(read, 1):
                _write_maps(f"/proc/{parent}")
        except OSError as error:
            code = error.errno or errno.EPERM
        finally:
            os._exit(code)

    def finish(self, *, wanted: bool) -> int:
        """Have it done, or not; an errno, 0 if all is well."""
        if wanted:
            os.write(self._write, b"!")
        os.close(self._write)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _write_maps(process: str) -> None:
    """Who a process is in the user namespace that it has just made: user_namespaces(7).

    Of root's processes everybody remains who they are. Another user becomes root and may name nobody else;
    outside, what this root does is done by that user.
    """
    if os.geteuid() == 0:
        try:
            for name in ("uid_map", "gid_map"):
                with open(f"/proc/self/{name}") as file:
                    ranges = [line.split() for line in file]
                _write(
                    f"{process}/{name}", "".join([f"{first} {first} {size}\n" for first, _, size in ranges])
                )
        except PermissionError:  # root of a container, say, without CAP_SETUID
            pass
        else:
            return
    _write(f"{process}/setgroups", "deny")
    _write(f"{process}/uid_map", f"0 {os.geteuid()} 1\n")
    _write(f"{process}/gid_map", f"0 {os.getegid()} 1\n")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)  # os.unshare came with Python 3.12


def _why(number: int) -> str:
    """What forbids it: a sentence."""
    for name, forbids, allows in _SETTINGS:
        if _setting(name) == forbids:
            return f"the system forbids a lab, as {name} is {forbids}: sudo sysctl {name}={allows} allows it"
    return (
        f"the system forbids a lab ({os.strerror(number)}), and none of its settings says so: "
        "in a container, whoever runs that does"
    )


def _setting(name: str) -> str:
    try:
        with open(f"/proc/sys/{name.replace('.', '/')}") as file:
            return file.read().strip()
    except OSError:  # this system does not have it
        return ""
