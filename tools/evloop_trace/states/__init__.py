"""What the kernel said of TCP's states, as a file has it.

`schema` has one class a line, `reader` makes them of lines, `lifelines` follows each socket through
its states. No I/O at all.
"""
