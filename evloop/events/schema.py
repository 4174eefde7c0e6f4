"""The event log's types: one class an event, one line of JSON an object.

A log is JSON Lines in UTF-8. Its first line is `Header`, its last `End`; a log
without `End` was cut off (the server crashed or was killed). Times are whole
nanoseconds of the monotonic clock. Calls carry the words of their man pages,
phases of the loop the words of libuv.

`docs/event-log.md` is generated from these classes; so is the JSON Schema that
`evloop-trace schema` prints.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

__all__ = [
    "EVENT_TYPES",
    "SCHEMA",
    "SCHEMA_VERSION",
    "Accept",
    "AnyEvent",
    "Bind",
    "Block",
    "Call",
    "Clock",
    "Close",
    "CloseReason",
    "Connect",
    "ConnectionState",
    "Control",
    "Cut",
    "End",
    "Error",
    "Event",
    "Gap",
    "Header",
    "Inherit",
    "Interest",
    "Limit",
    "Listen",
    "ListenerState",
    "Located",
    "Poll",
    "Prepare",
    "Queue",
    "Recv",
    "Recvfrom",
    "Refuse",
    "Send",
    "Sendto",
    "Setsockopt",
    "Shutdown",
    "Signal",
    "Slow",
    "Snapshot",
    "Socket",
    "TcpInfo",
    "Timer",
    "Unknown",
    "Unseen",
    "json_schema",
]

SCHEMA_VERSION = 1
SCHEMA = f"evloop/{SCHEMA_VERSION}"

# JSON knows no bound: a time that no clock can show is a broken line, not arithmetic on 4,000 digits.
Natural: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]

Errno: TypeAlias = Annotated[
    str,
    Meta(
        description="the errno's name, such as ECONNRESET, or what ended the wait instead: `timeout`, the "
        "socket's own, or `interrupted`, by a signal's handler that raised, or TypeError, ValueError or "
        "OverflowError: mostly wrong arguments, of a call that a `block` has announced; absent when the call "
        "succeeded"
    ),
]
Offsets: TypeAlias = Annotated[
    tuple[int, int], Meta(description="[from, to) in bytes of this direction of the stream, counted from 0")
]
Payload: TypeAlias = Annotated[
    bytes, Meta(description="the first bytes, base64; how many is the header's payload policy")
]
Mask: TypeAlias = Annotated[str, Meta(description='"READ", "WRITE", "READ|WRITE", or "" for not watched')]

Fd: TypeAlias = Annotated[int, Meta(description="the descriptor's number, reused after a close")]
Sock: TypeAlias = Annotated[str, Meta(description="the listener's or datagram socket's name, never reused")]
Conn: TypeAlias = Annotated[str, Meta(description="the connection's name, never reused")]
Address: TypeAlias = Annotated[str, Meta(description="HOST:PORT, [HOST]:PORT, or the path of a Unix socket")]
Peer: TypeAlias = Annotated[str, Meta(description="the other side's address")]
Backlog: TypeAlias = Annotated[int, Meta(description="handshakes that may wait to be accepted, as asked for")]
Queued: TypeAlias = Annotated[
    int, Meta(description="finished handshakes that still wait in the queue, if known")
]
Total: TypeAlias = Annotated[int, Meta(description="bytes in total")]

Flags: TypeAlias = Annotated[
    str, Meta(description="the call's flags, such as MSG_PEEK, which reads and leaves")
]

CloseReason: TypeAlias = Literal[
    "eof", "error", "handler-error", "idle-timeout", "lifetime", "drained", "drain-timeout", "aborted",
    "stop", "close", "collected", "exit",
]  # fmt: skip
"""Why a socket was closed.

