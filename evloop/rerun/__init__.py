"""The loop's server once more, on the results that a log has of its calls.

Nothing is asked of the system: `RecordedKernel` answers every call with what is recorded of it, and the
clock stands where it stood. The loop, the server and its sockets are the real ones, and `TracedKernel` makes
events of what they do, as it did the first time. `Comparison` holds each of them beside the log's.

    log ──▶ Tape ──▶ RecordedKernel ──▶ TracedKernel ──▶ loop · net · servers
             │       answers             events
             └────────────────────────▶ Comparison: the same event, or the rerun ends here

A server decides from nothing but what its calls returned. So, if a log is whole, the rerun's events are the
log's; one that differs shows that the server has changed, that the log has, or that something was not
recorded.
"""

from evloop.rerun.run import Moment, Outcome, rerun
from evloop.rerun.tape import Difference

__all__ = ["Difference", "Moment", "Outcome", "rerun"]
