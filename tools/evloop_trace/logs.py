"""Opening logs: a path, `-` for standard input, gzip or not; several as one, on one clock.

Everything streams. A single log passes through as the reader gives it; several are merged by time,
and then their names carry a label, since every server has a `tcp-1`. A log brings along those of the
processes that its own started: `run.jsonl` brings `run.jsonl.4711`. One that was rotated is read with its
older files, as one log: `run.jsonl` with `run.jsonl.old-000001`.
"""

from __future__ import annotations

import errno
import glob
import gzip
import os
import re
import resource
import stat
import sys
import zlib
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Self

from evloop.errors import LogError
from evloop.events.reader import MAX_LINE, Block, Problem, decode_header, read_blocks
from evloop.printable import encodable
from evloop_trace.correlate.causal import Row, causal
from evloop_trace.correlate.joiner import Joiner, Source
from evloop_trace.living import is_known_here, is_running
from evloop_trace.merge import Run, in_order, merge, one_clock
from evloop_trace.rotated import Chain, beside, is_same_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from evloop.events.reader import Source as Bytes
    from evloop.events.schema import Header

__all__ = ["Log", "Logs", "Position", "Row", "Run", "family", "open_logs"]

STDIN = "standard input"
_GZIP = b"\x1f\x8b"
_ENDLESS = 1 << 63  # bytes: a pipe is read to its end
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)*")
_SPARE = 64  # descriptors for all else


class _RefusedError(LogError):
    """The kernel refused to open or to read a file that is there."""


class Position:
    """How far a log has been read, in bytes as they lie on the disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size: int = _size(file)

    @property
    def done(self) -> int:
        """Bytes read so far; 0 where that cannot be known."""
        return self._file.tell() if self.size else 0


class _Positions:
    """The same of several files."""

    def __init__(self, logs: Sequence[Log]) -> None:
        self._each = [log.position for log in logs]
        sizes: list[int] = [it.size for it in self._each]
        self.size: int = sum(sizes) if all(sizes) else 0

    @property
    def done(self) -> int:
        return sum(it.done for it in self._each)


class Log(NamedTuple):
    """An open log."""

    name: str  # for messages: its path, or "standard input"
    label: str  # what its sockets' names begin with when it is read with others
    header: Header
    blocks: Iterator[Block]
    position: Position | _Positions
    chain: Chain | None = None
    """Of several files that are this log, those."""


class Logs:
    """Logs that are read together; a context manager that closes them.

    When there are several, an event's `t` counts from the origin of the earliest log, and its `conn` and
    `sock` begin with the log's label: `server:tcp-1`.
    """

    def __init__(self, logs: Sequence[Log], files: ExitStack) -> None:
        self.logs = logs
        headers = [log.header for log in logs]
        labels = [log.label if len(logs) > 1 else "" for log in logs]
        self.joiner = Joiner(
            [Source(*it) for it in zip(labels, headers, strict=True)], one_clock=one_clock(headers)
        )
        """What `rows` has found out so far."""
        self._files = files

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._files.close()

    @property
    def size(self) -> int:
        """Bytes in all, or 0 if that is not known."""
        sizes = [log.position.size for log in self.logs]
        return sum(sizes) if all(sizes) else 0

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return sum(log.position.done for log in self.logs)

    def runs(self) -> Iterator[Run[Log]]:
        """All lines, in the order of their times; can be gone through once.

        Raises:
            LogError: a compressed log is damaged, or a file cannot be read on.
        """
        if len(self.logs) == 1:
            log = self.logs[0]
            return (Run(log, block) for block in log.blocks)
        return merge(self.logs)

    @property
    def meet(self) -> bool:
        """Whether both ends of a connection may be in the logs: there are several, or any program's."""
        return len(self.logs) > 1 or self.logs[0].header.model == "run"

    def rows(self) -> Iterator[list[Row]]:
        """All lines in the order of cause and effect, and what they tell of each other; once, as `runs`.

        Raises:
            LogError: as `runs` does.
        """
        return causal(in_order(self.logs, self.joiner.lost), self.joiner)


def open_logs(paths: Sequence[str], *, alone: bool = False) -> Logs:
    """Open logs and read their headers.

    Args:
        paths: Their names.
        alone: Without the logs of the processes that theirs started.

    Raises:
        LogError: one does not exist, cannot be read, or is no event log of a version that is known.
    """
    with ExitStack() as files:
        labels = _labels(paths)
        named = [_open(path, label, files) for path, label in zip(paths, labels, strict=True)]
        logs = [_whole(it, files) for it in _together(named)]
        if not alone:
            family = _Family(paths, labels, files)
            logs = [it for log in logs for it in family.of(log)]
        return Logs(logs, files.pop_all())


