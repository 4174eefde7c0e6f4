"""What the kernel says itself about TCP: its tracepoints, recorded beside a capture.

`tracefs` is where tracepoints are reached, `instance` a buffer of our own there that does not outlive us,
`formats` and `pages` are how to read what it holds, `translation` makes of it what a file has, and `recorder`
writes that file. Linux, and root there.
"""
