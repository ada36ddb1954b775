"""Ticket to bytes: the parts of a file, fetched side by side and handed on in their order.

Each part on its way has a thread and a bounded queue, so that PARALLEL times AHEAD_BLOCKS blocks of 256 KiB
(64 MiB) are held at most, however large the parts are, and the network works while the reader decodes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from queue import Empty, Queue

from slicery.errors import DatasetChanged, FetchError, ServiceError, SliceryError, TicketExpired
from slicery.part import read_part
from slicery.ticket import Part, Ticket, format_time

PARALLEL = 8
AHEAD_BLOCKS = 32
SOLE_BLOCK_BYTES = 16 << 20

Renew = Callable[[], Ticket]


class Signer:
    """A ticket that is renewed when it has expired, once, whichever of its parts finds out first."""

    def __init__(self, ticket: Ticket, renew: Renew | None = None) -> None:
        self.ticket = ticket
        self._renew = renew
        self._lock = threading.Lock()

    def replace(self, stale: Ticket) -> None:
        """Put a fresh ticket in the place of `stale`, unless another thread has done so already."""
        with self._lock:
            if self.ticket is stale:
                self.ticket = self._fresh(stale)

    def _fresh(self, stale: Ticket) -> Ticket:
        expired = (
            f"slice {stale.index} of {stale.partition}: its URLs expired at {format_time(stale.expires_at)}"
        )
        if self._renew is None:
            raise TicketExpired(
                f"{expired}; ask the service for a fresh ticket, or set SLICERY_URL and SLICERY_TOKEN"
            )
        try:
            fresh = self._renew()
        except ServiceError as exc:
            if exc.code == "object-changed":
                raise DatasetChanged(f"{expired}, and {exc}") from exc
            raise TicketExpired(f"{expired}, and no fresh ones came: {exc}") from exc
        except SliceryError as exc:
            raise TicketExpired(f"{expired}, and no fresh ones came: {exc}") from exc
        if _shape(fresh) != _shape(stale):
            raise FetchError(f"slice {stale.index} of {stale.partition} is cut differently now; read it anew")
        return fresh


class Download:
    """One part on its way: a thread fills a bounded queue, and iterating drains it."""

    def __init__(self, signer: Signer, file: int, part: int) -> None:
        self._signer = signer
        self._file = file
        self._part = part
        self._queue: Queue[bytes | Exception | None] = Queue(AHEAD_BLOCKS)
        self._cancelled = threading.Event()
        threading.Thread(target=self._run, name="slicery-part", daemon=True).start()

    def current(self) -> tuple[Ticket, Part]:
        """Return the part as signed last, and the ticket it stands in."""
        ticket = self._signer.ticket
        return ticket, ticket.files[self._file].parts[self._part]

    def renew(self, stale: Ticket) -> None:
        """Get a fresh ticket in place of `stale`."""
        if not self._cancelled.is_set():
            self._signer.replace(stale)

    def __iter__(self) -> Iterator[bytes]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def cancel(self) -> None:
        """Stop soon: the thread ends at its next block, and the queue is emptied so that it gets there."""
        self._cancelled.set()
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            pass

    def _run(self) -> None:
        try:
            with closing(read_part(self, self._cancelled.wait)) as blocks:
                for block in blocks:
                    self._queue.put(block)
                    if self._cancelled.is_set():
                        return
            self._queue.put(None)
        except Exception as exc:  # noqa: BLE001 a thread's border: the reader raises it
            self._queue.put(exc)


class _Sole:
    """The one part of a file that has to be fetched, by who waits for it."""

    def __init__(self, signer: Signer, file: int, part: int) -> None:
        self._signer, self._file, self._part = signer, file, part

    def current(self) -> tuple[Ticket, Part]:
        """Return the part as signed last, and the ticket it stands in."""
        ticket = self._signer.ticket
        return ticket, ticket.files[self._file].parts[self._part]

    def renew(self, stale: Ticket) -> None:
        """Get a fresh ticket in place of `stale`."""
        self._signer.replace(stale)

    def __iter__(self) -> Iterator[bytes]:
        return read_part(self, _pause, SOLE_BLOCK_BYTES)


def fetch(signer: Signer, file: int, *, whole: bool = False) -> Generator[bytes, None, None]:
    """Yield the bytes of one file of the signer's ticket, in blocks and in order.

    Closing the iterator stops the downloads. Who needs the file `whole` before doing anything gains nothing from
    threads where it has one part alone.

    Raises:
        FetchError: a part could not be fetched (see `read_part`).
        InvalidTicket: an inline part is malformed.
    """
    parts = signer.ticket.files[file].parts
    if whole and sum(not part.is_inline for part in parts) == 1:
        for number, part in enumerate(parts):
            yield from (part.inline_bytes(),) if part.is_inline else _Sole(signer, file, number)
        return
    running: deque[Download | Part] = deque()
    upcoming = 0
    try:
        for _ in parts:
            while upcoming < len(parts) and len(running) < PARALLEL:
                part = parts[upcoming]
                running.append(part if part.is_inline else Download(signer, file, upcoming))
                upcoming += 1
            if isinstance(running[0], Part):
                yield running[0].inline_bytes()
            else:
                yield from running[0]
            running.popleft()
    finally:
        for download in running:
            if isinstance(download, Download):
                download.cancel()


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _shape(ticket: Ticket) -> list[list[tuple[object, ...]]]:
    """Return what stays when a ticket is signed afresh: which bytes of which version each part gives."""
    return [
        [
            (part.url,)
            if part.is_inline
            else (part.length, part.headers.get("Range"), part.headers.get("If-Match"))
            for part in file.parts
        ]
        for file in ticket.files
    ]
