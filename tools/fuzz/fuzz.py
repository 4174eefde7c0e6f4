"""Fuzz whatever reads what others wrote, with atheris: captures, logs, hand-ins, addresses, control lines.

    pip install atheris .
    python tools/fuzz/fuzz.py                            # every target, each so many --seconds
    python tools/fuzz/fuzz.py logs --seconds 600 --keep FOLDER

A target is a module beside this one: what may not happen, and the inputs that it begins with. Those in
`corpus/TARGET` come first: every one that ever broke something. An input that breaks something now is written
to the current folder as TARGET-crash-…; put it there when it is mended. What stands behind -- is libFuzzer's.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TARGETS", "corpus_of", "main"]

TARGETS = ("captures", "logs", "hand_ins", "addresses", "control")
CORPUS = Path(__file__).parent / "corpus"
_AS_IT_LIES = 0.2  # of the changes are of bytes, whatever they mean, where a target knows better ones
_PATIENCE = 120.0  # seconds more than a target was given
_UNITS = re.compile(rb"stat::number_of_executed_units: (\d+)")


def corpus_of(target: str) -> list[Path]:
    """What is kept of a target."""
    return sorted(it for it in (CORPUS / target).glob("*") if it.is_file())


def fuzz(name: str, options: Sequence[str], keep: str | None) -> None:
    """One target, in this process, which ends with it."""
    import atheris  # noqa: PLC0415 - the parent needs none

    sys.path.insert(0, str(Path(__file__).parent))
    prefixes = _packages(name)
    with tempfile.TemporaryDirectory(prefix="evloop-fuzz-") as folder:
        # What a command imports when it runs is looked into as well: so it runs first in here.
        with atheris.instrument_imports(include=prefixes, enable_loader_override=False):
            target = importlib.import_module(name)
            look_at_all: Callable[[bytes], None] = getattr(target, "look_at_all", target.look)
            kept = [it.read_bytes() for it in corpus_of(name)]
            for number, seed in enumerate([*kept, *target.seeds()]):
                (look_at_all if number <= len(kept) else target.look)(seed)
                (Path(folder) / f"{number:03}").write_bytes(seed)
        given = [
            *target.OPTIONS,
            f"-artifact_prefix={name}-",
            "-print_final_stats=1",
            "-verbosity=0",
            *options,
        ]
        change = getattr(target, "mutate", None)
        more = {} if change is None else {"custom_mutator": _mutator(change)}
        atheris.Setup([name, *given, *([keep] if keep else []), folder], target.look, **more)
        atheris.Fuzz()


def _packages(name: str) -> list[str]:
    """Which packages a target wants looked into: of its text, since to import it would be too early."""
    text = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    found = re.search(r"^PACKAGES = \((.*)\)$", text, re.MULTILINE)
    assert found is not None
    return re.findall(r'"(.*?)"', found[1])


def _mutator(change: Callable[[bytes, Random], bytes]) -> Callable[[bytes, int, int], bytes]:
    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = Random(seed)
        return (_by_bytes(data, rng) if rng.random() < _AS_IT_LIES else change(data, rng))[:most]

    return mutate


def _by_bytes(data: bytes, rng: Random) -> bytes:
    """A piece cut out, doubled, or overwritten: libFuzzer's own ways are not there for who brings others."""
    at = rng.randrange(len(data) + 1)
    size = rng.choice((1, 1, 2, 8, 100))
    piece = rng.choice((b"", data[at : at + size] * 2, rng.randbytes(size), b"\n", b"\xff", b'"', b"\x80"))
    return data[:at] + piece + data[at + rng.choice((0, size)) :]


# -- all of them ----------------------------------------------------------------------------


def _begin(name: str, seconds: int, given: argparse.Namespace, scratch: str) -> subprocess.Popen[bytes]:
    """Start one; what it leaves behind, since libFuzzer ends its process wherever it is, is in `scratch`."""
    command = [sys.executable, __file__, "--alone", name, "--seconds", str(seconds)]
    if given.keep:
        folder = Path(given.keep) / name
        folder.mkdir(parents=True, exist_ok=True)
        command += ["--keep", str(folder)]
    command += ["--", *given.options]
    environment = {**os.environ, "TMPDIR": scratch}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


def _end(name: str, child: subprocess.Popen[bytes], begun: float, seconds: int) -> int:
    """Say how one ended; its exit code."""
    try:
        said, _ = child.communicate(timeout=seconds + _PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        said, _ = child.communicate()
    units = _UNITS.search(said)
    print(
        f"{name:10} {int(units[1]) if units else 0:>9,} inputs, {time.monotonic() - begun:.0f} s", flush=True
    )
    if child.returncode:
        print(said.decode(errors="backslashreplace"))
    return child.returncode


def main() -> int:
    """Run the targets, some beside each other; 1 if any input broke something."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=30, help="of each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    parser.add_argument("--keep", metavar="FOLDER", help="what is new is kept there, in a folder a target")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    given = parser.parse_args(sys.argv[1:split])
    given.options = sys.argv[split + 1 :]
    if wrong := {*given.targets} - {*TARGETS}:
        parser.error(f"no such target: {', '.join(sorted(wrong))}")
    if given.alone:
        fuzz(given.targets[0], [f"-max_total_time={given.seconds}", *given.options], given.keep)
        return 0
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # an input becomes a file, again and again
    with tempfile.TemporaryDirectory(prefix="evloop-fuzz-", dir=memory) as scratch:
        return int(any(_all(given.targets or TARGETS, given, scratch)))


def _all(names: Sequence[str], given: argparse.Namespace, scratch: str) -> list[int]:
    """Exit codes."""
    waiting, codes = list(names), []
    running: list[tuple[str, subprocess.Popen[bytes], float]] = []
    while waiting or running:
        while waiting and len(running) < given.jobs:
            name = waiting.pop(0)
            running.append((name, _begin(name, given.seconds, given, scratch), time.monotonic()))
        name, child, begun = running.pop(0)
        codes.append(_end(name, child, begun, given.seconds))
    return codes


if __name__ == "__main__":
    sys.exit(main())
