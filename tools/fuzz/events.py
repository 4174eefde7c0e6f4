"""Logs that are well formed, and that no program wrote: any events in any order, anything in their fields.

What libFuzzer changes in a log byte by byte is nearly always a broken line, which is soon read. So a log is
changed here as what it is: lines come, go, are doubled and change places, and one field gets another value.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import inspect

from evloop.events.schema import EVENT_TYPES, SCHEMA, Header

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Change: TypeAlias = Callable[[list[bytes], Random], None]

__all__ = ["a_log", "change"]

_NAMES = ("tcp-1", "tcp-2", "unix-1", "listen-1", "listen-2", "udp-1", "evloop", "")
_POOLS: dict[str, tuple[Any, ...]] = {
    "conn": _NAMES, "sock": _NAMES, "name": _NAMES, "pair": _NAMES, "fd": (3, 4, 5, 6, -1),
    "interest": ("READ", "WRITE", "READ|WRITE", ""), "old": ("READ", "WRITE", ""), "new": ("READ", ""),
    "errno": (None, "EAGAIN", "ECONNRESET", "EMFILE", "timeout", "interrupted"),
    "proto": ("tcp", "udp", "unix", "unix-dgram", "other"), "how": ("SHUT_WR", "SHUT_RD", "SHUT_RDWR"),
    "peer": ("127.0.0.1:5", "[::1]:5", "", None), "local": ("127.0.0.1:8080", "", None),
    "address": ("127.0.0.1:8080", "[::1]:8080", "/tmp/x", "@x"), "thread": ("", "Thread-1", "Thread-2"),
    "awaits": ("recv", "accept", "poll", "send", "connect", "recvfrom", "sendto"),
    "gate": ("accept", "read", "close", "write"), "state": ("ESTABLISHED", "CLOSE-WAIT", "FIN-WAIT-2", "x"),
    "where": ("server.py:7", "", "x"), "flags": ("", "MSG_PEEK"),
}  # fmt: skip
_SIZES = (0, 0, 1, 1, 2, 5, 64, 1000, 65536, 10**6, 2**31, 2**63 - 1, -1)
_WORDS = (
    "", "x", "a word", "\x1b[2J", "\u202egnp", "\x9b31m", "[bold red]", "\0", "\n", "\u54c8" * 40, "\u0301",
)  # fmt: skip


def a_log(rng: Random, events: int) -> bytes:
    """A header, and so many events; most of them with numbers and times as they should be."""
    lines, t = [_header(rng)], 0
    kinds = [*EVENT_TYPES.values()]
    for seq in range(1, events + 1):
        t += rng.choice((0, 1, 1000, 10**6, 10**9))
        lines.append(_event(rng.choice(kinds), rng, {"seq": seq, "t": t, "tick": seq // 4}))
    return b"\n".join(lines) + b"\n"


def _header(rng: Random) -> bytes:
    model = rng.choice(("loop", "run", "threaded", "conversation"))
    header = Header(
        0, 0, 0, SCHEMA, 5, 1_700_000_000 * 10**9, 100, 77, ["serve"], {"python": "3"}, "epoll", "upper",
        rng.choice(("prefix", "full", "none")), 64, model=model,
    )  # fmt: skip
    return msgspec.json.encode(header)


def _event(kind: type[Any], rng: Random, given: dict[str, Any]) -> bytes:
    fields = {
        it.encode_name: _field(it, rng)
        for it in _fields(kind)
        if it.encode_name not in given and (it.required or rng.random() < 0.7)
    }
    ev = kind.__struct_config__.tag
    return _encoded({"ev": ev, **given, **fields})


def _encoded(event: dict[str, Any]) -> bytes:
    """As a log has it, and lone surrogates as JSON can say them."""
    return json.dumps(event, separators=(",", ":"), default=repr).encode()


def _fields(kind: type[Any]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _field(field: inspect.Field, rng: Random) -> Any:
    pool = _POOLS.get(field.encode_name)
    if pool is not None and rng.random() < 0.9:
        found = rng.choice(pool)
        if found is not None or not field.required:
            return found
    return _value(field.type, rng)


def _value(kind: inspect.Type, rng: Random) -> Any:  # noqa: C901, PLR0911, PLR0912 - a table would say no more
    """Something of a type."""
    match kind:
        case inspect.Metadata():
            return _value(kind.type, rng)
        case inspect.IntType():
            return max(rng.choice(_SIZES), -1 if kind.ge is None else kind.ge)
        case inspect.StrType():
            return rng.choice(_WORDS)
        case inspect.BytesType():
            return rng.choice(("", "aGVsbG8=", "G1syCg==", "/w==", "4oCu"))
        case inspect.LiteralType():
            return rng.choice(kind.values)
        case inspect.UnionType():
            return _value(rng.choice(kind.types), rng)
        case inspect.ListType():
            return [_value(kind.item_type, rng) for _ in range(rng.randrange(3))]
        case inspect.TupleType():
            return sorted((_value(it, rng) for it in kind.item_types), key=str)
        case inspect.DictType():
            return {rng.choice(_WORDS): _value(kind.value_type, rng)}
        case inspect.StructType():
            return {it.encode_name: _field(it, rng) for it in kind.fields}
        case inspect.BoolType():
            return rng.random() < 0.5
        case inspect.FloatType():
            return rng.choice((0.0, 0.5, -1.0, 1e300))
        case _:
            return None


# -- changes --------------------------------------------------------------------------------


def change(data: bytes, rng: Random) -> bytes:
    """The log with some changes."""
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(_CHANGES)(lines, rng)
    return b"\n".join(lines)


def _drop(lines: list[bytes], rng: Random) -> None:
    del lines[_some(lines, rng)]
    lines += [b""] * (not lines)


def _double(lines: list[bytes], rng: Random) -> None:
    lines.insert(_some(lines, rng), rng.choice(lines))


def _swap(lines: list[bytes], rng: Random) -> None:
    one, other = _some(lines, rng), _some(lines, rng)
    lines[one], lines[other] = lines[other], lines[one]


def _insert(lines: list[bytes], rng: Random) -> None:
    """An event that goes on where the line before it ends."""
    at = _some(lines, rng) + 1
    before = _object(lines[at - 1])
    given = {name: before.get(name, 0) for name in ("seq", "t", "tick")}
    if isinstance(given["seq"], int):
        given["seq"] += 1
    lines.insert(at, _event(rng.choice([*EVENT_TYPES.values()]), rng, given))


def _set_field(lines: list[bytes], rng: Random) -> None:
    at = _some(lines, rng)
    event = _object(lines[at])
    if event:
        name = rng.choice([*event])
        values = (*_SIZES, *_WORDS, None, [], {}, [[]], True, 0.5, 2**70)
        event[name] = rng.choice(_POOLS.get(name, values) if rng.random() < 0.6 else values)
        lines[at] = _encoded(event)


def _drop_field(lines: list[bytes], rng: Random) -> None:
    at = _some(lines, rng)
    event = _object(lines[at])
    if event:
        del event[rng.choice([*event])]
        lines[at] = _encoded(event)


_CHANGES: tuple[Change, ...] = (
    _drop, _double, _swap, _insert, _insert, _set_field, _set_field, _set_field, _drop_field,
)  # fmt: skip


def _some(lines: list[bytes], rng: Random) -> int:
    return rng.randrange(len(lines))


def _object(line: bytes) -> dict[str, Any]:
    """What a line is, if it is an object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
