"""The page about `why` names every kind of finding, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OF_ONE_WORD = {"blocked", "broken", "queue", "stopped", "unattended", "unwatched"}
NO_KINDS = {"edge-triggered", "unix-dgram"}


def test_every_kind_is_described() -> None:
    """In a table's first column, under the name that the rule has in the source."""
    text = (ROOT / "docs/why.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([a-z-]+)`", text, re.MULTILINE))
    sources = sorted((ROOT / "tools/evloop_trace/model/diagnosis").glob("*.py"))
    source = "".join(path.read_text(encoding="utf-8") for path in sources)
    assert told == set(re.findall(r'"([a-z]+-[a-z]+)"', source)) - NO_KINDS | OF_ONE_WORD
    assert all(f'"{kind}"' in source for kind in OF_ONE_WORD)
