"""Where the kernel's tracepoints are reached: tracefs, mounted or not.

Where nobody has mounted it, it is opened without being mounted anywhere: fsopen(2) and fsmount(2) give a
descriptor of its root, and no mount table changes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

from evloop.errors import EvloopError

__all__ = ["no_rights", "open_tracefs"]

_PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")

# asm-generic/unistd.h: these came when all architectures had begun to number alike. linux/mount.h.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSOPEN_CLOEXEC, _FSMOUNT_CLOEXEC, _FSCONFIG_CMD_CREATE = 1, 1, 6


def open_tracefs() -> int:
    """A descriptor of its root directory.

    Raises:
        EvloopError: it is not to be had; the message says what it needs.
    """
    if sys.platform != "linux":
        raise EvloopError("--kernel needs Linux: it reads the tracepoints of its kernel")
    for place in _PLACES:
        if os.path.isdir(f"{place}/instances"):
            return os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _open_unmounted()
    except OSError as error:
        raise EvloopError(_why(error)) from None


def no_rights() -> str:
    """What is missing: a sentence."""
    return (
        "--kernel needs the rights of the whole machine's root, for tracefs: use sudo; "
        "evloop lab does not help, the root of a lab has no right to it"
    )


def _open_unmounted() -> int:
    context = _call(_FSOPEN, b"tracefs", _FSOPEN_CLOEXEC)
    try:
        _call(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return _call(_FSMOUNT, context, _FSMOUNT_CLOEXEC, 0)
    finally:
        os.close(context)


def _call(number: int, *arguments: bytes | int | None) -> int:
    """syscall(2): the C library has had names for these only since glibc 2.36."""
    result: int = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if result < 0:
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))
    return result


def _why(error: OSError) -> str:
    if error.errno in {errno.EPERM, errno.EACCES}:
        return no_rights()
    if error.errno == errno.ENODEV:
        return "--kernel needs a kernel with tracepoints, and this one was built without tracefs"
    if error.errno == errno.ENOSYS:  # before Linux 5.2
        return f"--kernel needs tracefs, which is not mounted: mount -t tracefs nodev {_PLACES[0]}"
    return f"--kernel cannot reach tracefs: {error.strerror}"
