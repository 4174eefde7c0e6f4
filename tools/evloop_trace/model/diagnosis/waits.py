"""Threads that sleep in a call on a socket: what would end it, and why that does not come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop.events.schema import Block, Send
from evloop_trace.model.diagnosis.far import both_wait, far_end
from evloop_trace.model.diagnosis.finding import Cause, Elsewhere, Finding
from evloop_trace.model.diagnosis.listeners import meanwhile, queue_of
from evloop_trace.model.diagnosis.present import OPEN, is_recent, kernel_says, seen_of
from evloop_trace.model.diagnosis.state import Datagrams, Listener, Stream
from evloop_trace.model.diagnosis.words import (
    SLOW,
    call,
    join,
    moment,
    on,
    peer_of,
    place,
    sentence,
    since,
    when,
    who,
)
from evloop_trace.model.filters import due
from evloop_trace.numbers import duration, plural, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.model.diagnosis.scene import Scene
    from evloop_trace.model.diagnosis.state import Open, Process, Thread

__all__ = ["unanswered", "waiting"]


def waiting(scene: Scene, process: Process, thread: Thread) -> Finding | None:
    """What keeps a thread that sleeps in a socket's call, or None if it does not."""
    wait = thread.wait
    if not isinstance(wait, Block) or wait.awaits == "poll":
        return None
    sock = process.sockets.get(thread.on)
    kind, rule = _RULES.get(wait.awaits, (object, _unknown))
    cause = rule(scene, thread, sock) if isinstance(sock, kind) else _unknown(scene, thread, sock)
    begun, times = _begun(sock, wait)
    now = scene.now(process)
    subject = f"{who(process, thread)} has been blocked in {call(wait)}{on(thread)}"
    kernel = kernel_says(sock) if isinstance(sock, Stream) else ""
    doing = f"{subject}{since(begun, now)}{place(wait)}."
    limit = "" if wait.timeout is None else f"It gives up after {duration(wait.timeout)}."
    later = "" if thread.returned is None else f"It returned at {moment(due(thread.returned))}."
    finding = Finding(
        cause.kind,
        sentence(join(doing, cause.text, kernel, cause.elsewhere.text, times, limit, later)),
        process.label,
        thread.name,
        thread.on or None,
        begun,
        cause._replace(events=[*cause.events, wait]).evidence(process),
        cause.stuck and _lasts(process, thread, begun),
    )
    return meanwhile(scene, process, thread, finding)


def _lasts(process: Process, thread: Thread, begun: int) -> bool:
    """Whether it is long enough to be a hang, if its end is known or may still come."""
    if is_recent(process, begun):
        return False
    return thread.returned is None or due(thread.returned) - begun >= SLOW


def _begun(sock: Open | None, wait: Block) -> tuple[int, str]:
    """Since when it has waited in vain: a call with a timeout may have been made again and again."""
    vain = sock.vain if isinstance(sock, Stream | Datagrams) else None
    if vain is None or not vain.count or vain.first is None:
        return wait.t, ""
    return vain.first.t, f"It has asked {vain.count + 1:,} times."


def _unknown(_scene: Scene, _thread: Thread, _sock: Open | None) -> Cause:
    """A call that no rule knows, or on a socket whose beginning is missing."""
    return Cause("blocked", "", [])


def _recv(scene: Scene, thread: Thread, sock: Stream) -> Cause:
    """recv(2) returns when bytes come, when the peer's FIN does, or a reset; else never."""
    far = far_end(scene, sock)
    far = far._replace(text=join(far.text, _taken(thread, sock)))
    if both_wait(scene, sock, thread):
        kind = "recv-deadlock"
        far = far._replace(text=join(far.text, "Both wait in recv(), and neither will speak."))
    elif sock.shut is not None:
        kind = "recv-end"
    elif sock.last is None:
        kind = "recv-silent"
    elif sock.client and isinstance(sock.last, Send):
        kind = "recv-reply"
    else:
        kind = "recv-more"
    has_more = sock.other is not None and sock.other.sent > sock.received
    said = _returned(sock) if has_more else _so_far(sock)
    return Cause(kind, said, [sock.opened, sock.recv, sock.send, sock.shut], far)


