"""What must be seen of a call that no program has answered yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, SOCKETS, claim, found
from evloop_lessons.run import notation, results, returned

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run

EXPECTED = "S SA A 13 A"
SIZE = 13  # bytes: anybody home?

FALSE = {"accept=early": ("alone", "returned", "queue", "at-once")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _asked(call: Call) -> int:
    """When a call was made; where it stands is when it returned."""
    return returned(call) - int(call.event.dur)


def outcome(run: Run) -> str:
    """Before accept(): a: connect() has not returned; b: it has, but nothing is acknowledged; c: both."""
    asked = _asked(run.call("server", "accept"))
    if returned(run.call("client", "connect")) > asked:
        return "a"
    send = run.call("client", "send")
    if send.t > asked:
        return ""  # the client had no time to show it
    acked = [it for it in run.packets(client=False) if it.packet.ack == SIZE and it.t < asked]
    return "c" if acked and returned(send) < asked else "b"


@claim("alone", PACKETS, "server")
def alone(run: Run) -> Found:
    """The kernel shakes hands, takes the message and acknowledges it; the program does nothing at all."""
    listen, accept = run.call("server", "listen"), run.call("server", "accept")
    packets = run.packets()[:5]
    seen = notation(packets)
    calls = [it for it in run.calls("server") if listen.t < it.t < packets[-1].t]
    good = seen == EXPECTED and packets[-1].t < _asked(accept)
    shown = calls if accept in calls else [*calls, accept]
    return found(good and not calls, *packets, *shown, expected=EXPECTED, seen=seen)


@claim("returned", "client", "server")
def both_returned(run: Run) -> Found:
    """The client cannot tell that no program has answered."""
    connect, send = run.call("client", "connect"), run.call("client", "send")
    accept = run.call("server", "accept")
    good = connect.event.errno is None and send.event.n == SIZE
    return found(good and returned(connect) < returned(send) < _asked(accept), connect, send, accept)


@claim("queue", SOCKETS, "server")
def queue(run: Run) -> Found:
    """The kernel's own table: a connection in the listener's queue, and its bytes."""
    address = run.call("server", "listen").event.address
    sample = run.sample(run.step("accept").t)
    waits = sample.of(local=address, state="ESTABLISHED")
    good = sample.queue(address) == 1 and [it.unread for it in waits] == [SIZE]
    return found(good, sample, queue=sample.queue(address), unread=sum(it.unread for it in waits))


@claim("at-once", "server")
def at_once(run: Run) -> Found:
    """The message was there before the conversation was."""
    accept = run.call("server", "accept")
    after = [it for it in run.calls("server", "block", "recv") if it.t > accept.t][:1]
    good = results(after) == [("recv", SIZE)]
    return found(good, accept, *after)


@claim("port", SOCKETS, "client", "server")
def port(run: Run) -> Found:
    """The connection has no port of its own: the kernel has two sockets there, one with a peer."""
    listen, accept = run.call("server", "listen").event, run.call("server", "accept").event
    connect = run.call("client", "connect").event
    good = listen.address == connect.peer == accept.local and connect.local == accept.peer
    sample = run.sample(run.step("accept").t)
    sockets = sample.of(local=listen.address)
    return found(
        good and {it.peer for it in sockets} == {"", accept.peer},
        *(f"{it.state} {it.local} {it.peer or '*'}" for it in sockets),
        local=accept.local,
        peer=accept.peer,
    )
