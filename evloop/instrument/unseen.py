"""What this instrument cannot see: modules that call the system past Python's socket module."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

from evloop.events.schema import Unseen
from evloop.instrument.caller import thread_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop.instrument.instrument import Instrument

__all__ = ["open_sockets", "patch", "record_unknown_sockets"]

_BY_LIBRARY = "its sockets are those of {}, a library in C, which calls the system itself"
_MODULES = {
    "uvloop": "its event loop is libuv, which calls the system itself: only the loop's own sockets are here",
    "gevent": "it puts sockets of its own in the place of Python's",
    "eventlet": "it puts sockets of its own in the place of Python's",
    "pyuv": _BY_LIBRARY.format("libuv"),
    "pycurl": _BY_LIBRARY.format("libcurl"),
    "curl_cffi": _BY_LIBRARY.format("libcurl"),
    "zmq": _BY_LIBRARY.format("ZeroMQ"),
    "pynng": _BY_LIBRARY.format("nng"),
    "grpc": _BY_LIBRARY.format("gRPC"),
    "psycopg2": _BY_LIBRARY.format("PostgreSQL, libpq"),
    "psycopg": _BY_LIBRARY.format("PostgreSQL, libpq"),
    "MySQLdb": _BY_LIBRARY.format("MySQL"),
    "pyodbc": _BY_LIBRARY.format("ODBC"),
    "oracledb": "with Oracle's client, a library in C, it calls the system itself",
    "confluent_kafka": _BY_LIBRARY.format("Kafka, librdkafka"),
    "pylibmc": _BY_LIBRARY.format("memcached"),
}


def patch(instrument: Instrument) -> None:
    """Record when such a module is imported."""
    watcher = _Watcher(instrument)
    sys.meta_path.insert(0, watcher)
    instrument.undo(lambda: sys.meta_path.remove(watcher))


class _Watcher:
    """Is asked for every module that is imported, and knows none."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> None:  # noqa: ARG002
        """As `importlib.abc.MetaPathFinder`: not here."""
        reason = _MODULES.get(name)
        if reason is not None:
            _record(self._instrument, name, reason, sys._getframe(1))  # noqa: SLF001


def open_sockets() -> dict[int, str]:
    """Descriptor → which socket of the system it is, of all that the process has, where /proc tells."""
    found = {}
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return {}
    for fd in numbers:
        try:
            link = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:  # the one that listed them
            continue
        if re.fullmatch(r"socket:\[\d+\]", link):
            found[fd] = link
    return found


def record_unknown_sockets(instrument: Instrument, known: dict[int, str]) -> None:
    """At the end: sockets that were made here, and not by Python's socket module."""
    old = set(known.values())
    unknown = [
        fd for fd, which in open_sockets().items() if fd not in instrument.sockets and which not in old
    ]
    if unknown:
        numbers = ", ".join(f"fd {fd}" for fd in sorted(unknown)[:10])
        reason = f"open at the end ({numbers}), and no call of Python's socket module has made them"
        _record(instrument, f"{len(unknown)} socket{'s' * (len(unknown) > 1)}", reason, None)


def _record(instrument: Instrument, what: str, reason: str, frame: Any) -> None:
    recorder = instrument.recorder
    where = instrument.where(frame) if frame else ""
    recorder.record(
        Unseen(0, recorder.clock(), recorder.tick, what, reason, thread=thread_name(), where=where)
    )
