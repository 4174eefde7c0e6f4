"""Live capture: the packets of an interface, each once, with the kernel's own times, and what was dropped.

`filters` says to the kernel which packets are wanted, `ring` takes them out of memory that the kernel
shares with us, `pcapng` makes them blocks of a file, `lines` puts packets into words,
and `session` is the program: from ready to drained.
"""
