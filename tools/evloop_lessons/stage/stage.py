"""What a scenario can do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import msgspec
from evloop_trace.running import prepare

from evloop import lab
from evloop_lessons.lesson import PACKETS
from evloop_lessons.plan import SAMPLES, STEPS
from evloop_lessons.run import Socket
from evloop_lessons.stage import table
from evloop_lessons.stage.actors import Actor, Server, StageError, python
from evloop_lessons.stage.camera import Camera

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from evloop_trace.packets.sightings import Sighting

    from evloop_lessons.lesson import Lesson
    from evloop_lessons.plan import Plan

__all__ = ["Stage", "StageError"]

PATIENCE = 30.0  # seconds for which anything is waited for: longer than TCP's own timers in any lesson
LOOK = 0.002  # seconds from one look to the next
LONG = 24 * 3600  # seconds: no program of a scenario loses patience, however long somebody thinks


class Stage:
    """A context manager: inside it programs run and packets are captured; behind it there is nothing left."""

    def __init__(
        self, lesson: Lesson, plan: Plan, source: Path, folder: Path, told: Callable[[str, str], None]
    ) -> None:
        """Begin to capture.

        Args:
            lesson: What is played.
            plan: And how; the programs that are started are put into it.
            source: The lesson's folder.
            folder: Where everything is written.
            told: Takes `step` and the name of one that begins, and returns when it is to begin; or `program`,
                and its name and its process.
        """
        self.actors: list[Actor] = []
        self.packets: list[Sighting] = []
        """Those that are in the capture by now."""
        self._lesson, self._plan, self._source, self._folder, self._told = lesson, plan, source, folder, told
        self._steps = open(folder / STEPS, "ab", buffering=0)  # noqa: SIM115 - closed by `__exit__`
        self._samples = open(folder / SAMPLES, "ab", buffering=0)  # noqa: SIM115
        self._seen: Any = None
        self._camera = Camera(folder) if PACKETS in lesson.needs else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._write_step("")  # what is done from here on is no part of the lesson
        if self._camera:
            self._camera.tell_to_end()  # which takes it a while
        clients = [it for it in self.actors if not isinstance(it, Server)]
        servers = [it for it in self.actors if isinstance(it, Server)]
        for group in (clients, servers):
            for actor in group:
                if kind is None:
                    actor.tell_to_end()
                else:
                    actor.kill()
            for actor in group:
                actor.end()
        if self._camera:
            self._camera.close()
        for actor in self.actors:
            actor.close()
        self._steps.close()
        self._samples.close()

    def __getitem__(self, parameter: str) -> Any:
        """A parameter's value."""
        return self._plan.parameters[parameter]

    # -- programs --------------------------------------------------------------------------------------

    def serve(
        self, *options: str, hold: Sequence[str] = (), name: str = "server", address: str = ""
    ) -> Server:
        """`evloop serve`, on port 8080 in a network of its own; it listens when this returns."""
        where = address or f"--tcp=127.0.0.1:{8080 if self._plan.network else 0}"
        control = f"{name}.control"  # in its folder, and so short enough, wherever that is
        gates = [f"--control={control}", *(f"--hold={it}" for it in hold)]
        command = self._evloop("serve", name, where, *gates, *options)
        server = Server(name, command, self._folder, self.until)
        server.control = control
        self._start(server)
        server.listening()
        return server

    def client(self, server: Server | str, *options: str, name: str = "client") -> Actor:
        """`evloop client`, connecting: it sends each line that it is told to `say`, and prints the answer.

        Args:
            server: It, or the address of a program of the lesson's own, as `evloop client` takes it.
            options: Of `evloop client`.
            name: Of the actor, and of its log.
        """
        address = server.address if isinstance(server, Server) else server
        command = self._evloop("client", name, f"--timeout={LONG}", *options, address)
        return self._start(Actor(name, command, self._folder, self.until))

    def program(self, file: str, *arguments: str, name: str = "") -> Actor:
        """A program that lies in the lesson's folder, under `evloop-trace run`."""
        name = name or file.removesuffix(".py")
        log = str(self._folder / f"{name}.jsonl")
        command, environment = prepare([str(self._source / file), *arguments], log)  # what run becomes
        return self._start(Actor(name, command, self._folder, self.until, environment))

    def _evloop(self, command: str, name: str, *rest: str) -> list[str]:
        return python("evloop", command, f"--log={name}.jsonl", *rest)

    def _start(self, actor: Actor) -> Actor:
        self.actors.append(actor)
        if self._camera:
            self._camera.ready()  # not before: it begins while the server does
        self._plan.programs[actor.name] = actor.process.pid
        self._told("program", f"{actor.name} {actor.process.pid}")
        return actor

    # -- steps -----------------------------------------------------------------------------------------

    def step(self, name: str) -> None:
        """A step of the lesson begins; with --pace not before somebody says so."""
        if name not in self._lesson.steps:
            raise StageError(f"{name!r} is none of the lesson's steps: {', '.join(self._lesson.steps)}")
        self._told("step", name)
        self._look()
        self._write_step(name)

    def _write_step(self, name: str) -> None:
        self._steps.write(msgspec.json.encode({"t": _now(), "step": name}) + b"\n")

    def still(self, seconds: float) -> None:
        """Do nothing for so long, since that nothing happens is what is to be seen."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._look()
            time.sleep(min(LOOK, left))

    # -- waiting ---------------------------------------------------------------------------------------

    def until(self, test: Callable[[], bool], what: str) -> None:
        """Wait until something is so.

        Raises:
            StageError: it takes too long.
        """
        end = time.monotonic() + PATIENCE
        while not test():
            if time.monotonic() > end:
                raise StageError(f"waited for {PATIENCE:g} s, and it did not come: {what}")
            self._look()
            time.sleep(LOOK)

    def until_packets(self, test: Callable[[Sequence[Sighting]], bool], what: str) -> None:
        """Wait until the packets in the capture are so; they get there some 30 ms after they were sent.

        Raises:
            StageError: it takes too long, or nothing is captured.
        """
        camera = self._camera
        if camera is None:
            raise StageError("nobody captures packets: the lesson's `needs` lack PACKETS")

        def seen() -> bool:
            self.packets += camera.more()
            return test(self.packets)

        self.until(seen, what)

    def until_sockets(self, test: Callable[[Sequence[Socket]], bool], what: str) -> None:
        """Wait until the kernel's table of TCP sockets is so.

        Raises:
            StageError: it takes too long.
        """
        self._look()  # and `until` does so again after each test
        self.until(lambda: test([Socket(*row) for row in self._seen[0]]), what)

    def _look(self) -> None:
        """Write down what the kernel says of sockets, if it is something new."""
        seen = table.look()
        if seen != self._seen:
            self._seen = seen
            line = msgspec.json.encode({"t": _now(), "sockets": seen[0], "counters": seen[1]})
            self._samples.write(line + b"\n")

    # -- the network -----------------------------------------------------------------------------------

    @staticmethod
    def sysctl(name: str, value: str | int) -> None:
        """Set something of the lesson's own network: net.*, as far as it belongs to a network namespace.

        Raises:
            StageError: this system does not have it, or it is not a network's own.
        """
        path = f"/proc/sys/{name.replace('.', '/')}"
        try:
            with open(path, "w", encoding="ascii") as file:
                file.write(str(value))
        except OSError as error:
            raise StageError(f"{name} cannot be set to {value}: {error.strerror}") from None

    def cable(self, *, up: bool) -> None:
        """Pull the cable of the lesson's own network, or plug it in again: `lo` is down, and nothing goes by.

        Raises:
            StageError: the lesson has no network of its own.
        """
        if not self._plan.network:
            raise StageError("the cable of a network that is not the lesson's own is not pulled")
        lab.set_loopback(up=up)


def _now() -> tuple[int, int]:
    """The monotonic clock, and the time of day: ns."""
    return time.monotonic_ns(), time.time_ns()
