"""The join: events of all logs in, as they are due; out comes what other logs tell of each.

What a recv() got may have been sent by a call that returns, and so is recorded, later: then what is given
back for the recv() is completed when that event comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from evloop.events.schema import (
    Accept,
    Bind,
    Block,
    Close,
    Connect,
    Gap,
    Inherit,
    Listen,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Shutdown,
    Socket,
)
from evloop_trace.correlate.datagrams import Datagrams
from evloop_trace.correlate.ends import End, Joined, Origin
from evloop_trace.correlate.pairs import Key, Pairs, plain, tcp_key, unix_key
from evloop_trace.correlate.payloads import differ, moved, shift
from evloop_trace.model.sockets import WOULD_BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.events.schema import AnyEvent, Header, Unknown

__all__ = ["Joiner", "Source"]

_SLACK = 1_000_000  # ns by which, on one clock, a recv() may be told of as if it was before its send


class Source(NamedTuple):
    """A log that takes part."""

    label: str  # what its names begin with, without the colon; empty if it is the only one
    header: Header


class Joiner:
    """A fold: `feed` it every event of every log, with labelled names and on one clock."""

    def __init__(self, sources: Sequence[Source], *, one_clock: bool) -> None:
        """`one_clock`: the logs' times can be compared, since they are of one boot."""
        self.early: list[Joined] = []
        """What was given back before and has been completed, or a part of it, by the last event."""
        self.end: End | None = None
        """The end of a connection that the last event was about, if that is known."""
        self.one_clock = one_clock
        self.disagree: dict[tuple[str, str], int] = {}
        """By labels, of who sent and who received: nanoseconds by which their clocks disagree at least."""
        self.servers: set[int] = set()
        """The numbers of the logs of who accepted, or was bound to an address, and so can be found."""
        self._bound: set[str] = set()  # open datagram sockets
        self._labels = [source.label for source in sources]
        self._pids = [source.header.pid for source in sources]
        forked = {source.header.parent for source in sources}
        self._parents = {log for log, pid in enumerate(self._pids) if pid in forked}
        self._losses: set[tuple[int, int]] = set()
        self._ends: dict[str, End] = {}  # the open ones, by their labelled names
        self._places: dict[tuple[str, str], End] = {}  # and by their own address and their peer's
        self._greeted: dict[int, tuple[Key, End]] = {}  # by the identity of what an accept still lacks
        self._pairs = Pairs(one_clock=one_clock)
        self._datagrams = Datagrams()
        self._folds: dict[type, Callable[[int, Any], Joined | None]] = {
            Recv: self._recv,
            Send: self._send,
            Recvfrom: self._recvfrom,
            Sendto: self._sendto,
            Block: self._block,
            Connect: self._connect,
            Accept: self._accept,
            Shutdown: self._shutdown,
            Close: self._close,
            Bind: self._bind,
            Listen: lambda log, _: self.servers.add(log),
            Socket: self._socket,
            Inherit: self._inherit,
            Gap: lambda log, _: self._lose(log),
        }

    def feed(self, log: int, event: AnyEvent | Unknown) -> Joined | None:
        """Fold an event of the log with this number in; what it got from others, if it got anything."""
        if self.early:
            self.early = []
        if self._losses and (log, event.seq) in self._losses:
            self._losses.discard((log, event.seq))
            self._lose(log)
        fold = self._folds.get(type(event))
        if fold is not None:
            return fold(log, event)
        self.end = self._ends.get(getattr(event, "conn", None) or "")
        return None

    def lost(self, log: int, seq: int) -> None:
        """Before the log's event of this number, which is still to come, events are missing."""
        self._losses.add((log, seq))

    def is_client(self, event: AnyEvent | Unknown, end: End | None) -> bool | None:
        """Whether an event is a client's, or a server's; None if only the rest of its log can tell."""
        if end is not None:
            return not end.accepted
        kind = getattr(event, "awaits", "") or type(event).__name__.lower()
        if kind in {"recvfrom", "sendto"}:
            return getattr(event, "sock", None) not in self._bound
        return True if kind == "connect" else False if kind in {"accept", "listen", "bind"} else None

    def give_up(self, joined: Joined) -> None:
        """Nobody waits any more for what this lacks: an accept's client is not in the logs."""
        greeted = self._greeted.pop(id(joined), None)
        if greeted is not None:
            self._pairs.forget(*greeted)
            greeted[1].forget()

    def _lose(self, log: int) -> None:
        """Events are missing: what was known of the log's ends may not hold any more."""
        self._pairs.lose()
        for end in self._ends.values():
            if end.log == log:
                end.sent = end.taken = -1
                end.blocked = None

    # -- streams ---------------------------------------------------------------------------------------

    def _send(self, log: int, event: Send) -> None:
        end = self.end = self._ends.get(event.conn)
        if end is None or end.lone:
            return
        off, blocked = event.off, end.blocked
        if blocked is not None and end.sleeper != (log, event.thread):
            blocked = None
        if off is None:
            if blocked is not None and event.errno not in WOULD_BLOCK:
                end.blocked = None  # how much of it was sent nobody knows
            return
        start, stop = off
        if end.shared and start != end.sent >= 0:  # another process has sent meanwhile
            start, stop = end.sent, end.sent + stop - start
            _doubt(end)
        end.sent = stop
        if blocked is not None:
            self._returned(end, blocked, event, stop)
            return
        if start == stop or "MSG_OOB" in event.flags:
            return
        by = end.unseen_sent
        origin = Origin("send", self._labels[log], event.seq, event.t, start + by, stop + by, event.data)
        out = end.out
        if out.came:
            self._put(end, origin)
        else:  # nearly always: it has not come yet
            out.put(origin.start, origin.end, origin)

    def _put(self, end: End, origin: Origin) -> None:
        came = end.out.came
        by = 0 if _is_shared(end) else moved(came, origin.start, origin.data, Joined.bytes_from)
        if by != 0:  # what came there is of calls that its log does not tell of
            by = came[-1][1] - origin.start if by is None else by
            origin.start, origin.end = origin.start + by, origin.end + by
            end.unseen_sent += by
            _doubt(end)
        for start, stop, joined in end.out.put(origin.start, origin.end, origin):
            if self._meet(end, joined, origin, start, stop):
                self.early.append(joined)

    def _meet(self, sender: End | None, joined: Joined, origin: Origin, start: int, stop: int) -> bool:
        """The bytes in [start, stop) of a recv are of that send, unless they are not the same."""
        if sender is not None and not _is_shared(sender):
            others = differ(joined.bytes_from(start), origin.bytes_from(start), stop - start)
            if others or self._is_too_late(sender, joined, origin):
                _doubt(sender)
                joined.exact = False
                return False
        joined.came(origin, stop - start)
        self._compare(sender, joined, origin)
        return True

    def _is_too_late(self, sender: End, joined: Joined, origin: Origin) -> bool:
        """Of two logs with one clock: it was sent when that recv() had returned."""
        apart = self.one_clock and sender.other is not None and sender.other.log != sender.log
        return apart and origin.ev != "block" and origin.t > joined.due + _SLACK

    def _block(self, log: int, event: Block) -> None:
        """A send that sleeps: the other end may receive of it before it returns."""
        end = self.end = self._ends.get(event.conn or "")
        if end is None or end.lone or end.sent < 0 or event.awaits != "send" or not event.size:
            return
        start = end.sent + end.unseen_sent
        end.blocked = Origin("block", self._labels[log], event.seq, event.t, start, start + event.size)
        end.sleeper = log, event.thread
        self._put(end, end.blocked)

    @staticmethod
    def _returned(end: End, blocked: Origin, event: Send, stop: int) -> None:
        """The send that slept: what came of it came of this event."""
        end.blocked = None
        stop += end.unseen_sent
        end.out.cut(stop)
        blocked.ev, blocked.seq, blocked.t, blocked.end = "send", event.seq, event.t, stop

    def _recv(self, _log: int, event: Recv) -> Joined | None:
        end = self.end = self._ends.get(event.conn)
        # What connected and was not accepted yet gets nothing.
        if end is None or end.lone or (end.other is None and self.one_clock and not end.accepted):
            return None
        off = event.off
        if off is None:
            return self._reset(end, event)
        start, stop = off
        stays = bool(event.flags) and "MSG_PEEK" in event.flags
        if event.flags and ("MSG_OOB" in event.flags or "MSG_ERRQUEUE" in event.flags):
            return None
        if end.shared and start != end.taken >= 0:  # another process has received meanwhile
            start, stop = end.taken, end.taken + stop - start
            _doubt(end)
        if start == stop:
            return self._over(end, event, start, peeked=stays)
        if not stays:
            end.taken = stop
        start, stop = self._found_at(end, event, start, stop)
        joined = Joined(event.t + event.dur, stop - start, [], end.exact, stays, start, _data(event))
        parts = end.into.peek(start, stop) if stays else end.into.take(start, stop, joined)
        for low, high, origin in parts:
            self._meet(end.other, joined, origin, low, high)
        return joined

    @staticmethod
    def _found_at(end: End, event: Recv, start: int, stop: int) -> tuple[int, int]:
        """Where the bytes are that a call got, if calls before it got, or sent, some that no log tells of."""
        start, stop, went = start + end.unseen_got, stop + end.unseen_got, end.into.went
        if _is_shared(end) or not went:
            return start, stop
        by = moved(went, start, _data(event), Origin.bytes_from)
        if by is None and end.other is not None:  # nobody has told of sending that
            shift(went, start, stop - start)
            for origin in {id(it): it for low, _, it in went if low >= stop}.values():
                origin.move(start, stop - start)
            end.other.unseen_sent += stop - start
        if by != 0:
            end.unseen_got += by or 0
            _doubt(end)
        return start + (by or 0), stop + (by or 0)

    def _over(self, end: End, event: Recv, at: int, *, peeked: bool) -> Joined | None:
        """The end of the stream: only the first recv() that finds it says something new."""
        if end.eof or end.deaf or not event.size:
            return None
        end.eof = not peeked
        joined = Joined(event.t + event.dur, 1, [], end.exact, peeked)
        sender = end.other
        origin = end.into.over(at + end.unseen_got, joined, shared=sender is not None and sender.shared)
        if origin is not None:
            joined.came(origin, 1)
            self._compare(sender, joined, origin)
        return joined

    def _reset(self, end: End, event: Recv) -> Joined | None:
        """ECONNRESET: the other end was closed in a way that is no FIN."""
        if event.errno != "ECONNRESET" or end.other is None or end.other.farewell is None:
            return None
        return Joined(event.t + event.dur, 0, [end.other.farewell], end.exact)

    def _compare(self, sender: End | None, joined: Joined, origin: Origin) -> None:
        """Nothing is received before it is sent, unless two clocks do not agree; a log has only one."""
        if origin.ev == "block":  # its call began before it slept: as yet nobody knows when
            origin.t = min(origin.t, joined.due)
        if self.one_clock or origin.t <= joined.due or not joined.exact:
            return
        if sender is not None and sender.other is not None and sender.log != sender.other.log:
            pair = self._labels[sender.log], self._labels[sender.other.log]
            self.disagree[pair] = max(self.disagree.get(pair, 0), origin.t - joined.due)

    def _finish(self, end: End, origin: Origin) -> None:
        """A call said that nothing follows what was sent so far."""
        joined = None if end.lone or origin.start < 0 else end.out.finish(origin)
        if joined is not None and not self._is_too_late(end, joined, origin):
            joined.came(origin, 1)
            self.early.append(joined)
            self._compare(end, joined, origin)

    def _shutdown(self, log: int, event: Shutdown) -> None:
        end = self.end = self._ends.get(event.conn)
        if end is None or event.errno:
            return
        end.deaf = end.deaf or event.how != "SHUT_WR"
        if event.how != "SHUT_RD":
            label, at = self._labels[log], end.sent + end.unseen_sent
            self._finish(end, Origin("shutdown", label, event.seq, event.t, at, at + 1))

    def _close(self, log: int, event: Close) -> None:
        if event.sock is not None:
            self._datagrams.closed(event.sock)
            self._bound.discard(event.sock)
        end = self.end = self._ends.pop(event.conn or "", None)
        if end is None:
            return
        end.held -= 1
        if end.held:
            return  # nothing is said to the other end as long as another process has it
        at = (end.sent if end.shared else max(end.sent, event.sent)) + end.unseen_sent
        end.farewell = Origin("close", self._labels[log], event.seq, event.t, at, at + 1)
        if log not in self._parents and self._places.get(end.place) is end:
            del self._places[end.place]
        if not event.unread or _is_unix(end.name):  # else it is a reset
            self._finish(end, end.farewell)

    # -- connections -----------------------------------------------------------------------------------

    def _open(self, end: End, local: str, peer: str) -> None:
        self._ends[end.name] = end
        end.place = plain(local), plain(peer)
        self._places[end.place] = end

    def _connect(self, log: int, event: Connect) -> None:
        self.end = None
        if event.sock is not None and event.local:
            self._datagrams.at(event.sock, event.local)
        if event.conn is None or event.errno:
            return
        local, peer = event.local or "", event.peer or ""
        end = self.end = End(log, event.conn, event.t, accepted=False)
        end.greeting = Origin("connect", self._labels[log], event.seq, event.t)
        self._open(end, local, peer)
        if local and plain(local) == plain(peer):
            end.meet(end, exact=True)  # two SYNs crossed, and both were its own: RFC 9293, 3.5
            return
        key = unix_key(peer, self._pids[log]) if _is_unix(end.name) else tcp_key(local, peer)
        other, exact = self._pairs.connected(key, end)
        if other is not None:
            end.meet(other, exact=exact)
            self._greet(end, other, exact=exact)
            self.early.append(cast("Joined", other.greeted))

    def _accept(self, log: int, event: Accept) -> Joined | None:
        self.end = None
        if event.conn is None:
            return None
        local, peer = event.local or "", event.peer or ""
        joined = Joined(event.t + event.dur, 1)
        end = self.end = End(log, event.conn, joined.due, accepted=True)
        end.greeted = joined
        self._open(end, local, peer)
        key = unix_key(local, event.pid) if _is_unix(end.name) else tcp_key(peer, local)
        self._greeted[id(joined)] = key, end
        other, exact = self._pairs.accepted(key, end)
        if other is not None:
            end.meet(other, exact=exact)
            self._greet(other, end, exact=exact)
        return joined

    def _greet(self, client: End, server: End, *, exact: bool) -> None:
        """The server's accept is from the client's connect."""
        joined, origin = cast("Joined", server.greeted), cast("Origin", client.greeting)
        self._greeted.pop(id(joined), None)
        joined.exact = exact
        joined.came(origin, 1)
        self._compare(client, joined, origin)

    def _socket(self, log: int, event: Socket) -> None:
        """The second socket of a socketpair(2) names the first: they are connected from the beginning."""
        self.end = None
        if event.pair is None or event.sock is None:
            return
        first, second = (
            End(log, name, event.t, accepted=accepted)
            for name, accepted in ((event.pair, False), (event.sock, True))
        )
        self._ends[first.name], self._ends[second.name] = first, second
        second.meet(first, exact=True)

    def _inherit(self, log: int, event: Inherit) -> None:
        """A connection that another process of the run has, or had: the same end in two processes."""
        self.end = None
        if event.proto.startswith("udp"):
            self._datagrams.at(event.name, event.address)
        end = self._places.get((plain(event.address), plain(event.peer))) if event.peer else None
        if end is not None:
            end.held += 1
            end.shared = True
            end.out.endings = [it for it in end.out.endings if it.ev == "shutdown"]  # no close was its last
            self._ends[event.name] = end
            if end.accepted:
                self.servers.add(log)

    # -- datagrams -------------------------------------------------------------------------------------

    def _bind(self, log: int, event: Bind) -> None:
        self.end = None
        if not event.errno:
            self._datagrams.at(event.sock, event.address)
            if event.proto.startswith("udp"):
                self._bound.add(event.sock)
                self.servers.add(log)

    def _sendto(self, log: int, event: Sendto) -> None:
        self.end = None
        if event.n is not None:
            origin = Origin("sendto", self._labels[log], event.seq, event.t, 0, event.n)
            joined = self._datagrams.sent(event.sock, event.peer, event.n, event.data, origin)
            if joined is not None:
                self.early.append(joined)

    def _recvfrom(self, _log: int, event: Recvfrom) -> Joined | None:
        self.end = None
        if event.n is None:
            return None
        joined = Joined(event.t + event.dur, max(event.n, 1), peeked="MSG_PEEK" in event.flags)
        hopes = self._datagrams.came(
            event.sock, event.peer or "", event.n, event.data, joined, cut=event.truncated
        )
        return joined if hopes or joined.origins else None


def _doubt(end: End) -> None:
    """Which of several processes' bytes came first is known by their order only."""
    end.exact = False
    if end.other is not None:
        end.other.exact = False


def _is_shared(end: End) -> bool:
    """Several processes call at one of both ends, so that offsets follow from the order of their calls."""
    return end.shared or (end.other is not None and end.other.shared)


def _data(event: Recv) -> bytes:
    """The first bytes of what it got; with MSG_TRUNC the kernel throws them away: tcp(7)."""
    return b"" if event.flags and "MSG_TRUNC" in event.flags else event.data


def _is_unix(name: str) -> bool:
    return name.rpartition(":")[2].startswith("unix")
