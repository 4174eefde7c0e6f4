"""Of what kind a world is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evloop.loop.crowd import CROWD
from evloop.servers.loop import ServerOptions

if TYPE_CHECKING:
    from random import Random

__all__ = ["Setup", "any_setup"]

LARGE = 1 << 20  # bytes, more than any buffer


class Setup(NamedTuple):
    """A server's options and its kernel's buffers. Sizes are bytes, times seconds; 0 is no limit."""

    max_connections: int = 0
    backlog: int = 4
    idle_timeout: float = 0
    lifetime: float = 0
    high_water: int = 256 * 1024
    recv_size: int = 0
    drain_timeout: float = 5.0
    sample: float = 0
    room_in: int = 65536
    """What fits between a client's send and the server's recv."""
    room_out: int = 65536
    """What fits between the server's send and a client's recv."""
    datagram_room: int = 212_992
    traced: bool = False
    gated: bool = False
    crowd: int = CROWD
    """Newcomers that have their turn in a tick."""

    @property
    def options(self) -> ServerOptions:
        """As the server is given them."""
        return ServerOptions(
            backlog=self.backlog,
            max_connections=self.max_connections or None,
            idle_timeout=self.idle_timeout or None,
            lifetime=self.lifetime or None,
            high_water=self.high_water,
            recv_size=self.recv_size or None,
            drain_timeout=self.drain_timeout,
            sample=self.sample or None,
        )


def any_setup(rng: Random) -> Setup:
    """One at random; small buffers and low limits more often than not, since there more happens."""
    recv_size = rng.choice((0, 0, 1, 7, 1000))
    most = 100 * (recv_size or LARGE)  # what takes many thousand turns to be read is no better than less
    room_in = min(rng.choice((1, 16, 100, 1000, 65536, 300_000)), most)
    room_out = min(rng.choice((room_in, 1, 30, 2000, 65536)), most)
    room_out = max(room_out, min(room_in, recv_size or LARGE) // 100)
    return Setup(
        max_connections=rng.choice((0, 0, 1, 2, 5)),
        backlog=rng.choice((0, 1, 4, 128)),
        idle_timeout=rng.choice((0, 0, 0.001, 0.3, 2, 100_000)),
        lifetime=rng.choice((0, 0, 0, 0.5, 3, 200_000)),
        high_water=min(rng.choice((0, 1, 10, 1000, 256 * 1024)), 100 * room_out),
        recv_size=recv_size,
        drain_timeout=rng.choice((0, 0.5, 5)),
        sample=rng.choice((0, 0, 0, 1)),
        room_in=room_in,
        room_out=room_out,
        datagram_room=rng.choice((100, 5000, 212_992)),
        traced=rng.random() < 0.25,
        gated=rng.random() < 0.1,
        crowd=rng.choice((1, 2, CROWD)),
    )
