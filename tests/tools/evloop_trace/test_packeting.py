"""Opening captures: paths, pipes, packed files, and what cannot be opened."""

from __future__ import annotations

import errno
import gzip
import io
import struct
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from evloop_trace import packeting
from evloop_trace.packets.capture_file import Capture, CaptureError

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


@pytest.mark.parametrize(("content", "words"), [
    (b"\x1f\x8bgarbage, garbage", "cannot be unpacked: Unknown compression method"),
    (gzip.compress(b"", mtime=0), "is empty: a capture begins with a header"),
    (gzip.compress(EMPTY, mtime=0)[:12], "cannot be unpacked: Compressed file ended"),
])  # fmt: skip
def test_nothing_in_it(tmp_path, content, words):
    """One reason, and not that it is empty if nobody knows."""
    path = tmp_path / "it.gz"
    path.write_bytes(content)
    with pytest.raises(CaptureError) as error:
        packeting.analyse(str(path))
    assert str(error.value).startswith(f"{path} {words}")
    assert ";" not in str(error.value)
    with pytest.raises(CaptureError, match="'' cannot be opened: No such file"):
        packeting.analyse("")


def test_one_is_no_plural(tmp_path):
    """Nor are two singular."""
    packet = struct.pack("<IIII", 1, 1, 4, 4) + b"abcd"
    for number, words in ((1, "1 packet is left out: cut"), (2, "2 packets are left out: cut")):
        path = tmp_path / "it.pcap"
        path.write_bytes(EMPTY[:20] + struct.pack("<I", 228) + packet * number)
        (sentence,) = packeting.problems(*packeting.analyse(str(path)))
        assert sentence.startswith(words)


def test_a_bar_for_what_takes_long(tmp_path, monkeypatch):
    """It knows how much of the file has been read, packed or not."""
    path = tmp_path / "it.gz"
    path.write_bytes(gzip.compress(EMPTY + struct.pack("<IIII", 1, 1, 4, 4) + b"abcd"))
    seen = []

    @contextmanager
    def meter(reading, verb):
        yield lambda: seen.append((verb, reading.done, reading.size))

    monkeypatch.setattr(packeting, "meter", meter)
    packeting.analyse(str(path))
    size = path.stat().st_size
    assert seen[0] == ("packets", 0, size)
    assert seen[-1] == ("packets", size, size)


def test_packed_and_damaged(tmp_path):
    """What was unpacked before the damage is read."""
    path = tmp_path / "it.gz"
    packed = bytearray(gzip.compress(EMPTY))
    packed[-8] ^= 1  # the checksum
    path.write_bytes(packed)
    capture, _ = packeting.analyse(str(path))
    assert capture.kind == "pcap"
    assert "cannot be unpacked further" in capture.problems[0]


def test_packed_and_cut_off(tmp_path):
    """That is said once, however often the reader asks for more."""
    path = tmp_path / "it.gz"
    packet = struct.pack("<IIII", 1, 1, 60, 60) + bytes(range(60))
    path.write_bytes(gzip.compress(EMPTY + packet * 3)[:-12])
    capture = Capture()
    with packeting.opened(str(path), capture) as packets:
        assert len(list(packets)) <= 3
        assert not list(packets)
    assert sum("unpacked further" in it for it in capture.problems) == 1


@pytest.mark.parametrize("path", ["it.pcap", "-"])
def test_what_the_reader_of_the_packets_cannot_do(tmp_path, monkeypatch, path):
    """An error of who uses the packets is not the capture's."""
    (tmp_path / "it.pcap").write_bytes(EMPTY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(EMPTY)))
    with pytest.raises(OSError, match="No space left"), packeting.opened(path, Capture()):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_recording_of_the_kernel(tmp_path):
    """It is told apart from an event log."""
    path = tmp_path / "run.kernel"
    path.write_bytes(b'{"ev":"header","schema":"evloop-kernel/1","mono_ns":1}\n')
    with pytest.raises(CaptureError, match="is a recording of the kernel's states: give it to"):
        packeting.analyse(str(path))
