"""A small event-loop server whose every call is an event: read it in an hour.

Data flows one way: sockets → `kernel` → `loop` and `net` → `events` → a log
file or a watcher. `composition` puts the parts together and nothing else does.
"""

__version__ = "0.1.0"
