"""Echo with asyncio's protocols, on uvloop: the same program on another event loop.

python uvloop_protocol.py KIND ADDRESS
"""

from __future__ import annotations

import sys

import uvloop
from asyncio_protocol import main

if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
