"""What a byte ruler cannot draw, in sentences: gaps, partial sends, characters that are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.correlate.ruler import APART, KEPT
from evloop_trace.escape import escape_text
from evloop_trace.numbers import count, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop_trace.correlate.ruler import Cut, Direction, Ruler

__all__ = ["notes"]

_SHOWN = 3
_CHARACTERS = 4096  # bytes whose characters are counted


def notes(ruler: Ruler, *, client: bool) -> Iterator[str]:
    """Sentences about one direction, without a full stop."""
    way = ruler.directions[client]
    yield from _sends(way)
    if not way.aligned:
        yield (
            "the capture begins in the middle of the connection: the wire's offsets count from the first "
            f"packet in it, not from the first byte of the stream{_behind(way)}"
        )
    yield from _gaps(ruler, client=client)
    yield from _ends(way)
    yield from _characters(way)
    for name, row in way.rows.items():
        what = {"wire": "segments", "again": "segments that were sent again"}.get(name, f"{name}s")
        if row.spans.hidden and name not in {"again", "peek"}:
            hidden = _bytes(row.spans.hidden)
            yield f"the {what} leave more than {count(APART - 1)} gaps: the first, {hidden}, are not told"
        if row.left_out:
            kept = f"the first {KEPT} and the last {KEPT} are known one by one"
            yield f"of {count(row.count)} {what} {kept}; of the others, where they begin"


def _behind(way: Direction) -> str:
    """By how much the wire's offsets are too low, if the end tells."""
    if way.fin is None or way.ended is None or way.fin.begin >= way.send.spans.end:
        return ""
    return f"; by the FIN all of it stands {_bytes(way.send.spans.end - way.fin.begin)} too far left"


def _sends(way: Direction) -> Iterator[str]:
    partial = [it for it in way.send.pieces if it.of > it.end - it.begin]
    for piece in partial[:_SHOWN]:
        took = _bytes(piece.end - piece.begin)
        words = f"send #{piece.number} was offered {_bytes(piece.of)} and took {took}"
        yield f"{words}: the kernel's buffer had room for no more"
    if len(partial) > _SHOWN:
        yield f"and {count(len(partial) - _SHOWN)} more sends took less than they were offered"
    if way.full:
        yield f"{plural(way.full, 'send')} found no room at all (EAGAIN)"
    if way.asleep is not None:
        offered = _bytes(way.asleep.end - way.asleep.begin)
        yield f"send #{way.asleep.number} has not returned: how much of its {offered} was taken is not known"
    if way.probes:
        yield f"{plural(way.probes, 'probe')} of a closed window: the receiver had room for nothing more"


def _gaps(ruler: Ruler, *, client: bool) -> Iterator[str]:
    """Bytes that a row lacks, and what that means."""
    way = ruler.directions[client]
    sender, receiver = ("client", "server") if client else ("server", "client")
    if ruler.recorded(client=client):
        end = way.asleep.begin if way.asleep else way.end
        yield from _ranges(way.send.spans.missing(0, end), f"sent by no call that is in the {sender}'s log")
    if ruler.strand.wire is not None and way.aligned:
        sent = " (or they never left)" if way.unsent else ""
        yield from _ranges(way.wire.spans.missing(0, way.end), f"not in the capture{sent}")
    if ruler.recorded(client=not client):
        read = way.recv.spans.end
        yield from _ranges(
            way.recv.spans.missing(0, read), f"read by no call that is in the {receiver}'s log"
        )
        yield from _ranges([(read, way.end)] if read < way.end else [], f"never read by the {receiver}")


def _ranges(gaps: list[tuple[int, int]], what: str) -> Iterator[str]:
    if not gaps:
        return
    shown = ", ".join(f"[{begin},{end})" for begin, end in gaps[:_SHOWN])
    more = f" and {count(len(gaps) - _SHOWN)} more ranges" if len(gaps) > _SHOWN else ""
    yield f"{shown}{more}: {_bytes(sum(end - begin for begin, end in gaps))}, {what}"


def _ends(way: Direction) -> Iterator[str]:
    if way.unread:
        yield f"the receiver's close found {_bytes(way.unread)} unread: so the kernel sent a reset"
    if way.unsent:
        unsent = _bytes(way.unsent)
        yield f"when the sender closed it, {unsent} were not yet acknowledged: the kernel goes on alone"
    if way.reset:
        yield f"p{way.reset} is the sender's reset"


def _characters(way: Direction) -> Iterator[str]:
    known = way.known() if way.end <= _CHARACTERS else {}
    if known and len(known) >= way.end:
        data = bytes(known[at] for at in range(way.end))
        if not data.isascii() and (characters := _decoded(data)):
            yield f"{_bytes(way.end)} are {count(characters)} characters of UTF-8"
    for name in ("send", "recv"):
        cuts = list(way.cuts(name))
        for it in cuts[:_SHOWN]:
            yield _cut(it, name)
        if len(cuts) > _SHOWN:
            yield f"and {count(len(cuts) - _SHOWN)} more {name}s begin in the middle of a character"


def _decoded(data: bytes) -> int:
    try:
        return len(data.decode())
    except UnicodeDecodeError:
        return 0


def _cut(it: Cut, name: str) -> str:
    where = f"{name} #{it.number} begins in the middle of a character"
    if it.char:
        octets = it.char.encode().hex(" ")
        char, before = escape_text(it.char), plural(it.before, "byte")
        parts = f"{before} came before {count(it.at)} and {count(it.behind)} behind"
        return f"{where}: of {char} ({octets}) {parts}; alone neither part can be decoded"
    return f"{where}: its first {plural(it.behind, 'byte')} belong to one that begins before {count(it.at)}"


def _bytes(number: int) -> str:
    """Exact, as offsets are."""
    return f"{count(number)} B"
