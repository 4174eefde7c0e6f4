# ruff: noqa: INP001 - a folder of PYTHONPATH, no package
"""The first of us in a traced process: Python imports `sitecustomize` before the program.

It starts the instrument, then gives way to the `sitecustomize` that would have been
found without this folder. Whatever goes wrong here, the program runs as if it were
not traced.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_here = os.path.dirname(os.path.abspath(__file__))


def _begin() -> None:
    run = os.environ.get("EVLOOP_RUN")
    if not run:
        return
    try:
        from evloop.instrument.process import begin  # noqa: PLC0415
    except ImportError:  # another Python, started by the program, that has no evloop
        return
    try:
        begin(run)
    except Exception as error:  # noqa: BLE001
        why = getattr(error, "strerror", None) or error
        print(f"evloop-trace: the program is not recorded: {why}", file=sys.stderr)


def _give_way() -> None:
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        sys.modules["sitecustomize"] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules["sitecustomize"])


sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _here]
_begin()
_give_way()
