"""Why nothing happens: who waits for whom."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from evloop.events.schema import Block, Call, End, Header, Located, Poll
from evloop_trace.correlate.entries import PacketEntry
from evloop_trace.correlate.reasons.past import ended
from evloop_trace.correlate.reasons.words import size, text
from evloop_trace.numbers import plural
from evloop_trace.packets.segments import AGAIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evloop_trace.correlate.entries import CallEntry, Entry
    from evloop_trace.correlate.reasons.opening import Listeners
    from evloop_trace.correlate.reasons.past import End as OneEnd
    from evloop_trace.correlate.reasons.past import Past

__all__ = ["Program", "Silence", "Threads", "programs", "quiet", "unread"]

_THREADS = 1024
_SLEEPS = 64  # of a thread: a silence in which it wakes more often is judged by its end
_FEW = 3
_CLIENT = "the client"

_Key: TypeAlias = tuple[int, str]  # of a thread: the log, and its name


class _Thread:
    def __init__(self, entry: CallEntry) -> None:
        self.last = entry
        self.since = entry.event.t
        self.sleeps: deque[tuple[int, int, CallEntry]] = deque(maxlen=_SLEEPS)
        """From when to when, and in which call."""
        self.polls = False
        """It tells of its sleep only when that is over."""


class Threads:
    """A fold: what every thread of every log did last, and in which calls it slept."""

    def __init__(self) -> None:
        self._threads: dict[_Key, _Thread] = {}
        self._loops: set[int] = set()
        self._seen: dict[int, int] = {}
        self._over: set[int] = set()
        self._gone: set[int] = set()  # without a word

    def tell(self, entry: CallEntry) -> None:
        """A call."""
        event = entry.event
        if isinstance(event, Header):
            if event.model == "loop":
                self._loops.add(entry.log)
            return
        self._seen[entry.log] = entry.t
        self._gone.discard(entry.log)
        if isinstance(event, End):
            self._over.add(entry.log)
        else:
            self._over.discard(entry.log)
        if not isinstance(event, Located):
            return  # a sample, or what the log says of itself: no thread called it
        thread = self._threads.pop(key_of(entry), None) or _Thread(entry)
        self._threads[key_of(entry)] = thread
        self._slept(thread, entry)
        if len(self._threads) > _THREADS:
            del self._threads[next(iter(self._threads))]

    def _slept(self, thread: _Thread, entry: CallEntry) -> None:
        before, event = thread.last, entry.event
        if isinstance(event, Block) and before is not entry and event.t <= ended(before):
            # A short call stands where it began, which is before its block: it has returned.
            thread.sleeps.append((event.t, ended(before), entry))
            return
        if isinstance(before.event, Block):
            thread.sleeps.append((before.event.t, ended(entry), before))
        elif isinstance(event, Call):
            thread.sleeps.append((event.t, ended(entry), entry))
        thread.polls = thread.polls or isinstance(event, Poll)
        thread.last = entry

    def vanish(self, log: int) -> None:
        """Its program was likely killed, unless it says something more."""
        self._over.add(log)
        self._gone.add(log)

    def is_gone(self, key: _Key | None) -> bool:
        """Its program was likely killed: since when nobody knows, nor what it did last."""
        return key is not None and key[0] in self._gone

    def seen(self, log: int) -> int:
        """When the last event of a log was told."""
        return self._seen.get(log, -1)

    def keys(self, before: int) -> list[_Key]:
        """The threads of programs that run, which were there at a time."""
        return [key for key, it in self._threads.items() if it.since <= before and key[0] not in self._over]

    def of(self, end: OneEnd) -> _Key | None:
        """The thread that last dealt with an end; None if it is not known, or its program has ended."""
        key = key_of(end.calls[-1]) if end.calls else None
        return key if key is not None and key[0] not in self._over else None

    def last(self, key: _Key | None) -> CallEntry | None:
        """What a thread did last, if it is known."""
        thread = self._threads.get(key) if key is not None else None
        return thread.last if thread is not None else None

    def asleep(self, key: _Key | None, name: str, since: int, until: int) -> str:
        """The call in which a thread slept for the most of this time; empty if it was in none.

        Args:
            key: The thread.
            name: The socket of which nobody needs to be told.
            since: In ns.
            until: In ns.
        """
        last = self.last(key)
        if key is None or last is None:
            return ""
        sleeps = [*self._threads[key].sleeps]
        if len(sleeps) == _SLEEPS:
            since = max(since, sleeps[0][0])
        if isinstance(last.event, Block) and key[0] not in self._over:
            sleeps.append((last.event.t, until, last))
        most = Counter[str]()
        for begin, end, entry in sleeps:
            most[_label(entry, name)] += max(0, min(end, until) - max(begin, since))
        if 2 * most.total() < until - since or not most.total():
            return ""
        (label, longest), *others = most.most_common(2)
        return label if 2 * longest >= until - since else f"{label} and {others[0][0]}"

    def polls(self, key: _Key | None) -> bool:
        """What it sleeps in is told of when it returns."""
        return key is not None and (key[0] in self._loops or self._threads[key].polls)


def key_of(entry: CallEntry) -> _Key:
    """The thread that called."""
    return entry.log, getattr(entry.event, "thread", "")


def _label(entry: CallEntry, name: str) -> str:
    event = entry.event
    word = event.awaits if isinstance(event, Block) else type(event).__name__.lower()
    about = getattr(event, "conn", None) or getattr(event, "sock", None)
    return f"{text(word)}(){f' on {text(about)}' if about and about != name else ''}"


class Program(NamedTuple):
    """Somebody who may be asleep."""

    word: str
    key: _Key | None
    name: str
    """Its end's."""
    waits: int = 0
    """Bytes that it could read."""