def _together(logs: list[Log]) -> list[list[Log]]:
    """The logs, and files of one log in one place, that of the first of them."""
    groups: list[list[Log]] = []
    for log in logs:
        for group in groups:
            it = group[0].header
            if is_same_log(it, log.header) and (it.first or log.header.first):
                group.append(log)
                break
        else:
            groups.append([log])
    return groups


def _whole(named: list[Log], files: ExitStack) -> Log:
    """Files of one log, and its older ones that lie beside them, as one."""
    newest = max(named, key=lambda log: log.header.first)
    found = {log.header.first: log for log in named}
    if newest.header.first and newest.name != STDIN:
        with suppress(OSError):  # the folder may not be read
            for name in beside(newest.name):
                with ExitStack() as file, suppress(LogError):
                    log = _open(name, "", file)
                    header = log.header
                    older = is_same_log(header, newest.header) and header.first < newest.header.first
                    if older and header.first not in found:
                        found[header.first] = log
                        files.enter_context(file.pop_all())
    if len(found) == 1:
        return newest
    logs = [found[first] for first in sorted(found)]
    chain = Chain(logs)
    return Log(newest.name, named[0].label, logs[0].header, chain.blocks(), _Positions(logs), chain)


def family(path: str) -> list[str]:
    """The log's name, and those of the logs that it brings along, even of such as cannot be read.

    A pipe brings nothing along, and is opened by who reads it: that can be done once.

    Raises:
        LogError: the log itself cannot be opened.
    """
    if _flows(path):
        return [path]
    with ExitStack() as files:
        return [path, *_Family([path], [], files).names(_open(path, "", files))]


