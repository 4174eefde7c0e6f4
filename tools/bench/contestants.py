"""Who is measured, and in what: servers, each with the command that starts it, and cells."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CELLS", "REFERENCE", "SERVERS", "Cell", "Server", "missing"]

HERE = os.path.dirname(os.path.abspath(__file__))
# -P: a file in the current folder must not stand in for one of our modules.
EVLOOP = (sys.executable, "-P", "-m", "evloop", "serve", "--mode", "echo")
VIEWER = (sys.executable, "-P", "-m", "evloop_trace", "watch")
STREAMS, ALL = frozenset({"tcp", "unix"}), frozenset({"tcp", "unix", "udp"})
REFERENCE = "asyncio Protocol"
"""Rates are given as so many times this server's."""


class Server(NamedTuple):
    """One that echoes."""

    command: Callable[[str, str, str], list[str]]
    """(kind, address, folder for its files) → what starts it"""
    kinds: frozenset[str] = ALL
    viewer: bool = False
    """whether someone looks on at the socket watch.sock in its folder"""
    needs: str = ""
    """a package that may not be installed"""


class Cell(NamedTuple):
    """One kind of load."""

    kind: str
    """tcp, unix or udp"""
    title: str
    load: tuple[str, ...]
    """options for load.py"""
    idle: int = 0
    """connections that say nothing; the server is then a new process each time, as its memory is measured"""

    def arguments(self, address: str) -> tuple[str, ...]:
        """load.py's kind, address and options."""
        kind, *options = self.load
        return kind, address, *options


def _evloop(*options: str) -> Callable[[str, str, str], list[str]]:
    def command(kind: str, address: str, folder: str) -> list[str]:
        return [*EVLOOP, f"--{kind}", address, *(option.format(folder=folder) for option in options)]

    return command


def _peer(script: str) -> Callable[[str, str, str], list[str]]:
    def command(kind: str, address: str, _folder: str) -> list[str]:
        return [sys.executable, os.path.join(HERE, "peers", script), kind, address]

    return command


LOG = ("--log", "{folder}/log.jsonl")
SERVERS = {
    "evloop": Server(_evloop()),
    "evloop --log": Server(_evloop(*LOG)),
    "evloop --log + viewer": Server(_evloop(*LOG, "--watch", "{folder}/watch.sock"), viewer=True),
    REFERENCE: Server(_peer("asyncio_protocol.py")),
    "asyncio streams": Server(_peer("asyncio_streams.py"), STREAMS),
    "uvloop Protocol": Server(_peer("uvloop_protocol.py"), needs="uvloop"),
    "bare selectors": Server(_peer("bare_selectors.py")),
}


def _tcp(size: int, clients: int) -> tuple[str, ...]:
    return "tcp", "--size", str(size), "--clients", str(clients)


CELLS = {
    "echo-64": Cell("tcp", "TCP echo, 64 B, 100 connections", _tcp(64, 100)),
    "echo-1k": Cell("tcp", "TCP echo, 1 KiB, 100 connections", _tcp(1024, 100)),
    "echo-64x1000": Cell("tcp", "TCP echo, 64 B, 1,000 connections", _tcp(64, 1000)),
    "echo-100k": Cell("tcp", "TCP echo, 100 KiB, 10 connections", _tcp(102400, 10)),
    "churn": Cell("tcp", "TCP: connect, one echo of 64 B, close; 10 at a time", ("churn", *_tcp(64, 10)[1:])),
    "udp": Cell("udp", "UDP echo, 64 B, 10 sockets, window 8", ("udp", *_tcp(64, 10)[1:], "--window", "8")),
    "unix": Cell("unix", "Unix stream echo, 64 B, 100 connections", ("unix", *_tcp(64, 100)[1:])),
    "idle": Cell("tcp", "TCP echo, 64 B, 10 connections among 10,000 idle ones", _tcp(64, 10), idle=10_000),
}


def missing(server: Server) -> bool:
    """Whether the package that a server needs is not installed."""
    if not server.needs:
        return False
    try:
        importlib.metadata.version(server.needs)
    except importlib.metadata.PackageNotFoundError:
        return True
    return False
