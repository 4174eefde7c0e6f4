"""What to do, a sentence or two for each kind of finding; docs/lint.md says more."""

from __future__ import annotations

__all__ = ["ADVICE"]

ADVICE = {
    "spin-write": (
        "Watch for WRITE only while bytes wait to be sent, and take the interest back when the last is gone."
    ),
    "spin-ready": (
        "Read what is there until recv() fails with EAGAIN, or stop watching what you will not read."
    ),
    "spin-hup": (
        "Unregister it, or read the error and close it: ERR and HUP are reported whatever the mask is, so "
        "watching it for nothing does not stop them."
    ),
    "spin-errors": (
        "Take the error: recvmsg() with MSG_ERRQUEUE until EAGAIN, or getsockopt(SO_ERROR). As long as it "
        "lies there, every poll reports ERR."
    ),
    "spin-end": (
        "recv() = b'' is the end of the stream: stop watching the socket, send what is left, close it."
    ),
    "spin-asking": "Ask only when a poll says that there is something, or let the call block.",
    "spin-accept": (
        "Stop accepting for a moment: return from the batch, watch the listener for nothing, and try again "
        "after 100 ms or when a descriptor was closed."
    ),
    "spin-poll": "Let the poll sleep: its timeout is the time until the next timer, or None without one.",
    "lost-interest": (
        "Keep the bytes that the kernel did not take and watch the socket for WRITE until they are gone."
    ),
    "partial-send": (
        "send() says how many bytes it took: keep the others, and offer them again when there is room. "
        "sendall() does that on a socket that blocks."
    ),
    "close-wait": "Close the socket when recv() has returned b'' and the last answer is sent.",
    "ended-badly": (
        "Read to the end before close(), or end with shutdown(SHUT_WR) and wait for the peer's end: close() "
        "with unread bytes sends a reset, and the peer may lose the answer."
    ),
    "decode-edge": (
        "Bytes are no characters, and a read ends anywhere: keep an incremental decoder "
        "(codecs.getincrementaldecoder) for each connection, or decode whole lines only."
    ),
    "starvation": (
        "Bound what one readiness may do, in reads or in bytes, and go back to the poll: a level-triggered "
        "one reports again what is left."
    ),
    "slow-handler": (
        "Nobody else is served meanwhile: move what takes long into a thread or a process, or cut it into "
        "steps."
    ),
    "queue-near-limit": (
        "Accept faster, or give listen() a larger backlog (and net.core.somaxconn with it): when the queue "
        "is full, Linux drops the SYNs of further callers, who wait for a second and more."
    ),
    "accept-stopped": (
        "An aborted connection says nothing of the next one: go on accepting after ECONNABORTED, EPROTO, "
        "EPERM and their like, until EAGAIN."
    ),
    "stale-event": (
        "Unregister at once, and close(2) only at the end of the turn: until then no newcomer can get the "
        "number of a descriptor that this turn's list still names."
    ),
    "truncated": "Give recvfrom() at least the largest datagram that may come; 65,535 bytes cut none.",
    "reflection": (
        "Do not answer datagrams from your own port, nor from ports below 1024: their senders may be forged, "
        "and who lives there may answer every answer."
    ),
    "wakeup-data": (
        "The bytes in a wake-up pipe only wake: read and throw them away, and look at your own list or flag "
        "for what there is to do."
    ),
}
"""By kind."""
