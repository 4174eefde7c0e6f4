"""The stage: plays a scenario with real processes, in a network of its own."""

from evloop_lessons.stage.actors import Actor, Server
from evloop_lessons.stage.stage import Stage, StageError

__all__ = ["Actor", "Server", "Stage", "StageError"]
