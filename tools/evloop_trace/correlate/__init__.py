"""Which call of one log is the other end of which call of another: joins over events, with no I/O at all."""
