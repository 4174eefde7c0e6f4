# ruff: noqa: INP001 - a script, not a package
"""Keeps the code shown in docs/ as it is in the source: `python tools/docs/excerpts.py [--check]`.

A block that begins with a comment that names a file, then a `def`, is replaced by
that function as it stands there; `--check` changes nothing and exits with 1 if a
page is out of date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```python\n# (?P<file>\S+\.py)\n(?P<code>def (?P<name>\w+)\(.*?)```", re.DOTALL)


def excerpt(file: str, name: str) -> str:
    """The function's source, at the margin."""
    source = (ROOT / file).read_text(encoding="utf-8")
    found = re.search(
        rf"^(?P<indent> *)def {name}\(.*?(?=\n+(?P=indent)[^\s)]|\Z)", source, re.DOTALL | re.MULTILINE
    )
    if found is None:
        sys.exit(f"{file} has no function {name!r} any more: a page in docs/ shows it")
    return dedent(found[0]).rstrip() + "\n"


def fill(page: str) -> str:
    """The page with its excerpts as they should be."""
    return BLOCK.sub(
        lambda block: f"```python\n# {block['file']}\n{excerpt(block['file'], block['name'])}```", page
    )


def main() -> None:
    """Fill every page, or check them."""
    stale = []
    for path in sorted((ROOT / "docs").glob("*.md")):
        page = path.read_text(encoding="utf-8")
        filled = fill(page)
        if filled != page:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(filled, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"out of date: {', '.join(stale)}; run `python tools/docs/excerpts.py`")


if __name__ == "__main__":
    main()
