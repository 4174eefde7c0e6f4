"""What a server is told on its control socket: after any lines, what is held is what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.control.gates import BLOCKING, GATES, Gates

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OPTIONS", "PACKAGES", "look", "seeds"]

PACKAGES = ("evloop.control.gates",)
OPTIONS = ("-timeout=2", "-rss_limit_mb=512", "-max_len=400")


def look(data: bytes) -> None:
    """Every line is answered by one line, and does what its words say or nothing."""
    for names in (GATES, BLOCKING):
        gates, held = Gates(names), set[str]()
        for line in data.split(b"\n"):
            answer = gates.obey(line).decode()
            assert answer.endswith("\n")
            assert answer[:-1].isprintable()
            words = line.decode(errors="replace").split()
            good = words == ["gates"] or (
                len(words) == 2 and words[0] in {"hold", "release"} and words[1] in names
            )
            assert answer.startswith("ok" if good else "error "), (line, answer)
            if good and len(words) == 2:
                (held.add if words[0] == "hold" else held.discard)(words[1])
            if words == ["gates"]:
                assert answer.split()[1:] == sorted(held)
            assert gates.held == held


def seeds() -> Iterator[bytes]:
    """Words that are known, and some that are not."""
    yield from (
        b"gates",
        b"hold read\nrelease read\ngates",
        b"hold write\ngates",
        b"hold\xff\nhold accept close",
    )
