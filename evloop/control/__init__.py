"""What a server is told from outside while it runs: `evloop serve --control PATH`.

    gates      what is held back, and the words of the protocol
    looped     the loop with gates, and the socket on which it is told
    blocked    the kernel of a server that blocks, with gates, and the thread that is told

The servers and the loop know nothing of it: what holds them back is what they are composed of.
"""
