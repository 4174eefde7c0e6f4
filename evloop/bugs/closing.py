"""close(2) at once: the number of a descriptor has a new owner before the tick is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.bugs.bug import Bug
from evloop.loop.loop import Loop
from evloop.parts import Parts
from evloop.servers.loop import LoopServer

if TYPE_CHECKING:
    from evloop.loop.loop import Closing

__all__ = ["BUGS"]


class _ClosesAtOnce(Loop):
    def close_later(self, close: Closing) -> None:
        """Why later? Whoever is ready is found by descriptor, and this one is gone."""
        self._attempt("close", close)


class _MakesRoom(LoopServer):
    """At its limit it closes who has been silent the longest, as nginx does; that alone is no bug.

    But it closes, in its turn, another one's connection, whose event may be next in the list of this tick.
    """

    def _when_full(self) -> bool:
        *others, _newest = self._streams
        if not others:
            return super()._when_full()
        self._loop.trace.limit("connections", active=True)
        min(others, key=lambda stream: stream.active).close("idle-timeout")
        return True


BUGS = (
    Bug(
        name="stale-fd",
        wrong="A descriptor is closed as soon as its connection ends, and the next accept gets its "
        "number. If something was reported of the old connection in the same tick, the new one is "
        "told of it.",
        project="libre (re): events of a closed descriptor were delivered to whoever had been given its "
        "number. nginx, Redis, libuv and Trio have a cure each",
        thread="https://github.com/creytiv/re/pull/266",
        cure="Unregister at once, but close(2) at the end of the tick, when no event of it is left.",
        lint="stale-event",
        parts=Parts(loop=_ClosesAtOnce, server=_MakesRoom),
        options=("--max-connections", "2"),
        provoke=(
            "exec 3<>/dev/tcp/127.0.0.1/8080; echo hello >&3; head -n1 <&3; kill -STOP $SERVER",
            "# two more come, the first speaks again, and then the server looks",
            "exec 4<>/dev/tcp/127.0.0.1/8080 5<>/dev/tcp/127.0.0.1/8080; echo again >&3",
            "kill -CONT $SERVER; sleep 0.3",
        ),
        seen="poll reports the first connection. It is closed to make room, the third gets its "
        "descriptor, and with it its event: recv on a connection that has sent nothing, EAGAIN.",
    ),
)
