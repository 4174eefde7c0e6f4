"""What happened, as data: the lowest layer, which knows no socket and no screen."""
