"""`python -m evloop_simulation`: walk, and say how far it went and how fast."""

from __future__ import annotations

import argparse
import os
import sys
import time

from evloop_simulation.setup import Setup
from evloop_simulation.shrinking import shrink
from evloop_simulation.walk import WalkError, walk


def main(words: list[str] | None = None) -> int:
    """Exit code 0 if all holds, 1 if something does not."""
    parser = argparse.ArgumentParser(
        prog="python -m evloop_simulation",
        description="The server in a simulated world: moves at random, and what must hold is looked at.",
    )
    parser.add_argument(
        "--seed",
        type=int,
        action="append",
        help="walk from this seed (again to have more); fresh if not given",
    )
    parser.add_argument("--fresh", type=int, default=0, help="and from so many fresh ones, which are printed")
    parser.add_argument("--steps", type=int, default=100_000, help="moves and turns of the loop, a seed")
    given = parser.parse_args(words)
    seeds = given.seed or []
    fresh = given.fresh or not seeds
    for seed in [*seeds, *(int.from_bytes(os.urandom(4)) for _ in range(fresh))]:
        began = time.process_time()
        try:
            walked = walk(seed, given.steps)
        except WalkError as failure:
            print(f"seed {seed}: {failure}", file=sys.stderr)
            _show(shrink(failure))
            print(f"again: python -m evloop_simulation --seed {seed} --steps {given.steps}", file=sys.stderr)
            return 1
        seconds = time.process_time() - began
        print(
            f"seed {seed}: {walked.steps:,} steps in {walked.worlds:,} worlds, {walked.turns:,} turns, "
            f"{sum(walked.fired.values()):,} faults, {sum(walked.reasons.values()):,} connections ended: "
            f"all holds, {walked.steps / seconds:,.0f} steps/s of processor time",
            flush=True,
        )
    return 0


def _show(failure: WalkError) -> None:
    """What to write into a test."""
    differing = {
        name: value for name, value in failure.setup._asdict().items() if value != getattr(Setup(), name)
    }
    print(f"{failure}, after", file=sys.stderr)
    print(
        f"    Setup({', '.join(f'{name}={value!r}' for name, value in differing.items())})", file=sys.stderr
    )
    for move in failure.moves:
        print(f"    {move!r},", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
