"""Colours and what they mean; every meaning has a word or a shape as well.

The sixteen colours of the terminal: the projector's owner chose them, on a dark or a light ground.
"""

from __future__ import annotations

from rich.style import Style

__all__ = ["BOLD", "DIM", "KINDS", "LAYERS", "PLAIN", "TITLE", "TROUBLE"]

PLAIN = Style.null()
BOLD = Style(bold=True)
DIM = Style(dim=True)
TITLE = Style(bold=True, reverse=True)
TROUBLE = Style(color="red", bold=True)

KINDS = {
    "in": Style(color="cyan"),
    "out": Style(color="green"),
    "life": Style(color="magenta"),
    "quiet": Style(dim=True),
    "trouble": Style(color="red", bold=True),
}
"""By a rung's kind: from the client, to the client, a connection's or the server's life, the rest."""

LAYERS = (Style(color="cyan"), Style(color="green"), Style(color="magenta"), Style(color="yellow"))
"""A packet's headers, in turn, so that each is told from the one before it."""