Our own servers say why, up to `stop`. Of any other program only this is known: it called close(), it lost
the last reference to the socket (`collected`), or it ended (`exit`).
"""


class Event(msgspec.Struct, tag_field="ev", omit_defaults=True, gc=False):
    """What every line has."""

    seq: Annotated[
        int,
        Meta(
            ge=-1,
            le=2**63 - 1,
            description="this event's number, from 0 without gaps: a gap is a loss; what is none of the "
            "log's own events, as a snapshot, has -1",
        ),
    ]
    t: Annotated[
        Natural,
        Meta(
            description="nanoseconds since the header's mono_ns, taken on entry of the call",
        ),
    ]
    tick: Annotated[Natural, Meta(description="the turn of the loop it belongs to; 0 is before the first")]


class Header(Event, tag="header"):
    """The first line: what ran, where, and how to read the clock."""

    schema: Annotated[str, Meta(description="the schema's name and version")]
    mono_ns: Annotated[int, Meta(description="the monotonic clock at t = 0")]
    wall_ns: Annotated[int, Meta(description="nanoseconds since the epoch at mono_ns")]
    bracket_ns: Annotated[int, Meta(description="how far apart the two clocks may have been read")]
    pid: Annotated[int, Meta(description="the server's process")]
    argv: Annotated[list[str], Meta(description="how it was started")]
    versions: Annotated[
        dict[str, str], Meta(description="of evloop, python and the operating system's kernel")
    ]
    selector: Annotated[str, Meta(description="epoll, poll or select")]
    mode: Annotated[str, Meta(description="how the server answers: upper or echo")]
    payload: Annotated[str, Meta(description="how much of a payload is kept: none, prefix or full")]
    payload_max: Annotated[int, Meta(description="bytes kept of each payload when it is prefix")]
    options: Annotated[dict[str, int | float | None], Meta(description="the server's limits")] = {}
    sysctls: Annotated[
        dict[str, str], Meta(description="settings of the kernel that change what TCP does")
    ] = {}
    boot_id: Annotated[str, Meta(description="which boot the monotonic clock counts from, if known")] = ""
    model: Annotated[
        str,
        Meta(
            description="what kind of program it is: loop, once, conversation, sequential or threaded, which "
            "are our servers; client; or run, which is any program under evloop-trace run"
        ),
    ] = "loop"
    run: Annotated[str, Meta(description="which run it belongs to: the same in all processes of a run")] = ""
    parent: Annotated[
        int | None, Meta(description="the process that started this one, if it is in the run")
    ] = None
    first: Annotated[
        Natural,
        Meta(
            description="the number of the first event in this file, if the log was rotated: those before it "
            "are in older files; 0 is the log's beginning"
        ),
    ] = 0
    bug: Annotated[str, Meta(description="the bug that the server has: serve --bug; mostly none")] = ""


class Clock(Event, tag="clock"):
    """The clock pair again, at least 10 s after the last: the clocks drift apart."""

    mono_ns: Annotated[int, Meta(description="the monotonic clock")]
    wall_ns: Annotated[int, Meta(description="nanoseconds since the epoch at that moment")]
    bracket_ns: Annotated[int, Meta(description="how far apart the two may have been read")]


class Located(Event, kw_only=True):
    """What has a place in a program's text: known of programs whose socket module is instrumented."""

    call: Annotated[
        str, Meta(description="the function that was called, where its name is another, such as recv_into")
    ] = ""
    thread: Annotated[str, Meta(description="the thread that called; absent for the main thread")] = ""
    where: Annotated[str, Meta(description="FILE:LINE of the caller")] = ""


class Call(Located):
    """A call to the kernel."""

    dur: Annotated[Natural, Meta(description="nanoseconds spent in the call")]


class Poll(Call, tag="poll"):
    """The loop asked the selector what is ready, and slept until something was; its return begins a tick.

    See poll(2), epoll_wait(2); libuv's poll phase.
    """

    timeout: Annotated[int | None, Meta(description="nanoseconds it was willing to sleep; null is for ever")]
    why: Annotated[str, Meta(description="what set the timeout")]
    ready: Annotated[
        list[tuple[str, str]],
        Meta(
            description='[socket, bits]: what the kernel said, in the bits of poll(2): "IN", "OUT", "IN|HUP"…'
        ),
    ]
    errno: Errno | None = None


class Listen(Call, tag="listen"):
    """A stream socket was bound and listens: bind(2), listen(2)."""

    sock: Annotated[str, Meta(description="the listener's name, never reused")]
    fd: Fd
    proto: Annotated[str, Meta(description="tcp or unix")]
    address: Address
    backlog: Backlog
    errno: Errno | None = None


class Bind(Call, tag="bind"):
    """A socket was given an address: bind(2). Of our event loop's sockets only the datagram ones tell."""

    sock: Sock
    fd: Fd
    proto: Annotated[str, Meta(description="udp; of programs that call bind(2) themselves also another")]
    address: Address
    errno: Errno | None = None


