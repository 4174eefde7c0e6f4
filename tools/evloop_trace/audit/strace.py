"""strace's lines as system calls: `strace -f -ttt -yy -s 0 -q -o FILE`, see strace(1).

A line is a call: `4711 1700000000.123456 recvfrom(7<TCP:[127.0.0.1:8080->127.0.0.1:5000]>, ""..., 9, 0) = 5`.
One that another thread interrupts is two, `<unfinished ...>` and `<... recvfrom resumed>`. What stands in
`<>` behind a descriptor is whatever it is: of a file its path, of a Unix socket its name, which anybody may
have chosen so that it looks like the rest of a line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CALLS", "Reader", "SystemCall"]

CALLS = (
    "socket", "bind", "listen", "accept", "accept4", "connect", "recvfrom", "recvmsg", "read", "readv",
    "sendto", "sendmsg", "write", "writev", "sendfile", "shutdown", "setsockopt", "close", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6", "restart_syscall", "clone",
    "clone3", "fork", "vfork",
)  # fmt: skip
"""What strace is to look at; a name that an architecture does not have wants a `?` before it."""

_HEAD = re.compile(r"(\d+) +(\d+)\.(\d{6}) (.*)")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_BEGUN = re.compile(r"(\w+)\((.*)")
_UNFINISHED = re.compile(r"\s*<(?:unfinished|detached) \.\.\.>$")
# A path is escaped so that the first > ends it; in a socket's annotation there is the > of an arrow, and
# between quotes a Unix socket's name, in which only quotes and backslashes are escaped.
_ANNOTATION = r"<(?:/[^>]*|(?:\"(?:[^\"\\]|\\.)*\"|->|[^>\"])*)>"
_TOKEN = re.compile(rf'{_ANNOTATION}|"(?:[^"\\]|\\.)*"|[()\[\]{{}}]')
_FD = re.compile(rf"\s*(\d+)({_ANNOTATION})")
_RESULT = re.compile(
    rf"\) *= (?:(?P<n>-?\d+)|0x[0-9a-f]+|\?)(?:{_ANNOTATION})?(?: (?P<errno>E[A-Z0-9_]+)\b)?"
)
_NEW = {"clone", "clone3", "fork", "vfork"}
_DEEPER, _HIGHER = set("([{"), set(")]}")
_ENDED = re.compile(r"\+\+\+ (?:exited|killed) .*\+\+\+")
_INJECTED = re.compile(r" \(INJECTED(?:: args, retval)?\)(?: \(DELAYED\))?$")
_RESTARTED = re.compile(r"resuming interrupted (\w+)")


class SystemCall(NamedTuple):
    """One call of one thread."""

    line: int
    """Of strace's output, in which it returned; from 1."""
    began: int
    """The line in which it was begun."""
    thread: int
    at: int
    """When it was begun, in nanoseconds since the epoch."""
    name: str
    fd: int | None
    """Its first argument, where that is a descriptor."""
    what: str
    """What strace says the descriptor is: `TCP`, `UNIX-STREAM`, `/a/path`, …; or nothing."""
    arguments: str
    result: int | None
    """What it gave; -1 where it failed, None where it did not return."""
    errno: str
    """Such as EAGAIN; where a signal interrupted it also the kernel's own word, such as ERESTARTSYS."""
    text: str
    """As strace wrote it, without the thread and the time."""

    @property
    def injected(self) -> bool:
        """Whether it is strace that made it fail, or gave what it gave: the call was never made."""
        return _INJECTED.search(self.text) is not None

    @property
    def outcome(self) -> int | str | None:
        """The errno's name, or what it gave."""
        return self.errno or self.result

    @property
    def interrupted(self) -> bool:
        """Whether a signal came first: Python makes such a call again (PEP 475)."""
        return self.errno == "EINTR" or self.errno.startswith("ERESTART")


class Reader:
    """Lines in, calls out in the order in which they returned; who started whom is known at the end."""

    def __init__(self) -> None:
        self.calls: list[SystemCall] = []
        self.processes: dict[int, int] = {}
        """Thread → its process, for the threads that processes were seen to start."""
        self.unread = 0
        """Lines that make no sense."""
        self._line = 0
        self._open: dict[int, tuple[int, int, str]] = {}  # thread → line, time, the line's beginning
        self._last = ""  # line's text

    def feed(self, lines: Iterable[str]) -> None:
        """Read lines, without their newlines or with them."""
        for line in lines:
            self._line += 1
            head = _HEAD.match(line.rstrip("\n"))
            if head is None:
                self.unread += bool(line.strip())
                self._last = ""
                continue
            thread, at = int(head[1]), int(head[2]) * 10**9 + int(head[3]) * 1000
            self._last = head[4]
            self._take(thread, at, head[4])

    @property
    def whole(self) -> bool:
        """Whether nothing is missing at its end: the last that strace sees is how the last thread ended."""
        return _ENDED.fullmatch(self._last) is not None

    def finish(self) -> None:
        """There are no more lines: what is unfinished never returned."""
        for thread in tuple(self._open):
            self._never(thread)

    def process(self, thread: int) -> int:
        """Which process a thread is of."""
        return self.processes.get(thread, thread)

    def _take(self, thread: int, at: int, text: str) -> None:
        if text.startswith(("---", "+++")):  # a signal, an end
            if text.startswith("+++"):
                self._never(thread)
            return
        resumed = _RESUMED.match(text)
        began = self._line
        if resumed:
            if thread not in self._open:
                self.unread += 1
                return
            began, at, beginning = self._open.pop(thread)
            text = beginning + resumed[2]
        if _UNFINISHED.search(text):
            self._open[thread] = began, at, _UNFINISHED.sub("", text)
            return
        self._add(thread, at, began, text)

    def _never(self, thread: int) -> None:
        if thread in self._open:
            began, at, beginning = self._open.pop(thread)
            self._add(thread, at, began, f"{beginning}) = ?")

    def _add(self, thread: int, at: int, began: int, text: str) -> None:
        begun = _BEGUN.match(text)
        end = _closing(text, begun.start(2)) if begun else -1
        result = _RESULT.match(text, end) if end >= 0 else None
        if begun is None or result is None:
            self.unread += 1
            return
        name, arguments = begun[1], text[begun.start(2) : end]
        n = None if result["n"] is None else int(result["n"])
        if name in _NEW:
            self._started(thread, n, arguments)
            return
        if name == "restart_syscall" and (again := _RESTARTED.search(arguments)):
            name = again[1]
        fd = _FD.match(arguments)
        what = fd[2][1:-1] if fd else ""
        if not what.startswith("/"):
            what = what.partition(":")[0]
        self.calls.append(
            SystemCall(
                self._line, began, thread, at, name, int(fd[1]) if fd else None, what, arguments, n,
                result["errno"] or "", text,
            )
        )  # fmt: skip

    def _started(self, thread: int, child: int | None, arguments: str) -> None:
        if child is not None and child > 0 and "CLONE_THREAD" in arguments:
            self.processes[child] = self.process(thread)


def _closing(text: str, start: int) -> int:
    """Where the parenthesis closes before which `start` is; -1 if none does."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        sign = token[0]
        if sign in _DEEPER:
            depth += 1
        elif sign in _HIGHER:
            if not depth:
                return token.start()
            depth -= 1
    return -1
