"""Bugs that real projects had, each a switch: `evloop serve --bug NAME`.

    bug             what an entry of the gallery says; with which parts a server has the bug
    gallery         all of them, and how they are listed
    interest, accepting, streams, datagrams, wakeup, closing
                    a family each: the part that is right elsewhere, with the bug in it

What is right knows nothing of them. Each bug replaces the one part it is about, so that a reader sees the
bug here and the cure in what it inherits from.
"""
