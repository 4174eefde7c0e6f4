"""Lints: what goes wrong in a program, or is done wrong, with the events that show it and what to do.

`linter` folds events as `why` does (model.diagnosis), and asks the families as they pass: `spinning`,
`sending`, `accepting`, `ending`, `turns`, `datagrams`, `strays`. `finding` keeps what they find, `advice`
says what to do, `trail` what was known at a moment of a replay.
"""

from __future__ import annotations

from evloop_trace.model.lint.finding import Finding
from evloop_trace.model.lint.linter import Linter
from evloop_trace.model.lint.trail import Notice, Trail

__all__ = ["Finding", "Linter", "Notice", "Trail"]
