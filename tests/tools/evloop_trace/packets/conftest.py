"""The hand-made captures, and what the analysis makes of them."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from evloop_trace.packets.analysis import Analysis
from evloop_trace.packets.capture_file import Capture, read_packets
from evloop_trace.packets.summary import Summary, summarize

if TYPE_CHECKING:
    from types import ModuleType


def load(name: str) -> ModuleType:
    """A module beside the tests."""
    full = f"packets_tests_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


@pytest.fixture(scope="session")
def wire() -> ModuleType:
    """The packet builders."""
    return load("wire")


class Look:
    """What comes of a capture's bytes."""

    def __init__(self, data: bytes, stories: int = 0, piece: int | None = None) -> None:
        self.capture, self.analysis = Capture(), Analysis(stories)
        read = io.BytesIO(data).read
        small = (lambda _size: read(piece)) if piece else read
        self.analysis.feed(read_packets(small, self.capture))

    @property
    def summaries(self) -> list[Summary]:
        """Of all connections."""
        return [summarize(conn) for conn in self.analysis.connections()]

    @property
    def only(self) -> Summary:
        """Of the only one."""
        (summary,) = self.summaries
        return summary


@pytest.fixture(scope="session")
def look() -> type[Look]:
    """What reads a capture."""
    return Look
