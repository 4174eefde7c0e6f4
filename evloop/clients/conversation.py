"""The article's client: say something, wait for the answer, again and again, hang up.

It blocks, and that is the point: one thread, one conversation.
"""

from __future__ import annotations

import codecs
import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from evloop.address import Address, Inet, UnixPath, parse_inet, parse_unix, why_unscoped
from evloop.errors import EvloopError
from evloop.kernel import Kernel, send_all
from evloop.keyboard import ask
from evloop.printable import printable
from evloop.socket_state import errno_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ClientOptions", "parse_target", "run"]

RECV_SIZE = 64 * 1024
EMPTY = "an empty line is not sent: TCP is a stream of bytes, and no bytes are no message"


class ClientOptions(NamedTuple):
    """How to talk and how to end. Times are seconds."""

    delay: float = 0.0
    hold: float = 0.0
    end: str = "fin"  # fin, reset, half, abandon
    timeout: float = 5.0
    repeat: int = 1


class NoReplyError(EvloopError):
    """The server did not answer as it should."""


def parse_target(text: str) -> tuple[str, Address]:
    """("tcp" | "udp" | "unix", address) of `tcp:` or `udp:HOST:PORT`, `unix:PATH`, HOST:PORT or a path.

    Raises:
        AddressError: it is none of these.
    """
    scheme, _, rest = text.partition(":")
    if scheme in {"tcp", "udp"}:
        return scheme, parse_inet(rest)
    if scheme == "unix":
        return scheme, parse_unix(rest)
    if "/" in text or text.startswith("@") or not (":" in text or text.isdigit()):
        return "unix", parse_unix(text)
    return "tcp", parse_inet(text)


def run(target: str, messages: tuple[str, ...], options: ClientOptions) -> int:
    """Talk to `target`; the exit code.

    Raises:
        EvloopError: it cannot be reached, or does not answer.
    """
    kind, address = parse_target(target)
    conversation = Conversation(kind, address, options)
    try:
        time.sleep(options.delay)
        said = (message for _ in range(options.repeat) for message in messages) if messages else _prompt(kind)
        for message in said:
            if message or kind == "udp":
                print(conversation.exchange(message), flush=True)
            else:
                print(EMPTY, file=sys.stderr, flush=True)
        if options.end == "half":
            conversation.half_close()
        time.sleep(options.hold)
        conversation.end()
    except BaseException:
        conversation.close()
        raise
    return 0


def _prompt(kind: str) -> Iterator[str]:
    """What a person types, until the end of input."""
    while True:
        try:
            message = ask("message to send: ").strip()
        except (EOFError, RuntimeError):  # RuntimeError: there is no standard input
            return
        if message or kind == "udp":
            yield message
        else:
            # send(b"") puts nothing on the wire: the server would see nothing, and we would wait for ever.
            print(EMPTY)


class Conversation:
    """One socket, from connect to close."""

    def __init__(self, kind: str, address: Address, options: ClientOptions) -> None:
        self._kernel = Kernel()
        self._name = str(address)
        self._options = options
        self._is_datagram = kind == "udp"
        # One decoder for the whole stream: a read may end in the middle of a character.
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
        self._untried = iter(self._addresses(address))
        self._failure: OSError = OSError()
        self._open = self._answered = False
        if not self._connect():
            raise NoReplyError(_why_not_connected(address, self._failure, options.timeout))

    def _addresses(self, address: Address) -> Sequence[Address]:
        """Several for a name: the first may be of a family that the server does not serve."""
        if isinstance(address, Inet):
            return self._kernel.resolve(address, datagram=self._is_datagram)
        return [address]

    def _connect(self) -> bool:
        """Connect to the next address that lets us; whether there is one."""
        for candidate in self._untried:
            try:
                sock = self._kernel.connect(candidate, self._options.timeout, datagram=self._is_datagram)
            except OSError as error:
                self._failure = error
            else:
                self.close()  # the one before
                self._sock, self._open = sock, True
                self._recv, self._send = self._kernel.stream_calls(sock)
                return True
        return False

    def exchange(self, message: str) -> str:
        """Send a message and wait for its answer: as many bytes on a stream, one datagram on UDP."""
        data = message.encode(errors="surrogateescape")
        try:
            reply = self._ask(data)
        except TimeoutError:
            self._fail(f"did not answer within {self._options.timeout:g} s")
        except OSError as error:
            self._fail(_BROKEN.get(errno_name(error.errno), f"cannot be talked to: {error.strerror}"))
        return printable(self._decode(reply, self._is_datagram), "\n\t")

    def _ask(self, data: bytes) -> bytes:
        """Send, and receive the answer.

        connect(2) of a UDP socket asks nobody. Whether a server is there only the first datagram tells: if it
        comes back (ICMP: the port is closed), it goes to the host's next address.
        """
        while True:
            try:
                send_all(self._send, data)
                reply = self._recv(RECV_SIZE) if self._is_datagram else self._recv_exactly(len(data))
            except ConnectionRefusedError:
                if self._answered or not self._connect():
                    raise
            else:
                self._answered = True
                return reply

    def _recv_exactly(self, size: int) -> bytes:
        """One send is not one recv: the answer may come in pieces."""
        pieces: list[bytes] = []
        while size:
            piece = self._recv(size)
            if not piece:
                self._fail("closed the connection before it had answered")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _fail(self, what: str) -> NoReturn:
        raise NoReplyError(f"{self._name} {what}")

    def half_close(self) -> None:
        """Say that no more will come, and read what the server still has to say."""
        if self._is_datagram:
            return
        try:
            self._kernel.shutdown(self._sock)
            while data := self._recv(RECV_SIZE):
                print(printable(self._decode(data), "\n\t"), flush=True)
        except TimeoutError:
            self._fail("kept its half of the connection open after ours was closed")
        except OSError as error:
            self._fail(_BROKEN.get(errno_name(error.errno), str(error.strerror)))

    def end(self) -> None:
        """Hang up as asked: `abandon` dies without closing anything, as a killed program does."""
        if self._options.end == "abandon":
            sys.stdout.flush()
            os._exit(0)
        if self._options.end == "reset" and not self._is_datagram:
            self._kernel.reset_on_close(self._sock)
        self.close()

    def close(self) -> None:
        """Give the socket back."""
        if self._open:
            self._open = False
            self._kernel.close(self._sock, "stop")


_BROKEN = {
    "ECONNRESET": "reset the connection: it had closed with bytes unread, or crashed",
    "EPIPE": "has closed the connection: nobody reads any more",
    "ECONNREFUSED": "refuses: no server has that UDP port; start one with `evloop serve`",
    "EMSGSIZE": "cannot be sent so much at once: a datagram holds at most 65507 bytes",
}


def _why_not_connected(address: Address, error: OSError, timeout: float) -> str:
    name = errno_name(error.errno)
    if isinstance(address, UnixPath) and name == "EAGAIN":
        return f"{address} did not accept within {timeout:g} s: its queue is full"
    if isinstance(error, TimeoutError):
        return f"{address} did not accept within {timeout:g} s: its queue may be full, or packets are dropped"
    if name == "ENOENT" and isinstance(address, UnixPath):
        return f"{address} does not exist: start a server with `evloop serve --unix {address}`"
    if name == "ECONNREFUSED":
        option = "--unix" if isinstance(address, UnixPath) else "--tcp"
        return f"{address} refuses: no server listens there; start one with `evloop serve {option} {address}`"
    unscoped = why_unscoped(address) if name == "EINVAL" else ""
    return unscoped or f"{address} cannot be connected to: {error.strerror or error}"