class Socket(Call, tag="socket"):
    """A socket was made: socket(2), or one end of a socketpair(2).

    It keeps this name as a listener, a connection or a datagram socket.
    """

    sock: Sock | None = None
    fd: Fd | None = None
    proto: Annotated[str, Meta(description="tcp, udp, unix, unix-dgram or other")] = ""
    pair: Annotated[str | None, Meta(description="the name of the other end, of a socketpair")] = None
    errno: Errno | None = None


class Inherit(Event, tag="inherit"):
    """A socket was already there: the process was forked with it, or was handed it.

    With the number -1 it belongs to the file and not to the log: the file begins in the middle of a log,
    because it was rotated or a flight recorder wrote it, and this was open then.
    """

    name: Annotated[str, Meta(description="the socket's name from now on")]
    fd: Fd
    proto: Annotated[str, Meta(description="tcp, udp, unix, unix-dgram or other")]
    address: Annotated[str, Meta(description="our address, if it has one")] = ""
    peer: Annotated[str, Meta(description="the other side's address, if it is connected")] = ""
    listens: Annotated[bool, Meta(description="it is a listener")] = False
    received: Annotated[int, Meta(description="bytes that were received before")] = 0
    sent: Annotated[
        int, Meta(description="bytes, or of a datagram socket datagrams, that were sent before")
    ] = 0
    sock: Annotated[str, Meta(description="the listener that a connection came through, if known")] = ""
    opened: Annotated[Natural | None, Meta(description="the `t` of a connection's accept, if known")] = None
    interest: Annotated[
        str | None, Meta(description="what it is watched for: READ, WRITE, READ|WRITE or nothing, if known")
    ] = None
    buffered: Annotated[Natural, Meta(description="bytes that the server holds for the peer")] = 0
    backlog: Annotated[Natural, Meta(description="of a listener: as asked for, if known")] = 0
    accepted: Annotated[
        Natural, Meta(description="connections that were accepted, or datagrams received, before")
    ] = 0


class Connect(Call, tag="connect"):
    """A connection was asked for: connect(2). A datagram socket just remembers the peer.

    Errno EINPROGRESS: the handshake goes on; a second `connect`, made by getsockopt(SO_ERROR), may tell how
    it ended.
    """

    fd: Fd
    conn: Annotated[str | None, Meta(description="the stream socket, from now on a connection")] = None
    sock: Annotated[str | None, Meta(description="or the datagram socket")] = None
    peer: Peer | None = None
    local: Annotated[
        str | None,
        Meta(
            description="our address, also while the handshake goes on; of one that failed its port, "
            "if it had one, and perhaps no host any more (0.0.0.0)"
        ),
    ] = None
    errno: Errno | None = None


class Setsockopt(Call, tag="setsockopt"):
    """An option of a socket was set: setsockopt(2), socket(7), tcp(7)."""

    fd: Fd
    level: Annotated[str, Meta(description="such as SOL_SOCKET")]
    option: Annotated[str, Meta(description="such as SO_REUSEADDR")]
    value: Annotated[str, Meta(description="as the program wrote it")]
    conn: Conn | None = None
    sock: Sock | None = None
    errno: Errno | None = None


class Block(Located, tag="block"):
    """A call could not be answered at once: its thread sleeps in it until the call's own event follows.

    Written by programs that block; a log that ends with it ends in a call that never returned.
    """

    awaits: Annotated[str, Meta(description="the `ev` of the event that will follow: recv, accept, poll, …")]
    conn: Conn | None = None
    sock: Sock | None = None
    fd: Fd | None = None
    timeout: Annotated[
        int | None, Meta(description="nanoseconds it is willing to wait; absent is for ever")
    ] = None
    size: Annotated[int | None, Meta(description="bytes offered or asked for, where there are any")] = None
    watched: Annotated[
        list[tuple[str, str]], Meta(description="[socket, mask]: what a poll, or a select, waits for")
    ] = []
    peer: Annotated[str | None, Meta(description="whom a connect is asking")] = None


