"""Servers that can be run: how sockets, a protocol and a way of waiting make a server."""