class Silence:
    """What programs did in a silence; a poll that lasts over its end is told of later."""

    def __init__(
        self, since: int, until: int, them: list[Program], *, is_whole: bool = False, unread: str = "",
        about: str = "",
    ) -> None:  # fmt: skip
        """`about` stands before what it says."""
        self.entry: Entry | None = None
        self.said = ""
        self._unread = unread
        self._about = about
        self._known: dict[tuple[_Key | None, str], str] = {}
        self._since, self._until, self._them, self._is_whole = since, until, them, is_whole
        self.open = {it.key for it in them}
        """Threads that have not called anything since."""

    def tell(self, key: _Key, threads: Threads) -> None:
        """A thread has called something since, or returned from what it slept in."""
        if self.entry is None or key not in self.open:
            return
        self.open.discard(key)
        if self.entry.quiet == self.said:
            self.entry.quiet = self.text(threads)

    def text(self, threads: Threads) -> str:
        """As far as it is known."""
        said = self._text(threads)
        self.said = self._about + said if said else ""
        return self.said

    def _text(self, threads: Threads) -> str:
        asleep = [self._asleep(it, threads) for it in self._them]
        does = [self._does(it, at, threads) for it, at in zip(self._them, asleep, strict=True)]
        if self._is_whole:
            return self._of_all(does)
        for it, at, doing in zip(self._them, asleep, does, strict=True):
            if it.waits and at == "recv()":
                return f"{size(it.waits)} have come for {it.word}, whose recv() has not returned yet"
            if it.waits and not doing.startswith("likely"):
                return f"{size(it.waits)} wait for {it.word}" + (f", which {doing}" if doing else "")
        if does[0] and self._them[0].key == self._them[1].key:
            return f"the thread that has both ends {min(does, key=len)}"
        if asleep[0] == asleep[1] == "recv()":
            return "both ends sleep in recv(): each waits for the other"
        both = zip(reversed(self._them), reversed(does), strict=True)
        return "; ".join([f"{it.word} {doing}" for it, doing in both if doing])

    def _asleep(self, it: Program, threads: Threads) -> str:
        """Where it slept; of who has called something since, as it was known then: sleeps are forgotten."""
        if (it.key, it.name) in self._known:
            return self._known[it.key, it.name]
        said = threads.asleep(it.key, it.name, self._since, self._until)
        if it.key not in self.open:
            self._known[it.key, it.name] = said
        return said

    def _of_all(self, does: list[str]) -> str:
        """Of every thread: those that sleep, and all if there are few; of many alike, how many."""
        said: dict[tuple[str, str], list[str]] = {}  # by whose thread it is, and its call, on whatever socket
        for it, doing in sorted(zip(self._them, does, strict=True), key=lambda both: both[0].word == _CLIENT):
            if "sleeps" in doing or (doing and len(does) <= _FEW):
                said.setdefault((it.word, doing.partition(" on ")[0]), []).append(doing)
        whose = {word: self._one_of(word) for word, _ in said}
        each = list(dict.fromkeys(f"{whose[word]} {it}" for (word, _), them in said.items() for it in them))
        if len(each) > _FEW:
            each = [
                f"{whose[word]} {them[0]}"
                if len(them) == 1
                else f"{len(them)} {_many(whose[word])} {doing.replace('sleeps', 'sleep')}"
                for (word, doing), them in said.items()
            ]
        if len(each) > _FEW:
            each = [f"{sum(map(len, said.values()))} threads sleep"]
        return "; ".join([*filter(None, [self._unread]), *each])

    def _one_of(self, word: str) -> str:
        """The server; a server, if there are others; a thread of the server, if it has more than one."""
        keys = [it.key for it in self._them if it.word == word]
        if len(keys) == 1:
            return word
        logs = {key and key[0] for key in keys}
        return f"a {word.removeprefix('the ')}" if len(logs) == len(keys) else f"a thread of {word}"

    def _does(self, it: Program, asleep: str, threads: Threads) -> str:
        if asleep:
            return f"sleeps in {asleep}"
        if threads.last(it.key) is None or threads.is_gone(it.key):
            return ""
        polls = it.key in self.open and threads.polls(it.key)
        return "likely sleeps in poll()" if polls else "is in no call"


