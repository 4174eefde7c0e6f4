"""The types of events, and the JSON Schema that is made of them."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import msgspec.inspect
import pytest

from evloop.events import schema
from evloop.events.reader import LineReader

EXAMPLES: dict[str, dict[str, Any]] = {
    "header": {
        "schema": schema.SCHEMA, "mono_ns": 5, "wall_ns": 7, "bracket_ns": 1, "pid": 1, "argv": ["evloop"],
        "versions": {"evloop": "0"}, "selector": "epoll", "mode": "upper", "payload": "prefix",
        "payload_max": 64,
        "options": {"backlog": 5, "idle": None}, "sysctls": {"net.core.somaxconn": "4096"}, "boot_id": "b",
    },
    "clock": {"mono_ns": 5, "wall_ns": 7, "bracket_ns": 1},
    "poll": {"dur": 1, "timeout": None, "why": "nothing is due", "ready": [("tcp-1", "IN|HUP")]},
    "listen": {"dur": 1, "sock": "listen-1", "fd": 3, "proto": "tcp", "address": "127.0.0.1:1", "backlog": 5},
    "bind": {"dur": 1, "sock": "udp-1", "fd": 3, "proto": "udp", "address": "127.0.0.1:1"},
    "accept": {"dur": 1, "sock": "listen-1", "conn": "tcp-1", "fd": 4, "peer": "p", "local": "l"},
    "socket": {"dur": 1, "sock": "tcp-1", "fd": 3, "proto": "tcp", "where": "server.py:4"},
    "inherit": {"name": "tcp-1", "fd": 3, "proto": "tcp", "address": "127.0.0.1:1", "listens": True},
    "connect": {"dur": 1, "fd": 3, "conn": "tcp-1", "peer": "p", "local": "l", "thread": "Thread-1"},
    "setsockopt": {"dur": 1, "fd": 3, "level": "SOL_SOCKET", "option": "SO_LINGER", "value": "b"},
    "block": {"awaits": "recv", "conn": "tcp-1", "fd": 4, "timeout": 5, "watched": [("tcp-1", "READ")]},
    "unseen": {"what": "uvloop", "reason": "it calls libuv"},
    "recv": {"dur": 1, "conn": "tcp-1", "fd": 4, "size": 9, "n": 2, "off": (0, 2), "data": b"\x00\xff"},
    "send": {"dur": 1, "conn": "tcp-1", "fd": 4, "size": 9, "errno": "EAGAIN"},
    "recvfrom": {"dur": 1, "sock": "udp-1", "fd": 3, "n": 0, "peer": "p", "truncated": True},
    "sendto": {"dur": 1, "sock": "udp-1", "fd": 3, "peer": "p", "n": 1, "data": b"x"},
    "shutdown": {"dur": 1, "conn": "tcp-1", "fd": 4, "how": "SHUT_WR"},
    "close": {"dur": 1, "fd": 4, "reason": "eof", "conn": "tcp-1", "unread": 0, "unsent": 1, "received": 2},
    "prepare": {"until": None, "why": "nothing is due"},
    "interest": {"conn": "tcp-1", "sock": None, "old": "READ", "new": "READ|WRITE", "reason": "full"},
    "timer": {"why": "idle", "late": 3},
    "signal": {"signal": "SIGINT"},
    "limit": {"what": "connections", "active": True, "sock": "listen-1"},
    "control": {"gate": "accept", "held": True},
    "refuse": {"sock": "udp-1", "peer": "p", "reason": "port 7"},
    "error": {"where": "upper", "message": "ValueError", "conn": "tcp-1"},
    "slow": {"dur": 200_000_000, "conn": "tcp-1"},
    "queue": {"sock": "listen-1", "queued": 2, "backlog": 5},
    "tcp_info": {"conn": "tcp-1", "why": "close", "state": "CLOSE-WAIT", "rtt": 45_000, "snd_wnd": 0},
    "gap": {"lost": 3, "reason": "disk full"},
    "snapshot": {
        "listeners": [schema.ListenerState("listen-1", 3, "tcp", "127.0.0.1:1")],
        "connections": [schema.ConnectionState("tcp-1", 4, "p", "l", 0, 1, 2, 3, "READ")],
        "open": 1, "blocked": 5, "until": 7, "why": "idle", "slow": 2,
    },
    "cut": {"reason": "the log goes on in a newer file"},
    "end": {"reason": "SIGTERM", "events": 25, "lost": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def validator() -> Any:
    """The JSON Schema, ready to judge."""
    return jsonschema.Draft202012Validator(schema.json_schema())


@pytest.mark.parametrize("ev", schema.EVENT_TYPES)
def test_every_kind_comes_back_as_it_was_and_is_valid(ev: str, validator: Any) -> None:
    """An event of every kind is encoded, agrees with the JSON Schema, and is read as the same event."""
    event = schema.EVENT_TYPES[ev](1, 2, 3, **EXAMPLES[ev])
    line = msgspec.json.encode(event)
    validator.validate(msgspec.json.decode(line))
    block = LineReader().feed(line + b"\n")
    assert block is not None
    assert block.items == [event]


def test_the_schema_is_a_schema_and_refuses_what_is_none(validator: Any) -> None:
    """The JSON Schema itself is valid, and an event with a field missing is not."""
    jsonschema.Draft202012Validator.check_schema(schema.json_schema())
    assert not validator.is_valid({"ev": "timer", "seq": 1, "t": 2, "tick": 3, "why": "idle"})


def test_every_field_is_described() -> None:
    """Each field of each event says what it means: the documentation is made of it."""
    described = [*schema.EVENT_TYPES.values(), schema.ListenerState, schema.ConnectionState]
    for cls in described:
        definition = msgspec.json.schema(cls)["$defs"][cls.__name__]
        for name, field in definition["properties"].items():
            assert name == "ev" or "description" in str(field), f"{cls.__name__}.{name}"


def test_defaults_are_left_out() -> None:
    """What has its default value takes no room in the log."""
    event = schema.Recv(1, 2, 3, 4, "tcp-1", 5, 6, errno="EAGAIN")
    assert msgspec.json.decode(msgspec.json.encode(event)) == {
        "ev": "recv", "seq": 1, "t": 2, "tick": 3, "dur": 4, "conn": "tcp-1", "fd": 5, "size": 6,
        "errno": "EAGAIN",
    }  # fmt: skip


PAYLOADS = {"Recv.data", "Send.data", "Recvfrom.data", "Sendto.data"}
EXCEPTIONS = {"Error.message", "End.reason", "Cut.reason"}
"""What an exception says, which may quote a payload: a crash is why a log ends, or a file of one."""
OF_THE_PROGRAM = {"argv", "value", "thread", "where", "call"}
"""What it was told and told the kernel, what it calls its threads, places in its text."""
ADDRESSES = {"address", "local", "peer"}
OURS = {
    "awaits", "bug", "conn", "gate", "interest", "mode", "model", "name", "new", "old", "pair", "payload",
    "proto", "reason", "run", "schema", "selector", "sock", "versions", "watched", "what", "why",
}  # fmt: skip
"""Names that we give and words of ours."""
THE_SYSTEMS = {"boot_id", "errno", "flags", "how", "level", "option", "ready", "signal", "state", "sysctls"}


def test_every_text_is_known_for_what_it_may_hold() -> None:
    """With `--payload none` no payload may come into any: a new one is to be judged."""
    texts = set()
    for cls in (*schema.EVENT_TYPES.values(), schema.ListenerState, schema.ConnectionState):
        definition = msgspec.json.schema(cls)["$defs"][cls.__name__]
        for name, field in definition["properties"].items():
            if name != "ev" and "'type': 'string'" in str(field):
                texts.add(f"{cls.__name__}.{name}")
    assert texts >= PAYLOADS | EXCEPTIONS
    others = {text.partition(".")[2] for text in texts - PAYLOADS - EXCEPTIONS}
    assert others == OF_THE_PROGRAM | ADDRESSES | OURS | THE_SYSTEMS