class Accept(Call, tag="accept"):
    """The listener handed over a connection whose handshake the kernel had already finished: accept(2)."""

    sock: Annotated[str, Meta(description="the listener")]
    conn: Annotated[str | None, Meta(description="the connection's name, never reused, as fds are")] = None
    fd: Fd | None = None
    peer: Annotated[
        str | None, Meta(description="the client's address; empty for an unnamed Unix socket")
    ] = None
    local: Annotated[str | None, Meta(description="our address")] = None
    queued: Annotated[
        int | None, Meta(description="finished handshakes that still wait in the queue, if known")
    ] = None
    errno: Errno | None = None
    waited: Annotated[
        int | None,
        Meta(
            description="nanoseconds that the finished handshake waited in the queue, to a few milliseconds, "
            "if known (TCP_INFO)"
        ),
    ] = None
    pid: Annotated[int | None, Meta(description="the process behind a Unix connection (SO_PEERCRED)")] = None


class Recv(Call, tag="recv"):
    """Bytes of a stream were read: recv(2). `n` is 0 at the end of the stream."""

    conn: Conn
    fd: Fd
    size: Annotated[int, Meta(description="bytes asked for")]
    n: Annotated[Natural | None, Meta(description="bytes that came; absent if the call failed")] = None
    off: Offsets | None = None
    data: Payload = b""
    errno: Errno | None = None
    flags: Flags = ""


class Send(Call, tag="send"):
    """Bytes of a stream were handed to the kernel: send(2). `n` < `size` means that its buffer is full."""

    conn: Conn
    fd: Fd
    size: Annotated[int, Meta(description="bytes offered")]
    n: Annotated[Natural | None, Meta(description="bytes the kernel took; absent if the call failed")] = None
    off: Offsets | None = None
    data: Payload = b""
    errno: Errno | None = None
    flags: Flags = ""


class Recvfrom(Call, tag="recvfrom"):
    """A datagram was read: recvfrom(2), or recvmsg(2) where the size given could cut it.

    `n` 0 is a datagram too.
    """

    sock: Sock
    fd: Fd
    n: Annotated[Natural | None, Meta(description="its bytes; absent if the call failed")] = None
    peer: Peer | None = None
    truncated: Annotated[bool, Meta(description="MSG_TRUNC: the rest of the datagram is gone")] = False
    data: Payload = b""
    errno: Errno | None = None
    flags: Flags = ""


class Sendto(Call, tag="sendto"):
    """A datagram was handed to the kernel: sendto(2)."""

    sock: Sock
    fd: Fd
    peer: Peer
    n: Annotated[Natural | None, Meta(description="its bytes; absent if the call failed")] = None
    data: Payload = b""
    errno: Errno | None = None
    flags: Flags = ""


class Shutdown(Call, tag="shutdown"):
    """Our half of the connection was closed: a FIN follows what is still unsent. shutdown(2)."""

    conn: Conn
    fd: Fd
    how: Annotated[str, Meta(description="SHUT_WR")]
    errno: Errno | None = None


class Close(Call, tag="close"):
    """The descriptor was given back: close(2).

    Unread bytes make the kernel answer with a reset (RFC 2525, 2.17).
    """

    fd: Fd
    reason: Annotated[CloseReason, Meta(description="why it was closed")]
    conn: Annotated[str | None, Meta(description="the connection")] = None
    sock: Annotated[str | None, Meta(description="or the listener or datagram socket")] = None
    unread: Annotated[int | None, Meta(description="bytes received and never read (FIONREAD), if known")] = (
        None
    )
    unsent: Annotated[
        int | None, Meta(description="bytes sent and not acknowledged (SIOCOUTQ), if known")
    ] = None
    buffered: Annotated[
        int, Meta(description="bytes that the server still held for the peer; they are lost")
    ] = 0
    received: Annotated[int, Meta(description="bytes in total")] = 0
    sent: Annotated[int, Meta(description="bytes in total")] = 0
    errno: Annotated[str | None, Meta(description="the errno that ended it, where one did")] = None


class Prepare(Event, tag="prepare"):
    """The loop is about to sleep, for another reason than before; written only when the reason changes.

    libuv's prepare phase.
    """

    until: Annotated[int | None, Meta(description="the deadline as a `t`; null is for ever")]
    why: Annotated[str, Meta(description="what the deadline is for, in words")]


class Interest(Located, tag="interest"):
    """The loop watches a socket for something else than before: epoll_ctl(2)."""

    conn: Conn | None
    sock: Sock | None
    old: Annotated[str, Meta(description="what was watched: READ, WRITE, READ|WRITE, or nothing")]
    new: Annotated[str, Meta(description="what is watched from now on")]
    reason: Annotated[str, Meta(description="why that changed, in words")]


