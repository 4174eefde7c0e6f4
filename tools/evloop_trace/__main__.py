"""`python -m evloop_trace` is `evloop-trace`."""

from evloop_trace.cli import main

if __name__ == "__main__":
    main()
