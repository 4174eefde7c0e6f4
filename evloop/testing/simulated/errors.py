"""Which errno each call may fail with, after its man page; and which it is to fail with next."""

from __future__ import annotations

import errno
import os
from collections import Counter, deque

__all__ = ["MAY_FAIL", "Faults", "again", "failure"]

_ENONET = getattr(errno, "ENONET", 64)  # Linux alone has it, and this is as Linux, wherever it runs

# EINTR is in none of them: Python makes an interrupted call again (PEP 475).
MAY_FAIL: dict[str, tuple[int, ...]] = {
    "accept": (
        errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM,
        errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, _ENONET,
        errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOSR, errno.ESOCKTNOSUPPORT, errno.EPROTONOSUPPORT,
        errno.ETIMEDOUT, errno.EBADF, errno.EFAULT, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP,
    ),
    "recv": (
        errno.EAGAIN, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH,
        errno.ENETDOWN, errno.ECONNREFUSED, errno.ENOMEM, errno.ENOBUFS, errno.ENOTCONN, errno.EPIPE,
        errno.EBADF, errno.EFAULT, errno.EINVAL, errno.ENOTSOCK,
    ),
    "send": (
        errno.EAGAIN, errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH,
        errno.ENETUNREACH, errno.ENETDOWN, errno.ENOBUFS, errno.ENOMEM, errno.EACCES, errno.EALREADY,
        errno.EMSGSIZE, errno.ENOTCONN, errno.EDESTADDRREQ, errno.EISCONN, errno.EOPNOTSUPP, errno.EBADF,
        errno.EFAULT, errno.EINVAL, errno.ENOTSOCK,
    ),
    "recvfrom": (
        errno.EAGAIN, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN,
        errno.EMSGSIZE, errno.ENOMEM, errno.ENOBUFS, errno.EBADF, errno.EFAULT, errno.EINVAL,
        errno.ENOTCONN, errno.ENOTSOCK,
    ),
    "sendto": (
        errno.EAGAIN, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN,
        errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM, errno.EACCES, errno.EPERM, errno.EINVAL,
        errno.EDESTADDRREQ, errno.EISCONN, errno.EOPNOTSUPP, errno.EBADF, errno.EFAULT, errno.ENOTSOCK,
    ),
    "shutdown": (errno.ENOTCONN, errno.EBADF, errno.EINVAL, errno.ENOTSOCK),
    # epoll_ctl(2) with EPOLL_CTL_ADD. To change or end what it has done needs no memory, and cannot fail.
    "register": (errno.ENOMEM, errno.ENOSPC),
}  # fmt: skip
"""By call, the errnos of accept(2), recv(2), send(2), shutdown(2), epoll_ctl(2), ip(7), tcp(7), udp(7)."""


def failure(number: int) -> OSError:
    """What a call raises that fails with this errno."""
    return OSError(number, os.strerror(number))


def again() -> BlockingIOError:
    """EAGAIN: there is nothing, or no room."""
    return BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


class Faults:
    """What the next calls are to fail with; `fired` counts those that did, by (call, errno)."""

    def __init__(self) -> None:
        self.fired: Counter[tuple[str, int]] = Counter()
        self.lasting: dict[tuple[str, object], int] = {}
        """What calls on a socket fail with until somebody takes it away again; it is not counted."""
        self._next: dict[tuple[str, object], deque[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._next or self.lasting)

    def add(self, call: str, number: int, of: object = None) -> None:
        """Have a call fail once: the next on socket `of`, or the next on any.

        Raises:
            ValueError: the man page does not have this errno.
        """
        if number not in MAY_FAIL[call]:
            raise ValueError(f"{call} cannot fail with {errno.errorcode.get(number, number)!r}")
        self._next.setdefault((call, of), deque()).append(number)

    def take(self, call: str, of: object) -> int:
        """The errno of the fault that is due, which it is no longer; 0 if none is."""
        for key in ((call, of), (call, None)):
            if key in self._next:
                number = self._next[key].popleft()
                if not self._next[key]:
                    del self._next[key]
                self.fired[call, number] += 1
                return number
        return 0

    def forget(self, of: object) -> None:
        """The socket is closed: what it has not failed with it will not."""
        for lasting in [key for key in self.lasting if key[1] is of]:
            del self.lasting[lasting]
        for key in [key for key in self._next if key[1] is of]:
            del self._next[key]

    def clear(self) -> None:
        """Nothing fails any more."""
        self.lasting.clear()
        self._next.clear()
