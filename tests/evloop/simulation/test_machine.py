"""Any interleaving of clients and faults, as Hypothesis makes it up: what goes wrong it makes short."""

from __future__ import annotations

import pytest
from evloop_simulation.setup import Setup
from evloop_simulation.world import PORT, World
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

WHO = st.integers(0, 5)
SIZES = st.one_of(st.integers(1, 40), st.integers(1, 3000))
SMALL = st.sampled_from((1, 7, 30, 400))

SETUPS = st.builds(
    Setup,
    max_connections=st.sampled_from((0, 1, 2)),
    backlog=st.sampled_from((0, 4)),
    idle_timeout=st.sampled_from((0, 0.3, 100_000)),
    lifetime=st.sampled_from((0, 0.5, 200_000)),
    high_water=st.sampled_from((0, 10, 1000)),
    recv_size=st.sampled_from((0, 7)),
    drain_timeout=st.sampled_from((0, 0.5)),
    sample=st.sampled_from((0, 1)),
    room_in=SMALL,
    room_out=SMALL,
    traced=st.booleans(),
)


class Machine(RuleBasedStateMachine):
    """One world; its rules are the moves, and the world looks at what must hold itself."""

    world: World

    @initialize(setup=SETUPS)
    def begin(self, setup):
        """Of any kind."""
        self.world = World(setup)

    def make(self, *move):
        """As a walk does, while the server runs."""
        if self.world.is_running:
            self.world.make(move)

    @rule(kind=st.integers(0, 1))
    def connect(self, kind):
        """Somebody calls."""
        self.make("connect", kind)

    @rule(who=WHO, n=SIZES)
    def say(self, who, n):
        """A client sends."""
        self.make("say", who, n)

    @rule(who=WHO, n=SIZES)
    def hear(self, who, n):
        """A client reads."""
        self.make("hear", who, n)

    @rule()
    def tick(self):
        """The loop takes a turn."""
        self.make("tick")

    @rule(which=st.sampled_from(("sleep", "settle")))
    def rest(self, which):
        """It sleeps to the next timer, or works until it could."""
        self.make(which)

    @rule(who=WHO, how=st.sampled_from((("shut",), ("leave", 0), ("leave", 1), ("poison",))))
    def end(self, who, how):
        """A client has said all; or leaves, well or abruptly; or finds a bug of the handler's."""
        self.make(how[0], who, *how[1:])

    @rule(
        size=st.integers(-1, 300), port=st.sampled_from((PORT, 7, 50_000)), host=st.integers(0, 1),
        many=st.sampled_from((1, 3, 70)),
    )  # fmt: skip
    def datagram(self, size, port, host, many):
        """Datagrams come, perhaps from a sender that is forged."""
        self.make("datagram", size, port, host, many)

    @rule(call=st.integers(0, 6), which=st.integers(0, 22), who=WHO)
    def fail(self, call, which, who):
        """A call is to fail."""
        self.make("fail", call, which, who)

    @rule(move=st.sampled_from((("register_fails", 1), ("icmp", 0), ("descriptors", 0), ("descriptors", -1))))
    def trouble(self, move):
        """The system is short of something, or a router speaks up."""
        self.make(*move)

    @rule(who=WHO, n=st.integers(1, 20))
    def little(self, who, n):
        """The next send takes little."""
        self.make("little", who, n)

    @rule(how=st.sampled_from(("wait", "oversleep")), ms=st.sampled_from((1, 299, 500, 200_000_000)))
    def time(self, how, ms):
        """Time passes."""
        self.make(how, ms)

    @rule(n=st.integers(0, 3))
    def rotate(self, n):
        """The selector reports in another order."""
        self.make("rotate", n)

    @precondition(lambda self: self.world.ticks > 5)
    @rule()
    def signal(self):
        """The server is to stop."""
        self.make("signal")

    def teardown(self):
        """In the end everybody is answered or ended, and nothing is left."""
        if hasattr(self, "world"):
            self.world.calm()
            self.world.finish()


TestMachine = pytest.mark.timeout(300)(Machine.TestCase)
TestMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None, print_blob=True)
