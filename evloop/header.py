"""A log's first line: what runs, where, and how to read its clock."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from evloop import __version__
from evloop.events.recorder import read_clocks
from evloop.events.schema import SCHEMA, Header
from evloop.printable import encodable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["make_header"]

# What changes the picture from one machine to another.
SYSCTLS = (
    "net/core/somaxconn", "net/ipv4/tcp_abort_on_overflow", "net/ipv4/tcp_syncookies",
    "net/ipv4/tcp_tw_reuse", "net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem", "net/ipv4/tcp_fin_timeout",
)  # fmt: skip


class _Kept(Protocol):
    """How much of a payload goes into the log."""

    @property
    def payload(self) -> str: ...

    @property
    def payload_max(self) -> int: ...


def make_header(
    keep: _Kept,
    options: Mapping[str, int | float | None],
    *,
    model: str,
    mode: str = "",
    selector: str = "",
    bug: str = "",
) -> Header:
    """The header of this process, with the clocks as they are now; `options` are the program's limits."""
    mono_ns, wall_ns, bracket_ns = read_clocks()
    python = sys.version.partition(" ")[0]
    return Header(
        0, 0, 0, SCHEMA, mono_ns, wall_ns, bracket_ns,
        pid=os.getpid(), argv=[encodable(word) for word in getattr(sys, "argv", sys.orig_argv)],
        selector=selector, mode=mode,
        versions={"evloop": __version__, "python": python, "kernel": os.uname().release},
        payload=keep.payload, payload_max=keep.payload_max, options=dict(options),
        sysctls={name.replace("/", "."): text for name in SYSCTLS if (text := _read(f"/proc/sys/{name}"))},
        boot_id=_read("/proc/sys/kernel/random/boot_id"), model=model, bug=bug,
    )  # fmt: skip


def _read(path: str) -> str:
    """A small file of the system, or nothing where there is no such file."""
    try:
        with open(path, encoding="ascii") as file:
            return " ".join(file.read().split())
    except OSError:
        return ""
