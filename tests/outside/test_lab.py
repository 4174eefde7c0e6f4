"""`evloop lab` from outside: a network of one's own for a command, which is otherwise as it was."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Process

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.needs("namespaces")

LAB = (sys.executable, "-P", "-m", "evloop", "lab")
NOBODY = 65534
# As whom a lab is of use. What root reads an ordinary user may not be able to, so all is loaded before.
AS_NOBODY = f"""
import ctypes, os, sys
from evloop import lab
if os.geteuid() == 0:
    os.chdir("/")
    os.setgroups([]), os.setresgid({NOBODY}, {NOBODY}, {NOBODY}), os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
    ctypes.CDLL(None).prctl(4, 1)  # dumpable again, as after exec: else /proc/self is root's
assert os.geteuid()
lab.become(sys.argv[1:])
"""


def test_the_network_is_its_own_and_loopback_is_up(run: Run) -> None:
    """A packet comes back on lo; there is no other interface, and it is not ours."""
    script = (
        "import os, socket\n"
        "names = [name for _, name in socket.if_nameindex()]\n"
        "a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(('127.0.0.1', 80))\n"
        "a.sendto(b'x', ('127.0.0.1', 80)); a.settimeout(5)\n"
        "print(names, a.recv(9), os.readlink('/proc/self/ns/net'), os.readlink('/proc/self/ns/user'))"
    )
    done = run(*LAB, "--", sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr
    names, said, net, user = done.stdout.rsplit(maxsplit=3)
    assert (names, said) == ("['lo']", "b'x'")
    assert net != os.readlink("/proc/self/ns/net")
    assert user != os.readlink("/proc/self/ns/user")


def test_a_cable_that_is_pulled_carries_nothing(run: Run) -> None:
    """What is sent while loopback is down is lost; what is sent afterwards is not."""
    script = (
        "import contextlib, socket\n"
        "from evloop import lab\n"
        "a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(('127.0.0.1', 80)); a.settimeout(5)\n"
        "lab.set_loopback(up=False)\n"
        "with contextlib.suppress(OSError): a.sendto(b'lost', ('127.0.0.1', 80))\n"
        "lab.set_loopback(up=True)\n"
        "a.sendto(b'here', ('127.0.0.1', 80))\n"
        "print(a.recv(9))"
    )
    done = run(*LAB, "--", sys.executable, "-c", script)
    assert (done.returncode, done.stdout) == (0, "b'here'\n"), done.stderr


def test_a_table_of_sockets_of_its_own(run: Run) -> None:
    """As large as it is asked to be; what the kernel derives from its size stays as it was."""
    script = (
        "from evloop import lab\n"
        "names = ('tcp_ehash_entries', 'tcp_max_syn_backlog')\n"
        "values = lambda: [int(open(f'/proc/sys/net/ipv4/{name}').read()) for name in names]\n"
        "before = values()\n"
        "lab.enter(buckets=1024)\n"
        "print(values()[0], values()[1] - before[1])"
    )
    done = run(sys.executable, "-c", script)
    assert (done.returncode, done.stdout) == (0, "1024 0\n"), done.stderr


def test_exit_code_and_streams_are_the_commands(run: Run) -> None:
    """Nothing is added to what it reads, prints and ends with; options are its own."""
    done = run(*LAB, "sh", "-c", "cat; echo bad >&2; exit 7", said="in")
    assert (done.returncode, done.stdout, done.stderr) == (7, "in", "bad\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_the_command(begin: Callable[..., Process], number: signal.Signals) -> None:
    """The process becomes the command: a signal to the one is one to the other."""
    process = begin(*LAB, "sh", "-c", "echo ready >&2; exec sleep 60")
    process.expect("ready")
    assert process.stop(number) == -number


def test_sigpipe_ends_the_command(run: Run) -> None:
    """What Python ignores, the command does not: a pipe that nobody reads ends it."""
    done = run("sh", "-c", '"$@" -- sh -c "yes; echo \\$? >&2" | head -n1', "sh", *LAB)
    assert (done.stdout, done.stderr) == ("y\n", f"{128 + signal.SIGPIPE}\n")


def test_an_ordinary_user_is_root_inside(run: Run) -> None:
    """Rights over the network, and who we are outside is still there in the map."""
    command = (
        "id -u; id -g; cat /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv4/ip_forward && echo may"
    )
    done = run(sys.executable, "-c", AS_NOBODY, "sh", "-c", command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "0", "0", "may"]


def test_everybody_is_there(run: Run) -> None:
    """Root's lab has the users that there are outside; another's has only root."""
    done = run(*LAB, "cat", "/proc/self/uid_map")
    with open("/proc/self/uid_map", encoding="ascii") as file:
        outside = [line.split() for line in file]
    inside = [line.split() for line in done.stdout.splitlines()]
    if os.geteuid() == 0:
        assert inside == [[first, first, size] for first, _, size in outside]
    else:
        assert inside == [["0", str(os.geteuid()), "1"]]


def test_without_a_command_it_is_a_shell(run: Run) -> None:
    """The user's."""
    done = run(*LAB, said="echo in the lab", env={**os.environ, "SHELL": "/bin/sh"})
    assert done.stdout == "in the lab\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch-command"], "nosuch-command cannot be started: there is no such command"),
        (["--nosuch"], "No such option '--nosuch'"),
    ],
)
def test_what_cannot_be_started_is_a_sentence(run: Run, arguments: list[str], said: str) -> None:
    """One line, and exit code 2."""
    done = run(*LAB, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_no_program_is_a_sentence(run: Run, tmp_path: object) -> None:
    """A file that may be executed and cannot be is found out when it is too late for anything else."""
    path = os.path.join(str(tmp_path), "empty")
    with open(path, "wb") as file:
        file.write(b"\x7fELF nothing")
    os.chmod(path, 0o755)
    done = run(*LAB, path)
    assert (done.returncode, done.stderr) == (2, f"evloop: {path} cannot be started: Exec format error\n")


@pytest.mark.parametrize("name", ["user", "net"])
def test_it_says_what_forbids_it(run: Run, name: str) -> None:
    """A limit of 0, as some systems are set up: the setting is named, and what allows it."""
    setting = f"user.max_{name}_namespaces"
    forbid = f'echo 0 > /proc/sys/{setting.replace(".", "/")} && exec "$@"'
    done = run("unshare", "-Ur", "sh", "-c", forbid, "sh", *LAB, "true")
    assert done.returncode == 2
    assert f"{setting} is 0: sudo sysctl {setting}=10000 allows it" in done.stderr
    assert len(done.stderr.splitlines()) == 1
