"""strace's lines become calls, whatever anybody has named his socket, and however threads cut them."""

from __future__ import annotations

import pytest
from evloop_trace.audit.strace import Reader, SystemCall


def read(*lines: str) -> Reader:
    """What the reader made of lines, each of thread 7 if it says nothing else."""
    reader = Reader()
    reader.feed(line if line[0].isdecimal() else f"7  1700000000.000001 {line}\n" for line in lines)
    reader.finish()
    return reader


def only(*lines: str) -> SystemCall:
    """The only call."""
    (call,) = read(*lines).calls
    return call


def test_a_call() -> None:
    """All that a line says."""
    call = only(
        '7 1700000000.123456 recvfrom(9<TCP:[127.0.0.1:80->127.0.0.1:5]>, ""..., 5, 0, NULL, NULL) = 5'
    )
    assert (call.thread, call.at, call.name, call.fd) == (7, 1_700_000_000_123_456_000, "recvfrom", 9)
    assert (call.what, call.result, call.errno, call.outcome) == ("TCP", 5, "", 5)
    assert call.text.startswith("recvfrom(9<")


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("accept4(3<TCP:[127.0.0.1:80]>, NULL, NULL, 0) = -1 EAGAIN (Try again)", "EAGAIN"),
        ("accept4(3<TCP:[127.0.0.1:80]>, NULL, NULL, 0) = -1 EMFILE (Too many) (INJECTED)", "EMFILE"),
        ("recvfrom(3<TCP:[1]>, 0x7f, 1, 0, NULL, NULL) = -1 EIO (Oh) (INJECTED) (DELAYED)", "EIO"),
        ('recvfrom(3<TCP:[1]>, "A"..., 3, 0, NULL, NULL) = 3 (INJECTED: args, retval)', 3),
        ("recvfrom(3<TCP:[1]>, 0x7f, 1, 0, NULL, NULL) = ? ERESTARTSYS (To be restarted)", "ERESTARTSYS"),
        ("recvfrom(3<TCP:[1]>, 0x7f, 1, 0, NULL, NULL) = ?", None),
        ("poll([...], 1, 50) = 0 (Timeout)", 0),
        ("pselect6(13, [11<UNIX-STREAM:[1->2]>], [], NULL, NULL, NULL) = 1 (out [12], left {tv_sec=0})", 1),
    ],
)  # fmt: skip
def test_results(line: str, outcome: int | str | None) -> None:
    """Numbers, errnos, what was injected, what the kernel restarts, and what never returned."""
    call = only(line)
    assert call.outcome == outcome
    assert call.injected == ("INJECTED" in line)
    assert call.interrupted == (outcome == "ERESTARTSYS")


@pytest.mark.parametrize(
    ("line", "fd", "result"),
    [
        (
            r'accept4(3<UNIX-STREAM:[5,"a\"b> = 5\n) \\x"]>, NULL, NULL, 0) = 9<UNIX-STREAM:[6->7,") = 8"]>',
            3,
            9,
        ),
        (r"close(4</tmp/f\76 = 7) \"q>) = 0", 4, 0),
        (r"close(4</tmp/a->) = 0", 4, 0),
        (r'bind(3<UNIX-STREAM:[5]>, {sa_family=AF_UNIX, sun_path="x) = 7 <unfinished ...>"}, 16) = 0', 3, 0),
        (r'sendto(4<UNIX-STREAM:[5->6,@"\n7 1700000000.1 close(3) = 0"]>, ""..., 5, 0, NULL, 0) = 5', 4, 5),
    ],
)
def test_hostile_names(line: str, fd: int, result: int) -> None:
    """Paths and names of sockets that look like the rest of a line."""
    call = only(line)
    assert (call.fd, call.result) == (fd, result)


def test_threads_interrupt_each_other() -> None:
    """Two halves are one call, which stands where it returned; a thread that is gone never returned."""
    reader = read(
        "7 1700000000.000001 clone3({flags=CLONE_VM|CLONE_THREAD} <unfinished ...>",
        "8 1700000000.000002 recvfrom(5<TCP:[1]>,  <unfinished ...>",
        "7 1700000000.000003 <... clone3 resumed> => {parent_tid=[8]}, 88) = 8",
        "7 1700000000.000004 close(6<TCP:[2]>) = 0",
        '8 1700000000.000005 <... recvfrom resumed>""..., 9, 0, NULL, NULL) = 3',
        "8 1700000000.000006 recvfrom(5<TCP:[1]>,  <unfinished ...>",
        "7 1700000000.000007 clone(child_stack=NULL, flags=SIGCHLD) = 9",
        "9 1700000000.000007 accept4(5<TCP:[1]>,  <detached ...>",
        "8 1700000000.000008 +++ exited with 0 +++",
    )
    assert [(it.name, it.thread, it.result, it.line, it.began) for it in reader.calls] == [
        ("close", 7, 0, 4, 4), ("recvfrom", 8, 3, 5, 2), ("recvfrom", 8, None, 9, 6),
        ("accept4", 9, None, 9, 8),
    ]  # fmt: skip
    assert [reader.process(thread) for thread in (7, 8, 9)] == [7, 7, 9]
    assert reader.unread == 0


def test_a_call_that_is_restarted() -> None:
    """After a stop the kernel takes poll up again, under another name."""
    lines = ("poll([...], 1, -1) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)", "--- SIGCONT {} ---")
    first, again = read(*lines, "restart_syscall(<... resuming interrupted poll ...>) = 1").calls
    assert (first.interrupted, again.name, again.result) == (True, "poll", 1)


def test_what_makes_no_sense_is_counted() -> None:
    """A line of something else, one without an end, and the second half of nothing."""
    reader = read("7 hello", "close(3", "<... read resumed>) = 3", "+++ killed +++")
    assert (reader.calls, reader.unread) == ([], 3)


@pytest.mark.parametrize(
    ("lines", "whole"),
    [
        ((), False),
        (("close(3<TCP:[1]>) = 0",), False),
        (("close(3<TCP:[1]>) = 0", "+++ exited with 0 +++"), True),
        (("+++ killed by SIGKILL +++",), True),
        (("+++ killed by SIGSEGV (core dumped) +++",), True),
        (("+++ exited with 0 +++", "8 1700000000.000002 close(3<TCP:[1]>) = 0\n"), False),
        (("+++ superseded by execve in pid 8 +++",), False),
        (("8 1700000000.000002 +++ exited wi",), False),
        (("8 1700000000.000002 +++ exited with 0 +++",), True),
    ],
)
def test_the_last_line_is_of_an_end(lines: tuple[str, ...], whole: bool) -> None:
    """strace sees every thread end: what stops before that was not written to its end."""
    assert read(*lines).whole == whole
