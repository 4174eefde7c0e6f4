"""evloop's server in a simulated world: what may happen to it, and what must hold whatever happens.

    setup        of what kind a world is: the server's options, the kernel's buffers
    clients      those who talk to the server, and know what it must answer
    made         how a server is made on a simulated kernel, and of which parts
    world        the server, its kernel, its clients: the moves that somebody may make
    invariants   what is looked at after every turn of the loop
    reasons      why a connection ended, and whether that is true
    afterwards   what must hold when all is over
    walk         moves at random, from a seed, as fast as they go
    shrinking    a run that went wrong, made as short as it can be

It is no part of what is installed: `cd tools && python -m evloop_simulation --seed N`.
"""
