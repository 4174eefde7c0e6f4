"""`evloop lesson`: its words, and what becomes of errors."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from evloop_trace.console import standard_output

from evloop_lessons.lesson import LessonError, UnplayedError

if TYPE_CHECKING:
    from evloop_lessons.leading.lead import Leader
    from evloop_lessons.leading.paper import Paper
    from evloop_lessons.leading.words import Words
    from evloop_lessons.library import LessonFolder

__all__ = ["lesson", "main"]

OK, FAILED = 0, 1
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FOLDER = click.Path(path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("what", required=False, metavar="[N|all|check]")
@click.argument("saved", required=False, type=_FOLDER, metavar="[DIR]")
@click.option("--no-ask", is_flag=True, help="Do not ask what will happen.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change something of the scene.")
@click.option("--pace", is_flag=True, help="Wait for Enter at every step.")
@click.option("--slow", is_flag=True, help="Take time before every step.")
@click.option("--save", type=_FOLDER, metavar="DIR", help="Keep all that was recorded, and a report.")
@click.option("--replay", type=_FOLDER, metavar="DIR", help="Show what was saved there, without running.")
@click.option(
    "--check", "only_check", is_flag=True, help="Only run it, and judge it: with all, every lesson."
)
@click.option("--json", "as_json", is_flag=True, help="With --check or check: a JSON object a lesson.")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="The language.  [default: the locale's]")
@click.option(
    "--dir", "folders", multiple=True, type=_FOLDER, metavar="PATH", help="Find lessons there, too."
)
def lesson(what: str | None, saved: Path | None, **options: Any) -> int:
    """Predict, run, see, check: lessons about sockets, each with real programs and real packets.

    \b
      evloop lesson                 lists them
      evloop lesson N               runs one
      evloop lesson check DIR       judges a run that was saved with --save DIR
      evloop lesson all --check     runs all, and judges them
    """  # noqa: D301 - click wants the control character itself, before what it must not wrap
    try:
        return _lesson(what, saved, **options)
    except (LessonError, click.UsageError) as error:
        from evloop_lessons.leading.words import Words, language

        said = error.message if isinstance(error, click.UsageError) else str(error)
        words = Words(language(options["lang"]))
        translated = words.say(said)
        if isinstance(error, UnplayedError):
            raise UnplayedError(translated) from None
        if translated != said and not {":", "\uff1a"} & {*translated}:
            translated = words("help", what=translated)
        raise click.UsageError(translated) from None


def main(arguments: tuple[str, ...]) -> int:
    """The exit code of `evloop lesson ARGUMENTS`.

    Raises:
        ClickException: it is used wrongly.
        EvloopError: it cannot go on.
        OSError: standard output is closed.
    """
    standard_output().reconfigure(errors="backslashreplace")  # not every encoding has ✓, let alone Chinese
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup(1)
            signal.signal(number, _end)
    code: int = lesson.main(list(arguments), prog_name="evloop lesson", standalone_mode=False)
    return code


def _end(_number: int, _frame: Any) -> NoReturn:
    """As Ctrl-C, and once: who closes a window sends two of them, and nothing is to be left behind."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _lesson(
    what: str | None,
    saved: Path | None,
    *,
    settings: tuple[str, ...],
    pace: bool,
    slow: bool,
    save: Path | None,
    replay: Path | None,
    only_check: bool,
    no_ask: bool,
    as_json: bool,
    lang: str | None,
    folders: tuple[Path, ...],
) -> int:
    from evloop_lessons.leading.words import Words, language
    from evloop_lessons.library import find, library

    words = Words(language(lang))
    _refuse(
        what, saved, settings=settings, pace=pace, slow=slow, kept=bool(save or replay),
        only_check=only_check, as_json=as_json,
    )  # fmt: skip
    lessons = library(list(folders))
    if what is None:
        from evloop_lessons.leading.listing import listing

        listing(lessons, words)
        return OK
    if what == "check":
        from evloop_lessons.leading.checking import check_saved

        assert saved is not None  # see `_refuse`
        return OK if check_saved(lessons, saved, words, as_json=as_json) else FAILED
    if what == "all":
        return _check(lessons, {}, words, as_json=as_json)
    entry, given = find(lessons, what, words.language), dict(_setting(it) for it in settings)
    if only_check:
        return _check([entry], given, words, as_json=as_json)
    if pace and not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("--pace waits for Enter, and nobody can press it here: try --slow")
    manner = "pace" * pace or "slow" * slow
    if replay is None:
        return _lead(entry, words, given, not no_ask, manner, save)
    if given or save:
        raise click.UsageError("--replay shows what was: it goes with neither --set nor --save")
    return _replay(lessons, entry, words, manner, replay)