def _taken(thread: Thread, sock: Stream) -> str:
    """With MSG_WAITALL recv(2) keeps what comes until it has all that it was asked for, or the end.

    The flag of a call that has not returned is in no log: known is that bytes have come, and neither wait to
    be read nor were returned. Another process that has the socket may have read them, too. Out-of-band bytes
    are none of the stream.
    """
    other, wait = sock.other, thread.wait
    if other is None or other.send is None or not isinstance(wait, Block) or wait.size is None:
        return ""
    taken, here, there = other.sent - sock.received, seen_of(sock), seen_of(other)
    if not 0 < taken < wait.size or is_recent(other.process, due(other.send)):
        return ""
    if here is None or here.unread or here.state not in OPEN or there is None or there.unsent:
        return ""
    if "MSG_OOB" in other.send.flags:
        return ""
    return (
        f"{size(taken)} of it have come and were not returned to this program: the call keeps them until it "
        f"has all of its {size(wait.size)} (MSG_WAITALL), or another process has read them."
    )


def _so_far(sock: Stream) -> str:
    """Who has said what on a connection, and whose turn it is."""
    peer, got, gave = peer_of(sock), sock.recv, sock.send
    theirs = f"{peer} has sent {size(sock.received)}, the last {when(got)}" if got is not None else ""
    ours = f"{size(sock.sent)}, the last {when(gave)}" if gave is not None else ""
    if sock.shut is not None:
        return f"We have finished sending, {when(sock.shut)}; {peer} has not, and is silent."
    if got is None:
        we = f"We have sent {ours}; n" if gave is not None else "N"
        return f"{we}othing has ever come from {peer}, and it has not closed."
    if gave is None:
        return f"{theirs}, and nothing since; it has not closed. We have sent nothing."
    if sock.last is got:
        return f"{theirs}, and nothing since; it has not closed. We have sent {ours}."
    if sock.client:
        return (
            f"We have sent {ours}, and wait for the answer: {peer} has been silent since, and has not closed."
        )
    return f"{theirs}, and we have answered: {ours}. It has sent nothing since, and has not closed."


def _returned(sock: Stream) -> str:
    """The same where the peer is known to have sent more than was read: that it is silent would be untrue."""
    got, gave = sock.recv, sock.send
    came = f"{size(sock.received)} have been returned, the last {when(got)}" if got is not None else ""
    ours = f"{size(sock.sent)}, the last {when(gave)}" if gave is not None else "nothing"
    end = "" if sock.shut is None else ", and have finished"
    return f"{came or 'Nothing has been returned'}. We have sent {ours}{end}."


def _send(scene: Scene, thread: Thread, sock: Stream) -> Cause:
    """A blocking send(2) sleeps while our send buffer is full; it is when the peer's receive buffer is too.

    The peer's window is 0 then: it does not read.
    """
    wait = thread.wait
    what = f"the {size(wait.size)}" if isinstance(wait, Block) and wait.size is not None else "the bytes"
    before = f" {size(sock.sent)} were sent before." if sock.sent else ""
    far = far_end(scene, sock)
    kind = "send-full"
    if both_wait(scene, sock, thread):
        kind = "send-deadlock"
        far = far._replace(text=join(far.text, "Both wait in send(), and neither reads."))
    text = (
        f"{peer_of(sock)} does not read: its window and our send buffer are full, and {what} of this call do "
        f"not fit.{before}"
    )
    return Cause(kind, text, [sock.opened, sock.recv, sock.send], far)


def _accept(_scene: Scene, _thread: Thread, sock: Listener) -> Cause:
    """accept(2) returns when a handshake has been finished: with nobody in the queue it sleeps."""
    last = sock.accepted
    ago = "" if last is None else f" since {last.peer or last.conn}, accepted {when(last)}"
    text = f"Nobody has called {sock.address or 'it'}{ago}."
    return Cause("accept-idle", text, [sock.opened, last], stuck=False)


