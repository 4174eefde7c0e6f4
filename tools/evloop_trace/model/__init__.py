"""What is known after some events, as values: no socket, no clock, no screen."""
