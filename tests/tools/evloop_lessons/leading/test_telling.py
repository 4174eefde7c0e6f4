"""What a verdict is founded on, in both languages."""

from __future__ import annotations

from evloop_lessons.judging import Evidence, Verdict
from evloop_lessons.leading.telling import excuse, founded
from evloop_lessons.leading.words import Words
from evloop_lessons.lesson import Lesson, Parameter
from evloop_lessons.run import Run

EVIDENCE = [
    Evidence("c1", 3, 1.0, "connect() = 0 · to 10.0.0.1:80, after 1 ms"),
    Evidence("c1", 4, 2.0, "close()"),
    Evidence("c2", 3, 1.0, "connect() = 0 · to 10.0.0.1:80, after 1 ms"),
    Evidence("c2", 4, 2.0, "close()"),
    Evidence("packets", 1, 1.0, "c S"),
    Evidence("packets", 5, 2.0, "s SA"),
    Evidence("sockets", 0, 3.0, "queue 2, queue 0, 2 ESTABLISHED"),
]


def test_evidence_is_told_in_the_readers_language() -> None:
    """The marks between its parts, too."""
    verdict = Verdict("", "", True, EVIDENCE)
    assert founded(verdict, Words("zh")) == [
        "c1、c2：#3 connect() = 0 · 去往 10.0.0.1:80，历时 1 ms；#4 close()",
        "第 1、5 个包：cS sSA",
        "内核，3.0 ms：队列 2；队列 0；2 ESTABLISHED",
    ]
    assert founded(verdict, Words("en")) == [
        "c1, c2: #3 connect() = 0 · to 10.0.0.1:80, after 1 ms, #4 close()",
        "packets 1, 5: cS sSA",
        "kernel at 3.0 ms: queue 2, queue 0, 2 ESTABLISHED",
    ]


def test_who_has_changed_the_scene_is_not_alarmed() -> None:
    """What was set is said beside a check that fails, and else nothing."""
    lesson = Lesson(7, 5, parameters=(Parameter("backlog", 5), Parameter("callers", 10)))
    failed, passed = (Verdict("", "", it, []) for it in (False, True))

    def said(verdict: Verdict, **values: int) -> str:
        run = Run({"backlog": 5, "callers": 10, **values}, [], [], [], [])
        return excuse(lesson, run, [passed, verdict], Words("en"))

    assert said(failed) == said(passed, backlog=1) == ""
    assert said(failed, backlog=1, callers=3).startswith("You have set backlog=1, callers=3. ")