def _connect(scene: Scene, thread: Thread, sock: Stream) -> Cause:
    """connect(2) sleeps until the SYN is answered.

    A closed port answers at once (ECONNREFUSED). No answer at all means that packets are dropped on their
    way, or that the accept queue is full: then Linux drops the SYN and lets the caller try again.
    On a Unix socket there are no packets: it sleeps until there is room in the accept queue, and only then.
    """
    peer = getattr(thread.wait, "peer", None) or sock.peer
    if sock.name.startswith("unix"):
        listener = scene.listener_of(peer)
        full = f"{peer or 'The other side'} has no room in its accept queue."
        found = [] if listener is None else [(listener.process, [listener.opened])]
        return Cause("connect-unanswered", "", [sock.opened], Elsewhere(full, found))
    return Cause("connect-unanswered", "", [sock.opened], unanswered(scene, peer))


def unanswered(scene: Scene, peer: str) -> Elsewhere:
    """Why a SYN to `peer` has no answer, as far as the logs tell."""
    text = f"{peer or 'The other side'} has not answered the SYN"
    listener = scene.listener_of(peer)
    if listener is None:
        why = "its accept queue is full, or packets are dropped on their way; a closed port refuses at once."
        return Elsewhere(f"{text}: {why}")
    queue = queue_of(scene, listener)
    return queue._replace(text=f"{text}: {queue.text}")


def _recvfrom(scene: Scene, _thread: Thread, sock: Datagrams) -> Cause:
    """recvfrom(2) returns with a datagram; nothing tells that one was lost.

    A datagram to a closed port comes back as an ICMP error, and only a connected socket is told of it.
    """
    asked, last = sock.unanswered, sock.recv
    question = asked.last
    if question is None or not asked.count or (sock.address and last is not None):
        ago = "" if last is None else f" since that of {last.peer or 'an unnamed socket'}, {when(last)}"
        text = f"No datagram has come{f' to {sock.address}' if sock.address else ''}{ago}."
        return Cause("datagram-idle", text, [sock.opened, last], stuck=False)
    peer = getattr(question, "peer", "")
    how = (
        "The socket is connected, so a closed port would have been told as ECONNREFUSED: the datagram or its "
        "answer was lost, or nobody answers."
        if sock.connected
        else "If that port is closed nothing tells: only a connected socket gets ECONNREFUSED."
    )
    text = f"{plural(asked.count, 'datagram')} to {peer}, the last {when(question)}: no answer. {how}"
    return Cause("datagram-unanswered", text, [sock.opened, last, question], _arrived(scene, peer))


def _sendto(scene: Scene, _thread: Thread, sock: Datagrams) -> Cause:
    """sendto(2) sleeps for want of room.

    A Unix datagram is put into its receiver's queue, which holds net.unix.max_dgram_qlen of them, and is
    charged to our own buffer until it is read: unix(7). One of UDP only has to leave our own buffer.
    """
    last = sock.unanswered.last
    events = [sock.opened, last]
    if getattr(sock.opened, "proto", "") != "unix-dgram":
        return Cause(
            "datagram-full", "Our send buffer is full, until the network has taken some of it.", events
        )
    peer = sock.connected or getattr(last, "peer", None) or ""
    other = scene.datagrams_of(sock.connected)
    reads = other is not None and (scene.waiters(other) or "READ" in (scene.watched(other) or ""))
    ours = "or our send buffer is, with datagrams that nobody has read yet."
    text = (
        f"{sock.connected} does not read: either its queue is full, {ours}"
        if sock.connected and not reads
        else f"Either the receiver's queue is full, {ours}"
    )
    whom = getattr(last, "peer", None) or peer
    before = f"The last before went to {whom}, {when(last)}." if last is not None and whom else ""
    return Cause("datagram-full", join(text, before), events, _arrived(scene, peer))


def _arrived(scene: Scene, peer: str) -> Elsewhere:
    """What the socket at an address has seen."""
    other = scene.datagrams_of(peer)
    if other is None:
        return Elsewhere()
    got = f"last received {when(other.recv)}" if other.recv is not None else "has received nothing"
    return Elsewhere(f"There {other.name} {got}.", [(other.process, [other.opened, other.recv])])


_RULES: dict[str, tuple[type, Callable[[Scene, Thread, Any], Cause]]] = {
    "recv": (Stream, _recv),
    "send": (Stream, _send),
    "accept": (Listener, _accept),
    "connect": (Stream, _connect),
    "recvfrom": (Datagrams, _recvfrom),
    "sendto": (Datagrams, _sendto),
}
