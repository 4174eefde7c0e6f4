"""Clients that can be run: blocking ones, as people write them first."""
