"""The traced kernel: the same calls as `evloop.kernel`, each of which leaves an event.

The loop is given one kernel or the other when the server starts, and cannot tell
them apart; so what is not traced pays nothing for what could be.
"""

from evloop.tracing.decisions import EventTrace
from evloop.tracing.kernel import TracedKernel, TracedSocket

__all__ = ["EventTrace", "TracedKernel", "TracedSocket"]
