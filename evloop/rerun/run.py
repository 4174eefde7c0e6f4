"""A log's header → the server that wrote it; and that server, run again on the log's tape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.address import UnixPath, parse_inet
from evloop.bugs.gallery import BUGS
from evloop.control.gates import Gates
from evloop.errors import AddressError, LogError
from evloop.events.schema import Bind, End, Listen
from evloop.keeping import ASKED_BY
from evloop.net.stream import Stream
from evloop.parts import Parts
from evloop.protocols import PROTOCOLS
from evloop.rerun.comparison import Comparison, RerunTrace
from evloop.rerun.guests import Controller, Guests
from evloop.rerun.kernel import RecordedKernel
from evloop.rerun.tape import Difference, LogStops, Tape, UnusableLog
from evloop.servers.loop import ServerOptions
from evloop.tracing import TracedKernel, TracedSocket

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable

    from evloop.events.reader import Block
    from evloop.events.schema import Event, Header
    from evloop.loop.loop import Loop
    from evloop.servers.loop import LoopServer

__all__ = ["Moment", "Outcome", "rerun"]

A_YEAR = 366 * 24 * 3600
MOST = 1 << 31
# What a server's limits can be, as `evloop serve` takes them: from, to, and whether a fraction is one.
_LIMITS: dict[str, tuple[float, float, bool]] = {
    "backlog": (0, MOST - 1, False),
    "max_connections": (1, MOST, False),
    "idle_timeout": (0, A_YEAR, True),
    "lifetime": (0, A_YEAR, True),
    "high_water": (1, 1 << 30, False),
    "recv_size": (1, 1 << 30, False),
    "drain_timeout": (0, A_YEAR, True),
    "sample": (0, A_YEAR, True),
}


class Moment(NamedTuple):
    """An event of the rerun that is the same as the log's, and the server as it is then."""

    event: Event
    loop: Loop
    server: LoopServer
    stream: Stream | None
    """The connection's, if the event is one of a connection."""


class Outcome(NamedTuple):
    """How far a rerun came."""

    events: int
    """That are the same, the header among them."""
    difference: Difference | None
    """Where it parted from the log."""
    ended: bool
    """The log has an end, and the rerun came there."""
    torn: str
    """How the log's last line ends, if it ends in the middle."""
    guests: Counter[str]
    """What woke the loop and was not run again, by name."""


def rerun(
    header: Header,
    blocks: Iterable[Block],
    *,
    wanted: Callable[[Event], bool] | None = None,
    stop: Callable[[Moment], None] = lambda _: None,
) -> Outcome:
    """Run a log's server again.

    Args:
        header: The log's.
        blocks: Its lines, the header's among them.
        wanted: Which events to stop at.
        stop: Is called there, in the middle of what the server does; whatever it raises ends the rerun.

    Raises:
        LogError: the log is not that of a loop's server, or is not whole.
    """
    difference = None
    try:
        tape = Tape(header, blocks)
        guests = Guests(tape)
        try:
            _run(header, tape, guests, wanted, stop)
            if tape.next is not None:
                tape.differs("the server has ended")
        except Difference as found:
            difference = found
        except LogStops:
            pass
    except UnusableLog as error:
        raise LogError(str(error)) from None
    return Outcome(tape.passed, difference, isinstance(tape.before[-1], End), tape.torn, guests.wakeups)


def _run(
    header: Header,
    tape: Tape,
    guests: Guests,
    wanted: Callable[[Event], bool] | None,
    stop: Callable[[Moment], None],
) -> None:
    """As `evloop.composition.serve`, but for who looks on."""
    options, parts = _options(header), _parts(header)
    gates = Gates() if any(word.partition("=")[0] == "--control" for word in header.argv) else None
    comparison = Comparison(tape)
    limits = {"none": 0, "prefix": header.payload_max}
    kernel = TracedKernel(RecordedKernel(tape), comparison, limits.get(header.payload, MOST))
    trace = RerunTrace(kernel, tape, guests.foresee)
    loop = parts.make_loop(kernel, header.selector, trace, _nobody, gates)
    server = parts.make_server(loop, options, _nobody, gates)
    guests.join(loop)

    if wanted is not None:

        def recorded(event: Event) -> None:
            if wanted(event):
                stop(Moment(event, loop, server, _stream_of(event, loop)))

        comparison.recorded = recorded
    if gates is not None:
        Controller(loop, tape, gates).on_ready()  # --hold
    server.handle_signals(heard={ASKED_BY: _nobody})
    _open(server, tape)
    guests.foresee()
    try:
        server.run()
    except Exception as error:  # noqa: BLE001 - if it crashed then, it is to crash now
        trace.crashed(error)
    server.close()
    comparison.close(kernel.clock())
    loop.close()


def _nobody(_sentence: str) -> None:
    """Who ran the server was told then."""


def _options(header: Header) -> ServerOptions:
    """What the server allowed.

    Raises:
        LogError: it was another kind of server, or none.
    """
    if header.model != "loop":
        raise LogError(
            f"it is a log of model {header.model[:40]!r}, and the rerun runs the loop's server: "
            "record one of evloop serve, without --model"
        )
    if header.mode not in PROTOCOLS:
        raise LogError(f"its server answered in a mode {header.mode[:40]!r}, which this version has not")
    options: dict[str, Any] = {"mode": header.mode}
    for name, value in header.options.items():
        if name not in _LIMITS:
            raise LogError(f"its server had an option {name[:40]!r}, which this version does not know")
        low, high, fraction = _LIMITS[name]
        if value is None:
            possible = ServerOptions._field_defaults[name] is None
        else:
            possible = low <= value <= high and (fraction or isinstance(value, int))
        if not possible:
            raise LogError(f"its server cannot have had {name} {value!r}")
        options[name] = value
    try:
        return ServerOptions(**options)
    except TypeError as error:
        raise LogError(f"its header is not that of a server: {error}") from None


def _parts(header: Header) -> Parts:
    """What the server was made of; the bug in it, if it was one of the kernel's, is in what its calls gave.

    Raises:
        LogError: it had a bug that the gallery has not.
    """
    if not header.bug:
        return Parts()
    if header.bug not in BUGS:
        raise LogError(f"its server had a bug {header.bug[:40]!r}, which is not in this version's gallery")
    return BUGS[header.bug].parts


def _open(server: LoopServer, tape: Tape) -> None:
    """Open what was opened then, in that order; as far as the log says what."""
    while isinstance(event := tape.next, Listen | Bind):
        try:
            if isinstance(event, Bind):
                server.bind_udp(parse_inet(event.address))
            elif event.proto == "unix":
                server.listen_unix(UnixPath(event.address))
            else:
                server.listen_tcp(parse_inet(event.address))
        except AddressError as error:
            raise tape.broken(f"opens what is no address: {error}") from None


def _stream_of(event: Event, loop: Loop) -> Stream | None:
    """The server's object of an event's connection, as long as it is watched."""
    name = getattr(event, "conn", None)
    for item in loop.interests.watched.values():
        if isinstance(item, Stream) and isinstance(item.sock, TracedSocket) and item.sock.name == name:
            return item
    return None