def _many(whose: str) -> str:
    """Of whom there are some."""
    return f"threads{whose.removeprefix('a thread')}" if whose.startswith("a thread") else f"{whose[2:]}s"


def unread(pasts: Iterable[Past], listeners: Listeners) -> str:
    """What servers have not read, if it is of more than one connection."""
    waits = [it for past in pasts if (it := _unread(past, listeners))]
    return f"{size(sum(waits))} wait on {plural(len(waits), 'connection')}" if len(waits) > 1 else ""


def _unread(past: Past, listeners: Listeners) -> int:
    return past.ends[True].data if _is_queued(past, listeners) else past.waiting(client=False)


def _is_queued(past: Past, listeners: Listeners) -> bool:
    """The handshake is over, and accept() has not returned it."""
    listener = listeners.at(past.strand.server)
    queued = past.accept is None and past.handshake is not None
    return queued and listener is not None and listener.closed is None


def quiet(past: Past, threads: Threads, listeners: Listeners, now: int, coming: Entry | None = None) -> str:
    """Why nothing was said on a connection since `past.t`, if it is not the programs: see `programs`.

    Args:
        past: The connection so far.
        threads: Who calls what.
        listeners: Who listens where.
        now: In ns.
        coming: What ends the silence, if that is known.
    """
    return _kernel(past, coming) or _ends(past) or _accepts(past, threads, listeners, now)


def programs(past: Past, threads: Threads, now: int, about: str = "") -> Silence:
    """What the programs of both ends do meanwhile; `about` says of which connection, where that is needed."""
    names = past.strand.names
    return Silence(
        past.t,
        now,
        [
            Program(end.word, threads.of(end), names[not client], past.waiting(client=client))
            for client, end in past.ends.items()
        ],
        about=about,
    )


def _kernel(past: Past, coming: Entry | None) -> str:
    """A timer of TCP's runs."""
    client, server = past.ends[True], past.ends[False]
    if client.syns.count and past.handshake is None and not server.syns.count and server.rst is None:
        return "nobody has answered the SYN: the client's kernel waits, and then asks again"
    packet = coming.packet if isinstance(coming, PacketEntry) else None
    for sender, other, is_client in ((client, server, True), (server, client, False)):
        if other.closed_at is not None and sender.sent > sender.out:
            return (
                f"{other.word}'s window is closed: {size(sender.sent - sender.out)} of {sender.word} wait "
                "in the kernel, which probes it now and then"
            )
        if other.closed_at is not None and (sender.probes.count or sender.sent == 0):
            return f"{other.word}'s window is closed: {sender.word}'s kernel probes it now and then"
        waits = past.unacked(client=is_client)
        if waits and packet is not None:
            if packet.found & AGAIN and packet.client == is_client:
                return f"{size(waits)} of {sender.word} are not acknowledged: its retransmission timer runs"
            if packet.client != is_client and (packet.ack or 0) > sender.acked and packet.begin == packet.end:
                return f"{other.word}'s kernel delays the ACK of {size(waits)}: an answer could carry it"
    return ""


def _ends(past: Past) -> str:
    """One end has closed, or both."""
    client, server = past.ends[True], past.ends[False]
    for resetting, other in ((client, server), (server, client)):
        if resetting.rst is not None:
            return _is_reset(past, resetting, other)
    if client.fin is not None and server.fin is not None:
        return "both ends have sent their FIN: the first to do so is in TIME-WAIT"
    for closer, other in ((client, server), (server, client)):
        if closer.fin is not None and other.close is None:
            return f"{closer.word} sends no more, and {other.word} has not closed yet: CLOSE-WAIT"
        if closer.close is not None and closer.fin is None and past.whole:
            if closer.sent > closer.data:
                return f"{closer.word} has closed, and its FIN waits behind what is not acknowledged"
            return f"{closer.word} has closed, but no FIN went out: likely a copy of it is still open"
    return ""


def _is_reset(past: Past, resetting: OneEnd, other: OneEnd) -> str:
    """How the other end is told: tcp_recvmsg() gives out what waits, and the 0 of a FIN, before an error."""
    if other.is_told:
        return f"it is reset, and {other.word} has been told"
    if resetting.fin is not None:
        return f"it is reset: {other.word} learns of it when it sends; its recv() is 0, as of any FIN"
    waits = past.waiting(client=other is past.ends[True])
    behind = f", behind {size(waits)} that it can still read" if waits else ""
    return f"it is reset: {other.word} learns of it in its next call{behind}"


def _accepts(past: Past, threads: Threads, listeners: Listeners, now: int) -> str:
    listener = listeners.at(past.strand.server)
    if listener is None or not _is_queued(past, listeners):
        return ""
    waits = past.ends[True].data
    more = f", and {size(waits)} wait with it" if waits else ""
    asleep = threads.asleep(key_of(listener.made), "", past.t, now)
    if asleep.startswith("accept"):
        return ""  # it has, and is about to return
    where = f": the server sleeps in {asleep}" if asleep else ""
    return f"the handshake is over, but nobody has called accept(){more}{where}"
