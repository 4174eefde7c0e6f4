"""What the ladder says, in another language.

Its sentences are English, and finished when they come here. A catalogue has their patterns, each with its
translation; `{blanks}` are named after what fills them, see `_KINDS`. What is in no pattern stays as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evloop_lessons.texts import row

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Catalogue", "Pattern", "translation"]

_HERE = Path(__file__).parent.parent / "words"
_KEPT = 4096  # sentences: a frame is drawn again and again
_LONGEST = 500  # characters: what is longer is none of ours

_ENTRY = re.compile(r"^- (.+)\n  (.+)$", re.MULTILINE)
_BLANK = re.compile(r"\{([a-z]+)(\d?)\}")

_KINDS = {
    "n": r"\d[\d,]*",
    "size": r"[\d,.]+ (?:[KMGT]i)?B",
    "time": r"[\d.]+ (?:ns|µs|ms|s)|\d+ min \d\d s|\d+ h \d\d min",
    "numbers": r"#\d+(?:(?:-|, | … )#\d+)*",
    "end": r"(?:the|a) (?:client|server)",
    "call": r"[\w.]+\([^()]*\)(?: (?:#\d+|[=→…].*|E[A-Z]+))?",
    "name": r'(?:(?![,;:] | · )[^"])+?',
    "names": r'(?:(?! · )[^"])+',
    "text": r'[^"]+',
    "mark": r"[▸◂≈? ]*[▸◂≈?]",
    "bits": r"(?:readable|writable|hung up|in error)(?: and (?:readable|writable|hung up|in error))*",
    "phrase": r"[^;]+?",
    "rest": r".+",
}
_TRANSLATED = {"end", "bits", "phrase", "rest"}
"""Kinds of blanks that are not of every language."""
_ROWS = {"numbers", "names"}
"""Kinds of blanks with commas in them."""

_WIDE = re.compile(r"[\u2e80-\u9fff\uff00-\uffef]")
_CHARACTER = re.compile(r"[\u3400-\u9fff]")


class Pattern(NamedTuple):
    """A sentence with blanks."""

    english: str
    translated: str

    def blanks(self) -> list[str]:
        """Their names, in the order of the English sentence."""
        return [kind + number for kind, number in _BLANK.findall(self.english)]

    def ends(self) -> tuple[str, str]:
        """What stands before the first blank, and behind the last."""
        parts = _BLANK.split(self.english)
        return parts[0], parts[-1]

    def expression(self) -> re.Pattern[str]:
        """What matches the sentence whole."""
        at, parts = 0, []
        for blank in _BLANK.finditer(self.english):
            kind, number = blank.groups()
            parts += [re.escape(self.english[at : blank.start()]), f"(?P<{kind}{number}>{_KINDS[kind]})"]
            at = blank.end()
        return re.compile("".join([*parts, re.escape(self.english[at:])]), re.DOTALL)

    @property
    def weight(self) -> int:
        """Characters that are no blank's: the pattern that has the most says the most exactly what it is."""
        return len(_BLANK.sub("", self.english))


_NOTHING: tuple[str, frozenset[Pattern]] = ("", frozenset())


class Catalogue:
    """Patterns and their translations."""

    def __init__(self, text: str) -> None:
        """Read them: `- English`, and in the next line the translation."""
        self.patterns = [Pattern(*it) for it in _ENTRY.findall(text)]
        by_weight = sorted(self.patterns, key=lambda it: -it.weight)
        self._known = [(it, it.ends(), it.expression()) for it in by_weight]
        self._find = lru_cache(_KEPT)(self._search)  # also of phrases: there are many ways to take one apart

    def say(self, sentence: str) -> str:
        """Its translation, or itself."""
        return (len(sentence) <= _LONGEST and self.find(sentence)[0]) or sentence

    def find(self, sentence: str) -> tuple[str, frozenset[Pattern]]:
        """Its translation, and the patterns that this is made of; empty if there is none."""
        return self._find(sentence)

    def _search(self, sentence: str) -> tuple[str, frozenset[Pattern]]:
        for pattern, (first, last), expression in self._known:
            if not (sentence.startswith(first) and sentence.endswith(last)):
                continue  # most are not, and this is quick
            match = expression.fullmatch(sentence)
            found, used = self._filled(pattern, match.groupdict()) if match else _NOTHING
            if found:
                return found, used
        return (sentence, frozenset()) if re.fullmatch(_KINDS["call"], sentence) else _NOTHING

    def _filled(self, pattern: Pattern, values: dict[str, str]) -> tuple[str, frozenset[Pattern]]:
        """The translation; nothing if what fills a blank has none."""
        used = frozenset({pattern})
        for blank, value in values.items():
            if blank in _ROWS:
                values[blank] = row(value.split(", "), pattern.translated)
            elif blank.rstrip("0123456789") in _TRANSLATED:
                values[blank], more = self._find(value)
                used |= more
                if not values[blank]:
                    return _NOTHING
        at, said = 0, ""
        for it in _BLANK.finditer(pattern.translated):
            said = _joined(said, pattern.translated[at : it.start()])
            said = _joined(said, values[it[1] + it[2]])
            at = it.end()
        return _joined(said, pattern.translated[at:]), used


def _joined(left: str, right: str) -> str:
    """A space stands between a Chinese character and what is not Chinese, and beside no other wide one."""
    ends, begins = left.rstrip()[-1:], right.lstrip()[:1]
    if not (ends and begins and (_WIDE.match(ends) or _WIDE.match(begins))):
        return left + right
    one = _CHARACTER.match(ends if _WIDE.match(ends) else begins)
    both = _WIDE.match(ends) and _WIDE.match(begins)
    return left.rstrip() + (" " if one and not both else "") + right.lstrip()


@lru_cache
def translation(language: str) -> Callable[[str], str]:
    """What translates a sentence of the ladder's, or an error's; English stays as it is."""
    paths = [_HERE / f"{it}.{language}.md" for it in ("ladder", "errors")]
    texts = [it.read_text(encoding="utf-8") for it in paths if it.exists()]
    return Catalogue("\n".join(texts)).say if texts else str
