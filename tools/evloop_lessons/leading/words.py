"""What every lesson says, in the reader's language."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evloop_lessons.leading.translation import translation
from evloop_lessons.texts import filled, row

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Words", "language"]

_HERE = Path(__file__).parent.parent / "words"
_ITEM = re.compile(r"^- `([^`]+)`: (.+)$", re.MULTILINE)


class Words:
    """Sentences by their keys."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.say = translation(language)
        """A sentence of the ladder's."""
        self._sentences = dict(_ITEM.findall((_HERE / f"{language}.md").read_text(encoding="utf-8")))

    def __call__(self, key: str, **values: Any) -> str:
        """A sentence with its blanks filled in."""
        return filled(self._sentences[key], values)

    def row(self, items: Iterable[str], *, apart: bool = False) -> str:
        """Items side by side; `apart` if there may be commas in them."""
        return row(items, self._sentences["check"], apart=apart)


def language(given: str | None) -> str:
    """The one that was asked for, or that of the locale: locale(7)."""
    if given:
        return given
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "zh" if value.startswith("zh") else "en"
    return "en"
