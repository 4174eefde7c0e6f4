"""What a log says of an exception."""

import errno
import os
import socket

import pytest

from evloop.raised import error_line


class _Mute(Exception):  # noqa: N818 - it is none of a library
    """Says nothing."""

    def __str__(self) -> str:
        raise ZeroDivisionError


NOT_FOUND = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "my-password")
RESET = "ConnectionResetError: [Errno 104] Connection reset by peer"

OURS = UnicodeDecodeError("utf-8", b"my-password", 0, 1, "my-password")
try:
    b"my-passw\xc3".decode()
except UnicodeDecodeError as error:
    CUT = error


@pytest.mark.parametrize(
    ("error", "whole", "bare"),
    [
        (ValueError("my-password"), "ValueError: my-password", "ValueError"),
        (KeyError("my-password"), "KeyError: 'my-password'", "KeyError"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
        (ValueError("\udcff"), "ValueError: \\xff", "ValueError"),
        (_Mute(), "_Mute: <exception str() failed>", "_Mute"),
        (ConnectionResetError(104, "Connection reset by peer"), RESET, RESET),
        (
            NOT_FOUND,
            "FileNotFoundError: [Errno 2] No such file or directory: 'my-password'",
            "FileNotFoundError: [Errno 2] No such file or directory",
        ),
        (OSError(errno.EIO, "my-password"), "OSError: [Errno 5] my-password", "OSError"),
        (OSError("my-password", "my-password"), "OSError: [Errno my-password] my-password", "OSError"),
        (OSError([], "my-password"), "OSError: [Errno []] my-password", "OSError"),
        (OSError(9999, "Unknown error 9999"), "OSError: [Errno 9999] Unknown error 9999", "OSError"),
        (OSError("my-password"), "OSError: my-password", "OSError"),
        (CUT, f"UnicodeDecodeError: {CUT}", "UnicodeDecodeError: unexpected end of data"),
        (OURS, f"UnicodeDecodeError: {OURS}", "UnicodeDecodeError"),
        (socket.gaierror(-2, "my-password"), "gaierror: [Errno -2] my-password", "gaierror"),
    ],
)
def test_what_a_log_says_of_an_exception(error, whole, bare):
    """Its type and what it says; where no payload is kept, only what cannot quote one."""
    assert error_line(error) == whole
    assert error_line(error, payloads=False) == bare
