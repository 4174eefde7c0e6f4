"""Lessons: predict, run, see, check.

    lesson · texts      what a lesson is, and what it says
    run · judging       what was recorded, joined; what must be seen in it            pure
    reading · library   a folder → a run; folders → lessons
    stage/              plays a scenario with real processes, in a network of its own
    leading/            leads a student through it
    cli                 the words of the command line

`docs/writing-a-lesson.md` shows how one is made.
"""
