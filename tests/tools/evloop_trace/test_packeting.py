"""Opening captures: paths, pipes, packed files, and what cannot be opened."""

from __future__ import annotations

import gzip
import io
import struct
import sys
from types import SimpleNamespace

import pytest
from evloop_trace import packeting
from evloop_trace.packets.capture_file import CaptureError

EMPTY = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def test_standard_input(monkeypatch):
    """`-` is read like a file, packed or not."""
    for content in (EMPTY, gzip.compress(EMPTY)):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        capture, analysis = packeting.analyse("-")
        assert (capture.kind, len(analysis)) == ("pcap", 0)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(CaptureError, match="standard input cannot be opened: it is closed"):
        packeting.analyse("-")


def test_what_cannot_be_read(tmp_path, monkeypatch):
    """A folder, a name with a NUL, a disk that fails."""
    with pytest.raises(CaptureError, match="directory"):
        packeting.analyse(str(tmp_path))
    with pytest.raises(CaptureError, match="cannot be opened"):
        packeting.analyse("a\0b")

    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 10:
                raise OSError(5, "Input/output error")
            return super().read(size)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Broken(EMPTY)))
    with pytest.raises(CaptureError, match="standard input cannot be read: Input/output error"):
        packeting.analyse("-")


def test_packed_and_damaged(tmp_path):
    """What was unpacked before the damage is read."""
    path = tmp_path / "it.gz"
    packed = bytearray(gzip.compress(EMPTY))
    packed[-8] ^= 1  # the checksum
    path.write_bytes(packed)
    capture, _ = packeting.analyse(str(path))
    assert capture.kind == "pcap"
    assert "cannot be unpacked further" in capture.problems[0]
