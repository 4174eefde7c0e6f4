"""The kernel's memory, put together by hand: pages, and the files that describe what is in them."""

from __future__ import annotations

import struct
import sys
from types import SimpleNamespace

import pytest

FIELD = "\tfield:{type} {name};\toffset:{at};\tsize:{size};\tsigned:{signed};\n"
TYPES = {
    "H": ("__u16", 2, 0), "i": ("int", 4, 1), "Q": ("const void *", 8, 0), "4s": ("__u8", 4, 0),
    "16s": ("__u8", 16, 0), "28s": ("__u8", 28, 0),
}  # fmt: skip
HEADER_PAGE = (
    "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
    "\tfield: local_t commit;\toffset:8;\tsize:{size};\tsigned:1;\n"
    "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
    "\tfield: char data;\toffset:{data};\tsize:4080;\tsigned:0;\n"
)


def form(number: int, **fields: str) -> str:
    """The `format` file of an event, whose fields stand one behind the other."""
    at, text = (
        8,
        "name: x\nID: {number}\nformat:\n"
        + FIELD.format(type="unsigned short", name="common_type", at=0, size=2, signed=0),
    )
    for name, code in fields.items():
        kind, size, signed = TYPES[code]
        array = f"[{size}]" if code.endswith("s") else ""
        text += FIELD.format(type=kind, name=name + array, at=at, size=size, signed=signed)
        at += size
    return text.replace("{number}", str(number)) + '\nprint fmt: "x=%s", REC->x\n'


def record(number: int, layout: str, *values: object) -> bytes:
    """An event as it lies in memory."""
    return struct.pack("=H6x" + layout, number, *values)


def word(kind: int, delta: int) -> bytes:
    """What stands before an event."""
    return struct.pack("=I", kind | delta << 5 if sys.byteorder == "little" else kind << 27 | delta)


def page(t: int, *parts: bytes, flags: int = 0, behind: bytes = b"") -> bytes:
    """A page of the ring buffer."""
    data = b"".join(parts)
    return (struct.pack("=QQ", t, len(data) | flags) + data + behind).ljust(4096, b"\0")


@pytest.fixture
def memory() -> SimpleNamespace:
    """The functions that make it."""
    return SimpleNamespace(form=form, record=record, word=word, page=page, header_page=HEADER_PAGE)