def _refuse(
    what: str | None, saved: Path | None, *, settings: tuple[str, ...], pace: bool, slow: bool, kept: bool,
    only_check: bool, as_json: bool,
) -> None:  # fmt: skip
    """Raise UsageError for what does not go together."""
    if pace and slow:
        raise click.UsageError("--pace waits for Enter, --slow for a while: choose one")
    if saved is not None and what != "check":
        raise click.UsageError(f"{saved} is one word too many: evloop lesson N, or evloop lesson check DIR")
    if as_json and not (only_check or what == "check"):
        raise click.UsageError("--json is for --check, and for evloop lesson check DIR")
    if only_check and (kept):
        raise click.UsageError("--check only judges: --save and --replay are for a lesson that is led")
    if what == "all" and settings:
        raise click.UsageError("--set is for one lesson: evloop lesson N --set NAME=VALUE")
    if what == "all" and not only_check:
        raise click.UsageError("name a lesson, or add --check")
    if what == "check" and saved is None:
        raise click.UsageError("evloop lesson check DIR: name the folder of a run that was saved")


def _check(lessons: list[LessonFolder], given: dict[str, str], words: Words, *, as_json: bool) -> int:
    from evloop_lessons.leading.checking import check_all

    return OK if check_all(lessons, given, words, as_json=as_json) else FAILED


def _lead(
    entry: LessonFolder, words: Words, given: dict[str, str], ask: bool, pace: str, save: Path | None
) -> int:
    from evloop_lessons.leading import opening
    from evloop_lessons.leading.paper import Paper
    from evloop_lessons.leading.performance import Performance, kept_in, why_not

    values, texts, paper = entry.lesson.values(given), entry.texts(words.language), Paper()
    if why := why_not(entry.lesson):
        raise LessonError(f"lesson {entry.lesson.number} needs a network of its own: {why}")
    with kept_in(save) as folder:
        opening.begin(entry.lesson, texts, paper, words)
        with Performance(entry, values, folder, pace) as performance:
            leader = _leader(entry, words, pace, paper, save)  # much to import, while the question is read
            prediction = opening.ask(texts, paper, words) if ask else ""
            return OK if leader.lead(performance, folder, prediction) else FAILED


def _replay(lessons: list[LessonFolder], entry: LessonFolder, words: Words, pace: str, saved: Path) -> int:
    from evloop_lessons.leading import opening
    from evloop_lessons.leading.paper import Paper
    from evloop_lessons.library import again
    from evloop_lessons.plan import read_plan

    number = read_plan(saved).lesson
    if number != entry.lesson.number:
        raise LessonError(f"{saved} is of lesson {number}: {again(lessons, number, saved)}")
    texts, paper = entry.texts(words.language), Paper()
    opening.begin(entry.lesson, texts, paper, words)
    return OK if _leader(entry, words, pace, paper).replay(saved) else FAILED


def _leader(entry: LessonFolder, words: Words, pace: str, paper: Paper, save: Path | None = None) -> Leader:
    from evloop_lessons.leading.lead import Leader, Manner

    return Leader(entry, Manner(pace, save), paper, words)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set {text}: write NAME=VALUE")
    return name, value
