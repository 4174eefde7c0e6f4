"""Recording what a Python program does with its sockets, without a change to the program.

`install` replaces the methods of `socket.socket`, and what `select` offers, by
functions that make the same call and leave an event. Whoever goes through
Python's `socket` module is seen; what calls the system past it is not, and of
the known ones an event says so.
"""

from evloop.instrument.instrument import Instrument, install

__all__ = ["Instrument", "install"]
