"""Why a program makes no progress: a state folded from its log, and rules that look at it.

`state` is what is open, `fold` keeps it, each rule in `waits`, `streams`, `spins` and `listeners` says one
thing about it, and `verdict` asks them all. Nothing is guessed: a finding names the events that it rests on.
"""

from __future__ import annotations

from evloop_trace.model.diagnosis.finding import Evidence, Finding
from evloop_trace.model.diagnosis.present import Present, Seen, Task
from evloop_trace.model.diagnosis.verdict import Diagnosis, Verdict

__all__ = ["Diagnosis", "Evidence", "Finding", "Present", "Seen", "Task", "Verdict"]