def _flows(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # who opens it says what is wrong
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


class _Family:
    """The logs of runs' other processes, which lie beside their first one's: `run.jsonl.4711`.

    A process number comes again after others have used it up: then `run.jsonl.4711.2` lies there too.
    """

    def __init__(self, named: Sequence[str], labels: Sequence[str], files: ExitStack) -> None:
        self._seen = set(named)
        self._labels = list(labels)
        self._files = files

    def of(self, log: Log) -> list[Log]:
        """The log, and those that it brings along; whatever cannot be read is a problem at its end."""
        children: list[Log] = []
        refused: list[str] = []
        for number, name in self._beside(log):
            with ExitStack() as file:
                child = _child(name, log.header.run, file, refused)
                if child is not None:
                    self._files.enter_context(file.pop_all())
                    children.append(child._replace(label=self._label(number)))
        return [log._replace(blocks=_and_refused(log.blocks, refused)) if refused else log, *children]

    def names(self, log: Log) -> list[str]:
        """The names of those that it brings along."""
        found: list[str] = []
        for _, name in self._beside(log):
            refused: list[str] = []
            with ExitStack() as file:
                if _child(name, log.header.run, file, refused) is not None or refused:
                    found.append(name)
        return found

    def _beside(self, log: Log) -> list[tuple[str, str]]:
        """What is behind the log's name, and the names, of files that lie beside it and were not met yet."""
        if not log.header.run or log.name not in self._seen:
            return []
        path = Path(log.name)
        behind = {str(it): it.name[len(path.name) + 1 :] for it in path.parent.glob(_beside(path.name))}
        found = [
            (it, name) for name, it in behind.items() if _NUMBER.fullmatch(it) and name not in self._seen
        ]
        found.sort(key=lambda it: [int(part) for part in it[0].split(".")])
        self._seen.update([name for _, name in found])
        _allow(len(found))
        return found

    def _label(self, number: str) -> str:
        label = _unlike(number, self._labels)
        self._labels.append(label)
        return label


def _beside(name: str) -> str:
    return f"{glob.escape(name)}.*"


def _child(name: str, run: str, file: ExitStack, refused: list[str]) -> Log | None:
    """A log of the run; None if it is gone, empty yet, no log, or of another; or if it was `refused`."""
    try:
        log = _open(name, "", file)
    except _RefusedError as error:
        refused.append(str(error))
        return None
    except LogError:
        return None
    return log if log.header.run == run else None


def _and_refused(blocks: Iterator[Block], refused: list[str]) -> Iterator[Block]:
    """The blocks, and as the last lines which other logs of the run are not read."""
    line = 1
    for block in blocks:
        yield block
        line = block.line + len(block.items)
    yield Block(line, [Problem(line, "refused", f"would be followed by more, but {it}") for it in refused])


def _allow(files: int) -> None:
    """Let the process open that many more, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files + _SPARE and soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _labels(paths: Sequence[str]) -> list[str]:
    """A short name for each path, no two the same."""
    labels: list[str] = []
    for path in paths:
        stem = "stdin" if path == "-" else Path(path).name.partition(".")[0] or Path(path).name
        labels.append(_unlike(encodable(stem), labels))  # it becomes a part of events
    return labels


def _unlike(stem: str, labels: Sequence[str]) -> str:
    """The stem, with a number if it is taken."""
    label, number = stem, 1
    while label in labels:
        number += 1
        label = f"{stem}-{number}"
    return label


def _open(path: str, label: str, files: ExitStack) -> Log:
    name = STDIN if path == "-" else path
    if path == "-" and sys.stdin is None:
        raise LogError("standard input is closed: name a log")
    file: IO[bytes] = sys.stdin.buffer if path == "-" else files.enter_context(_open_file(path))
    position = Position(file)
    compressed = _peek(file, name).startswith(_GZIP)
    source: Bytes = _Gzip(file, name) if compressed else _Plain(file, name, position.size)
    header, blocks = read_blocks(source, name)
    return Log(name, label, header, _until_damage(blocks, source), position)


def _open_file(path: str) -> IO[bytes]:
    if not path:  # a shell's variable that is not set
        raise LogError("'' names no log: give a file, or - for standard input")
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise LogError(
            f"{path} does not exist: check the name, or record it with evloop serve --log"
        ) from None
    except IsADirectoryError:
        raise LogError(f"{path} is a directory: name the log in it") from None
    except PermissionError:
        raise _RefusedError(f"{path} may not be read: ask its owner, or check its mode with ls -l") from None
    except ValueError as error:  # a null character in the name
        raise LogError(f"{path} cannot be opened: {error}") from None
    except OSError as error:
        if error.errno == errno.ENXIO and Path(path).is_socket():  # see open(2)
            raise LogError(f"{path} is a socket: look at it with evloop-trace watch") from None
        raise _RefusedError(f"{path} cannot be opened: {error.strerror or error}") from None


def _size(file: IO[bytes]) -> int:
    """The size of a regular file; 0 of a pipe."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


class _Plain:
    """Bytes as they come, so that a pipe's lines are not held back until a block is full.

    A file is read as far as it goes when it is opened, and to the end of that line: a program that writes
    faster than we read would keep us for ever. A log that is being written through a mapping
    (`evloop.events.mapped`) goes on with NULs: what stands behind the first is not written yet, or half of
    a line that is being copied.
    """

    def __init__(self, file: IO[bytes], name: str, size: int) -> None:
        self._file = file
        self._read: Callable[[int], bytes] = file.read1  # type: ignore[attr-defined]
        self._name = name
        self._left = size or _ENDLESS
        self._over = False

    def read(self, size: int, /) -> bytes:
        if self._over:
            return b""
        try:
            data = self._read(size)
        except OSError as error:
            raise _unreadable(self._name, error) from None
        if b"\0" in data and self._is_written():
            self._over = True
            return data.partition(b"\0")[0]
        end = data.find(b"\n", max(self._left, 0)) if len(data) > self._left else -1
        self._left -= len(data)
        self._over = end >= 0
        return data[: end + 1] if self._over else data

    def _is_written(self) -> bool:
        with suppress(OSError, LogError):  # no file, or no log
            first = os.pread(self._file.fileno(), MAX_LINE, 0).partition(b"\n")[0]
            header = decode_header(first, self._name)
            return is_known_here(header) and is_running(header)
        return False


class _Gzip:
    """A compressed log; behind its first line it ends where it is damaged, and then `damage` says how."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = gzip.GzipFile(fileobj=file)
        self._name = name
        self._begun = False
        self.damage = ""

    def read(self, size: int, /) -> bytes:
        if self.damage:
            return b""
        try:
            data = self._file.read1(size)  # all there is before a damaged place
        except EOFError:
            return self._damaged("is cut off: its compressed data ends too early", "ends too early")
        except (gzip.BadGzipFile, zlib.error) as error:
            return self._damaged(f"is not readable as gzip: {error}", f"goes on unreadable: {error}")
        except OSError as error:
            raise _unreadable(self._name, error) from None
        self._begun = self._begun or b"\n" in data
        return data

    def _damaged(self, nothing: str, behind: str) -> bytes:
        if not self._begun:
            raise LogError(f"{self._name} {nothing}") from None
        self.damage = f"is torn: the compressed data {behind}"
        return b""


def _until_damage(blocks: Iterator[Block], source: Bytes) -> Iterator[Block]:
    """The blocks, and as the last line what is wrong with the compressed data, if something is."""
    line = 1
    for block in blocks:
        last = block.items[-1] if block.items else None
        if isinstance(source, _Gzip) and source.damage and isinstance(last, Problem) and last.kind == "torn":
            break  # that is why
        yield block
        line = block.line + len(block.items)
    if isinstance(source, _Gzip) and source.damage:
        yield Block(line, [Problem(line, "torn", source.damage)])


def _peek(file: IO[bytes], name: str) -> bytes:
    try:
        head: bytes = file.peek(2)  # type: ignore[attr-defined]
    except OSError as error:
        raise _unreadable(name, error) from None
    return head


def _unreadable(name: str, error: OSError) -> LogError:
    return _RefusedError(f"{name} cannot be read: {error.strerror or error}")
