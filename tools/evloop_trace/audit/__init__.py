"""The log held against what others saw: strace's system calls, and the kernel's own counters.

Pure: lines and events in, rows and differences out. `evloop_trace.apps.audited` runs the server.
"""
