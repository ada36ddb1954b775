"""A TCP proxy on a port of its own, which passes all that a server answers, but no faster than it is told.

Bytes are passed on as they are, and what a client sends at once. Whoever signs for the proxy's address is served:
the store takes the address from the Host header.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from contextlib import suppress

from slicery_service.embedded.folder import LOOPBACK

PIECE_BYTES = 256 << 10
SLOW_PIECE_BYTES = 16 << 10
"""So small that a small answer need not wait long behind those of large ones."""


class Throttle(socketserver.ThreadingTCPServer):
    """The proxy of a loopback port; `address` is its own. It passes everything at once until `slow` is called."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int) -> None:
        super().__init__((LOOPBACK, 0), _Connection)
        self.port = port
        self.address = f"{LOOPBACK}:{self.server_address[1]}"
        self._changed = threading.Condition()
        self._bytes_per_second: float | None = None
        self._allowed = 0.0
        """Bytes that may be passed at once; below zero while a piece has yet to be made up for."""
        self._counted_at = 0.0
        threading.Thread(target=self.serve_forever, args=(0.05,), name="throttle", daemon=True).start()

    def slow(self, bytes_per_second: float, *, at_once: int) -> None:
        """Pass `at_once` bytes at once, and what follows at this rate, for all connections together."""
        with self._changed:
            self._bytes_per_second, self._allowed = bytes_per_second, at_once
            self._counted_at = time.monotonic()
            self._changed.notify_all()

    def lift(self) -> None:
        """Pass everything at once again."""
        with self._changed:
            self._bytes_per_second = None
            self._changed.notify_all()

    @property
    def piece_bytes(self) -> int:
        """Return how much had better be passed on together."""
        return PIECE_BYTES if self._bytes_per_second is None else SLOW_PIECE_BYTES

    @property
    def is_felt(self) -> bool:
        """Whether what may pass at once has passed, so that the rate counts."""
        with self._changed:
            return self._bytes_per_second is not None and self._seconds_to_wait() > 0

    def stop(self) -> None:
        """Take no more connections; those that are open end with their clients."""
        self.lift()
        self.shutdown()
        self.server_close()

    def let_pass(self, n_bytes: int) -> None:
        """Wait until so many bytes may be passed on."""
        with self._changed:
            while seconds := self._seconds_to_wait():
                self._changed.wait(seconds)
            self._allowed -= n_bytes

    def _seconds_to_wait(self) -> float:
        if self._bytes_per_second is None:
            return 0.0
        now = time.monotonic()
        self._allowed += (now - self._counted_at) * self._bytes_per_second
        self._counted_at = now
        return max(0.0, -self._allowed / self._bytes_per_second)


class _Connection(socketserver.BaseRequestHandler):
    """One client's connection, and that to the server which belongs to it."""

    server: Throttle
    request: socket.socket

    def handle(self) -> None:
        with suppress(OSError), socket.create_connection((LOOPBACK, self.server.port)) as upstream:
            asking = threading.Thread(target=_pass_on, args=(self.request, upstream), daemon=True)
            asking.start()
            with suppress(OSError):
                while piece := upstream.recv(self.server.piece_bytes):
                    self.server.let_pass(len(piece))
                    self.request.sendall(piece)
            for each in (upstream, self.request):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            asking.join()


def _pass_on(client: socket.socket, upstream: socket.socket) -> None:
    """Pass on what a client asks, and its end."""
    with suppress(OSError):
        while piece := client.recv(PIECE_BYTES):
            upstream.sendall(piece)
        upstream.shutdown(socket.SHUT_WR)
