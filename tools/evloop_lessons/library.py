"""Which lessons there are: folders, found and loaded."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evloop_lessons.lesson import Claim, Lesson, LessonError
from evloop_lessons.texts import LANGUAGES, read_texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from evloop_lessons.run import Run
    from evloop_lessons.stage import Stage
    from evloop_lessons.texts import Texts

__all__ = ["OURS", "LessonFolder", "again", "find", "library"]

OURS = Path(__file__).parent / "lessons"
_FILES = ("scenario.py", "checks.py")


class LessonFolder:
    """A lesson's folder; what is in it is read when it is asked for.

    All of it raises `LessonError` where it is not as it should be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._texts: dict[str, Texts] = {}

    @cached_property
    def number(self) -> int | None:
        """The lesson's; None where its scenario does not say it."""
        try:
            return self.lesson.number
        except LessonError:
            return None

    def check(self, language: str) -> None:
        """Nothing is missing.

        Raises:
            LessonError: something is.
        """
        for name in _FILES:
            if not (self.folder / name).is_file():
                raise LessonError(f"{self.folder} is no lesson: {name} is missing")
        if not any(it.is_file() for it in self._pages(language)):
            raise LessonError(f"{self.folder} is no lesson: {language}.md is missing")
        self._part("scenario", "play")
        self._part("checks", "outcome")
        self.texts(language)

    @cached_property
    def lesson(self) -> Lesson:
        """What is known of it before it runs."""
        lesson = self._part("scenario", "LESSON")
        if not isinstance(lesson, Lesson):
            raise LessonError(f"{self.folder / 'scenario.py'}: LESSON is no Lesson")
        return lesson

    @property
    def play(self) -> Callable[[Stage], None]:
        """Plays it."""
        play: Callable[[Stage], None] = self._part("scenario", "play")
        return play

    @property
    def outcome(self) -> Callable[[Run], str]:
        """What was asked for, as it happened in a run: a choice's key, or a number."""
        outcome: Callable[[Run], str] = self._part("checks", "outcome")
        return outcome

    @cached_property
    def claims(self) -> list[Claim]:
        """What must be seen, in the order in which it is written."""
        return [it for it in vars(self._module("checks")).values() if isinstance(it, Claim)]

    @cached_property
    def false(self) -> dict[str, set[str]]:
        """What makes claims false, as NAME=VALUE of a parameter, and the keys of those that fail then."""
        false: dict[str, tuple[str, ...]] = self._part("checks", "FALSE")
        keys = {it.key for it in self.claims}
        for setting, failing in false.items():
            name, _, value = setting.partition("=")
            self.lesson.values({name: value})
            if unknown := set(failing) - keys:
                claims = ", ".join(sorted(unknown))
                raise LessonError(f"{self.folder / 'checks.py'}: FALSE names what is no claim: {claims}")
        return {setting: set(failing) for setting, failing in false.items()}

    def texts(self, language: str) -> Texts:
        """What it says; every step, claim and parameter has its words. Else it speaks the other language."""
        if language not in self._texts:
            path = next(filter(Path.is_file, self._pages(language)), self.folder / f"{language}.md")
            texts = read_texts(str(path), self._read(path))
            lesson = self.lesson
            self._agree(path, "steps", texts.steps, lesson.steps)
            self._agree(path, "claims", texts.claims, [it.key for it in self.claims])
            self._agree(path, "parameters", texts.parameters, [it.name for it in lesson.parameters])
            self._texts[language] = texts
        return self._texts[language]

    def _pages(self, language: str) -> list[Path]:
        """Where the words may be, those of the language first."""
        return [self.folder / f"{it}.md" for it in (language, *LANGUAGES)]

    @staticmethod
    def _read(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise LessonError(f"{path} cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise LessonError(f"{path} cannot be read: it is not UTF-8") from None

    @staticmethod
    def _agree(path: Path, what: str, said: Any, made: Any) -> None:
        for name in made:
            if name not in said:
                raise LessonError(f"{path}: nothing is said of `{name}`, one of the lesson's {what}")
        for name in said:
            if name not in made:
                has = ", ".join(made) or "it has none"
                raise LessonError(f"{path}: `{name}` is none of the lesson's {what}: {has}")

    def _part(self, module: str, name: str) -> Any:
        part = getattr(self._module(module), name, None)
        if part is None:
            raise LessonError(f"{self.folder / module}.py has no {name}: see docs/writing-a-lesson.md")
        return part

    def _module(self, name: str) -> ModuleType:
        """One of its modules. Ours have their names in the package, others a name that nobody else has."""
        package = "evloop_lessons.lessons" if self.folder.parent == OURS else f"lesson_{hash(self.folder):x}"
        full = f"{package}.{self.folder.name}.{name}"
        if full not in sys.modules:
            path = self.folder / f"{name}.py"
            spec = importlib.util.spec_from_file_location(full, path)
            assert spec
            assert spec.loader
            module = importlib.util.module_from_spec(spec)
            sys.modules[full] = module
            try:
                spec.loader.exec_module(module)
            except (Exception, SystemExit) as error:  # whatever it does, the others remain
                del sys.modules[full]
                raise LessonError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
        return sys.modules[full]


def library(folders: list[Path]) -> list[LessonFolder]:
    """The lessons in these folders, and ours, by their numbers; of two with one number the first counts.

    One that is not whole does not keep the others from being used. Those without a number are the last.

    Raises:
        LessonError: a folder is none.
    """
    found: dict[int, LessonFolder] = {}
    unknown: list[LessonFolder] = []
    for folder in [*folders, OURS]:
        if not folder.is_dir():
            raise LessonError(f"{folder} is no folder: name the one that has the lessons' folders in it")
        entries = [LessonFolder(it.parent) for it in sorted(folder.glob("*/scenario.py"))]
        if not entries and folder != OURS:
            raise LessonError(f"{folder} has no lessons in it: a lesson is a folder with a scenario.py")
        for entry in entries:
            if entry.number is None:
                unknown.append(entry)
            else:
                found.setdefault(entry.number, entry)
    return [*(found[number] for number in sorted(found)), *unknown]


def find(entries: list[LessonFolder], number: str, language: str = LANGUAGES[0]) -> LessonFolder:
    """The lesson of a number, or of a folder's name, which is whole in a language.

    Raises:
        LessonError: there is none.
    """
    for entry in entries:
        if number in {str(entry.number), entry.folder.name}:
            entry.check(language)
            return entry
    have = ", ".join(str(it.number) for it in entries if it.number is not None)
    without = ", ".join(str(it.folder) for it in entries if it.number is None)
    more = f"; no number is to be had of {without}" if without else ""
    raise LessonError(
        f"there is no lesson {number}: there are {have}{more}; "
        "those of a folder of yours are found with --dir PATH"
    )


def again(entries: list[LessonFolder], number: int, saved: Path) -> str:
    """The command that shows a saved run again, of the lesson of that number: it says where that is."""
    folder = next((it.folder.parent for it in entries if it.number == number), OURS)
    where = "" if folder == OURS else f" --dir {shlex.quote(str(folder))}"
    return f"evloop lesson {number} --replay {shlex.quote(str(saved))}{where}"
