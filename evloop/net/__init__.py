"""Sockets with a state: listeners, streams, datagram sockets, and who watches the events."""