class Timer(Event, tag="timer"):
    """A deadline passed and its callback runs."""

    why: Annotated[str, Meta(description="what the deadline is for, in words")]
    late: Annotated[int, Meta(description="nanoseconds after the deadline")]


class Signal(Event, tag="signal"):
    """A signal arrived: signal(7)."""

    signal: Annotated[str, Meta(description="its name, such as SIGINT")]


class Limit(Event, tag="limit"):
    """A limit was reached, or left again: of connections, or of the system's descriptors and memory."""

    what: Annotated[str, Meta(description="which limit")]
    active: Annotated[bool, Meta(description="reached, rather than left again")]
    conn: Conn | None = None
    sock: Sock | None = None


class Control(Event, tag="control"):
    """The server was told to hold something back, or to go on: serve --control."""

    gate: Annotated[str, Meta(description="accept, read, close, or write")]
    held: Annotated[bool, Meta(description="held from now on, rather than released")]


class Refuse(Event, tag="refuse"):
    """A datagram is not answered, because the answer could be answered for ever."""

    sock: Sock
    peer: Peer
    reason: Annotated[str, Meta(description="why, in words")]


class Error(Event, tag="error"):
    """A handler raised; its own connection ends, and nobody else's."""

    where: Annotated[str, Meta(description="the handler that raised")]
    message: Annotated[str, Meta(description="the exception, in one line")]
    conn: Conn | None = None
    sock: Sock | None = None


class Unseen(Located, tag="unseen"):
    """Something does its calls past Python's socket module: they are not in this log."""

    what: Annotated[str, Meta(description="what does: a module, or a socket")]
    reason: Annotated[str, Meta(description="why its calls cannot be seen, in a sentence")]


class Slow(Event, tag="slow"):
    """The loop worked for over 100 ms before it asked again what is ready: everybody waited."""

    dur: Annotated[Natural, Meta(description="nanoseconds from the poll's return to the end of the tick")]
    conn: Annotated[
        str | None, Meta(description="whose turn was the longest, if known: a connection, or another socket")
    ] = None


class Queue(Event, tag="queue"):
    """A listener's accept queue, sampled (TCP_INFO on the listening socket); written when it changed."""

    sock: Sock
    queued: Queued
    backlog: Backlog


class TcpInfo(Event, tag="tcp_info"):
    """What the kernel says of a TCP connection at this moment: TCP_INFO, tcp(7), linux/tcp.h. Linux only.

    The names of the numbers are the kernel's. What is 0, or what an older kernel does not tell, is left out.
    """

    conn: Conn
    why: Annotated[
        Literal["close", "send", "sample"],
        Meta(
            description="why it was asked: the connection is about to be closed; a send found no room, or "
            "has slept for it for a millisecond or more; or serve --sample asks now and then"
        ),
    ]
    state: Annotated[str, Meta(description="the state, in the words of RFC 9293, such as ESTABLISHED")]
    rtt: Annotated[Natural, Meta(description="the smoothed round-trip time, in nanoseconds")] = 0
    rttvar: Annotated[Natural, Meta(description="how much it varies, in nanoseconds: its mean deviation")] = 0
    snd_mss: Annotated[Natural, Meta(description="bytes in a segment at most")] = 0
    snd_cwnd: Annotated[
        Natural, Meta(description="the congestion window: segments that may be under way")
    ] = 0
    snd_wnd: Annotated[
        Natural | None, Meta(description="the peer's window in bytes: 0 is closed; absent before Linux 5.4")
    ] = None
    rcv_wnd: Annotated[
        Natural | None, Meta(description="ours, as the peer knows it; absent before Linux 6.2")
    ] = None
    unacked: Annotated[Natural, Meta(description="segments sent and not yet acknowledged")] = 0
    lost: Annotated[Natural, Meta(description="of these, those that are taken for lost")] = 0
    retrans: Annotated[Natural, Meta(description="of these, those that have been sent again")] = 0
    total_retrans: Annotated[Natural, Meta(description="segments sent again since the beginning")] = 0
    probes: Annotated[
        Natural, Meta(description="probes in a row without an answer: of a closed window, or keep-alives")
    ] = 0
    notsent_bytes: Annotated[Natural, Meta(description="bytes in the send buffer that were never sent")] = 0
    bytes_acked: Annotated[
        Natural, Meta(description="bytes that the peer has acknowledged; our SYN, and our FIN, count as one")
    ] = 0
    bytes_received: Annotated[
        Natural, Meta(description="bytes that have come, read or not; the peer's FIN counts as one")
    ] = 0
    last_data_sent: Annotated[Natural, Meta(description="nanoseconds since then, to a few milliseconds")] = 0
    last_data_recv: Annotated[Natural, Meta(description="nanoseconds since then, to a few milliseconds")] = 0
    rwnd_limited: Annotated[
        Natural, Meta(description="nanoseconds for which only the peer's window held up what was to be sent")
    ] = 0


