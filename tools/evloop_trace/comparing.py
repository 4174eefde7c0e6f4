"""`evloop-trace compare`: two logs read, and their clients laid side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop.errors import LogError
from evloop_trace.escape import escape_text, json_text
from evloop_trace.logs import open_logs
from evloop_trace.model.clients import Clients
from evloop_trace.model.comparison import Comparison, Side, not_comparable
from evloop_trace.model.differences import because, differences, name_of
from evloop_trace.progress import track

if TYPE_CHECKING:
    from evloop_trace.model.clients import Client
    from evloop_trace.model.comparison import Pair
    from evloop_trace.replay import Problems

__all__ = ["as_json", "compare"]

_LABEL = 24  # characters
_LISTED = 1_000  # clients in the object of --json


def compare(paths: tuple[str, str], problems: Problems) -> Comparison:
    """Read both; broken lines are told of, and left out.

    Raises:
        LogError: one cannot be read, is no event log, or has no clients to compare.
    """
    first, second = (_read(path, problems) for path in paths)
    (a, stem_a), (b, stem_b) = first, second
    label_a, label_b = a.header.model, b.header.model
    if label_a == label_b or "run" in (label_a, label_b):  # then the models do not say which is which
        label_a, label_b = stem_a, stem_b if stem_b != stem_a else f"{stem_b}-2"
    return Comparison(a._replace(label=_short(label_a)), b._replace(label=_short(label_b)))


def _short(label: str) -> str:
    return escape_text(label[:_LABEL])


def _read(path: str, problems: Problems) -> tuple[Side, str]:
    """A log as a side, and the short name of its file."""
    clients, told = Clients(), 0
    with open_logs([path]) as logs:
        for log, block in track(logs, "compare"):
            clients.feed(block.line, block.items, log.name)
            if clients.problems > told:
                problems.read(log.name, block.items)
                told = clients.problems
        one = logs.logs[0]
    clients.finish()
    reason = not_comparable(one.name, one.header, clients)
    if reason:
        raise LogError(reason)
    return Side(one.label, one.name, one.header, clients), one.label


def as_json(comparison: Comparison) -> str:
    """One object, in a line: times in nanoseconds, those of clients from the first arrival on."""
    shown = comparison.select(_LISTED)
    return json_text(
        {
            "matched_by": "greeting" if comparison.by_greeting else "order",
            "logs": [side.summary() for side in comparison.sides],
            "differences": differences(comparison),
            "clients": [_pair(comparison, pair) for pair in shown],
            "left_out": len(comparison.pairs) - len(shown),
        }
    )


def _pair(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    clients = [
        None if it is None else _client(comparison, side, it) for side, it in enumerate((pair.a, pair.b))
    ]
    return {"number": pair.number, "name": name_of(comparison, pair), "in": clients}


def _client(comparison: Comparison, side: int, client: Client) -> dict[str, Any]:
    origin = comparison.sides[side].origin
    return {
        "name": client.name,
        "line": client.line,
        "came_ns": client.came - origin,
        "accepted_ns": client.accepted - origin,
        "first_answer_ns": None if client.first is None else client.first - origin,
        "closed_ns": None if client.closed is None else client.closed - origin,
        "queue_ns": client.in_queue,
        "answers": client.answers,
        "answers_ns": client.waited,
        "longest_answer_ns": client.longest,
        "because": because(comparison, side, client),
        "held": None if client.held is None else client.held._asdict(),
    }
