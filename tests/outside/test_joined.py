"""Two real processes and their two logs: each recv() is joined with the sends that it was from."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evloop_trace.logs import open_logs

from evloop.events.schema import Accept, Close, Recv

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.logs import Row

CONNECTIONS = 1000

RECORDED = """
import runpy, sys
from evloop.events.recorder import DirectRecorder
from evloop.events.sinks import FileSink, open_log
from evloop.instrument import install
from evloop.header import make_header
from evloop.recording import LogOptions
log, script = sys.argv[1:3]
sink = FileSink(open_log(log), log, print)
sink.begin()
recorder = DirectRecorder(make_header(LogOptions(log, "none", 0), {}, model="client"), sink)
install(recorder, 0)
sys.argv = sys.argv[2:]
runpy.run_path(script, run_name="__main__")
recorder.close("exit")
"""

CLIENT = Path(__file__).parent / "programs" / "mixed_sends.py"


def test_every_recv_of_a_thousand_connections(
    serve: Callable[..., Any], begin: Callable[..., Any], tmp_path: Path
) -> None:
    """Mixed sizes, four threads at once: 0 wrong, 0 unmatched, and nothing is received before it is sent."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "server.jsonl", "--payload", "none")
    (tmp_path / "recorded.py").write_text(RECORDED)
    command = (sys.executable, "-P", "recorded.py", "client.jsonl", str(CLIENT), str(server.port()))
    assert begin(*command, str(CONNECTIONS)).end() == 0
    assert server.stop() == 0

    paths = [str(tmp_path / name) for name in ("client.jsonl", "server.jsonl")]
    with open_logs(paths) as logs:
        rows = [row for batch in logs.rows() for row in batch]
        assert logs.joiner.disagree == {}
    expected = Expected(*paths)
    assert sum(isinstance(row.item, Accept) and row.item.conn is not None for row in rows) == CONNECTIONS
    received = [row for row in rows if isinstance(row.item, Recv) and row.item.n]
    assert sum(row.item.n for row in received) == 2 * expected.bytes > 2_000_000
    for row in received:
        assert row.joined is not None
        assert (row.joined.missing, row.joined.exact) == (0, True)
        label, _, name = row.item.conn.partition(":")
        assert [it.seq for it in row.joined.origins] == expected.sends(label, name, *row.item.off)
    ends = [row for row in rows if isinstance(row.item, Recv) and row.item.n == 0]
    assert len(ends) > CONNECTIONS / 2
    assert all(row.joined is not None and row.joined.missing == 0 for row in ends)
    assert sum(isinstance(row.item, Close) for row in rows) >= 2 * CONNECTIONS
    assert_causes_come_first(rows)


def test_one_log_of_a_server_that_forks(run: Callable[..., Any], tmp_path: Path) -> None:
    """Its child's log is lost: what the child sent is from nothing there, and no clock is at fault."""
    program = Path(__file__).parent / "programs" / "hands_to_a_child.py"
    tool = (sys.executable, "-P", "-m", "evloop_trace")
    assert run(*tool, "run", "--log", "log.jsonl", str(program)).returncode == 0
    (child,) = tmp_path.glob("log.jsonl.*")
    done = run(*tool, "replay", "log.jsonl", child.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert [" from log-2 send " in it for it in done.stdout.splitlines() if " recv(100) = " in it] == [
        True, False,
    ]  # fmt: skip
    child.unlink()
    done = run(*tool, "timeline", "log.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert [it for it in done.stdout.splitlines() if "recv() = " in it and "not in the logs" not in it] == []


def assert_causes_come_first(rows: list[Row]) -> None:
    """Whatever got something stands behind what it was from."""
    seen: set[tuple[str, int]] = set()
    for row in rows:
        for origin in row.joined.origins if row.joined else ():
            assert (origin.log, origin.seq) in seen
        seen.add((("client", "server")[row.log], row.item.seq))


class Expected:
    """The same from the bare lines: pairs of addresses, and every send that a recv overlaps."""

    def __init__(self, client: str, server: str) -> None:
        self.bytes = 0
        self._sends: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
        places: dict[tuple[str, str], list[str]] = defaultdict(list)
        accepted: dict[str, tuple[str, str]] = {}
        self._others: dict[tuple[str, str], tuple[str, str]] = {}
        for label, path in (("client", client), ("server", server)):
            for line in Path(path).read_text().splitlines():
                event = json.loads(line)
                conn = event.get("conn")
                if event["ev"] == "connect" and "local" in event:
                    places[event["local"], event["peer"]].append(conn)
                elif event["ev"] == "accept" and conn:
                    accepted[conn] = (event["peer"], event["local"])
                elif event["ev"] == "send" and event.get("n"):
                    self._sends[label, conn].append((*event["off"], event["seq"]))
                    self.bytes += event["n"] * (label == "client")
        for conn, place in accepted.items():  # in the order of their accepts
            other = places[place].pop(0)
            self._others["server", conn], self._others["client", other] = ("client", other), ("server", conn)

    def sends(self, label: str, conn: str, start: int, end: int) -> list[int]:
        """The numbers of the sends that the other end made of these bytes."""
        sends = self._sends[self._others[label, conn]]
        return [seq for low, high, seq in sends if low < end and high > start]