class Gap(Event, tag="gap"):
    """Events are missing here: they could not be written, a watcher did not keep up, or none were wanted."""

    lost: Annotated[int, Meta(description="how many; the gap has the number of the last of them")]
    reason: Annotated[str, Meta(description="why they are missing")]
    wanted: Annotated[
        bool, Meta(description="they were left out on purpose: a flight recorder keeps only the last events")
    ] = False


class ListenerState(msgspec.Struct, gc=False):
    """One listener or datagram socket in a snapshot."""

    sock: Sock
    fd: Fd
    proto: Annotated[str, Meta(description="tcp, unix or udp")]
    address: Address
    backlog: Backlog = 0
    accepted: Annotated[int, Meta(description="connections, or datagrams received")] = 0
    sent: Annotated[int, Meta(description="datagrams sent")] = 0
    queued: Queued | None = None


class ConnectionState(msgspec.Struct, gc=False):
    """One open connection in a snapshot."""

    conn: Conn
    fd: Fd
    peer: Peer
    local: Annotated[str, Meta(description="our address")]
    opened: Annotated[int, Meta(description="the `t` of its accept")]
    received: Total
    sent: Total
    buffered: Annotated[int, Meta(description="bytes that the server holds for the peer")]
    interest: Mask
    sock: Annotated[str, Meta(description="the listener it came through")] = ""


class Snapshot(Event, tag="snapshot"):
    """The server's state, for a watcher that joins late or has missed events. Never in a log file."""

    listeners: Annotated[list[ListenerState], Meta(description="the open ones, and datagram sockets")]
    connections: Annotated[
        list[ConnectionState], Meta(description="the open ones, the newest if they are many")
    ]
    open: Annotated[int, Meta(description="how many connections are open")]
    blocked: Annotated[int, Meta(description="nanoseconds spent asleep since t = 0")]
    accepted: Annotated[int, Meta(description="connections in total")] = 0
    received: Total = 0
    sent: Total = 0
    lost: Annotated[int, Meta(description="events this watcher has missed so far")] = 0
    until: Annotated[int | None, Meta(description="as the last `prepare` has it")] = None
    why: Annotated[str, Meta(description="as the last `prepare` has it: what the loop sleeps for")] = ""
    slow: Annotated[int, Meta(description="ticks so far of which a `slow` event tells")] = 0


class End(Event, tag="end"):
    """The last line of a log that was closed in good order."""

    reason: Annotated[str, Meta(description="what made the server stop")]
    events: Annotated[int, Meta(description="events recorded, header and this one included")]
    lost: Annotated[int, Meta(description="events that could not be written here")] = 0


class Cut(Event, tag="cut"):
    """The last line of a file that ends before its log does; its number is -1, for it is the file's alone.

    The log was rotated and goes on in a newer file, or a flight recorder wrote down what it had.
    """

    reason: Annotated[str, Meta(description="why the file ends here")]


class Unknown(msgspec.Struct):
    """A line whose `ev` this version does not know: carried along as it is."""

    seq: int
    t: int
    tick: int
    ev: str
    fields: dict[str, Any]


AnyEvent: TypeAlias = (
    Header
    | Clock
    | Poll
    | Listen
    | Bind
    | Socket
    | Inherit
    | Connect
    | Setsockopt
    | Block
    | Accept
    | Recv
    | Send
    | Recvfrom
    | Sendto
    | Shutdown
    | Close
    | Prepare
    | Interest
    | Timer
    | Signal
    | Limit
    | Control
    | Refuse
    | Error
    | Unseen
    | Slow
    | Queue
    | TcpInfo
    | Gap
    | Snapshot
    | Cut
    | End
)

EVENT_TYPES: dict[str, type[Event]] = {str(cls.__struct_config__.tag): cls for cls in get_args(AnyEvent)}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one line of a log."""
    return msgspec.json.schema(AnyEvent)
