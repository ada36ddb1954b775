"""Ticket to bytes: the parts of a file, fetched side by side and handed on in their order.

Each part on its way has a thread and a bounded queue, so that PARALLEL times AHEAD_BLOCKS blocks of 256 KiB
(64 MiB) are held at most, however large the parts are, and the network works while the reader decodes. Files that are
decoded only when they are whole are gathered in one piece of memory.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from itertools import accumulate, pairwise
from queue import Empty, Queue, SimpleQueue

from slicery import crew
from slicery.errors import DatasetChanged, FetchError, ServiceError, SliceryError, TicketExpired
from slicery.part import BLOCK_BYTES, read_part
from slicery.ticket import Part, Ticket, format_time

PARALLEL = 8
AHEAD_BLOCKS = 32
WHOLE_BLOCK_BYTES = 4 << 20

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


class _Signed:
    """One part of a signer's ticket, wanted until it is cancelled."""

    def __init__(
        self, signer: Signer, file: int, part: int, cancelled: threading.Event | None = None
    ) -> None:
        self._signer = signer
        self._file = file
        self._part = part
        self._cancelled = cancelled or threading.Event()

    def current(self) -> tuple[Ticket, Part]:
        """Return the part as signed last, and the ticket it stands in."""
        ticket = self._signer.ticket
        return ticket, ticket.files[self._file].parts[self._part]

    def renew(self, stale: Ticket) -> None:
        """Get a fresh ticket in place of `stale`."""
        if not self._cancelled.is_set():
            self._signer.replace(stale)

    def blocks(self, block_bytes: int) -> Generator[bytes, None, None]:
        """Yield the part's bytes; see `read_part`."""
        return read_part(self, self._cancelled.wait, block_bytes)

    def put(self, room: memoryview) -> None:
        """Put the part's bytes in their place."""
        at = 0
        with closing(self.blocks(WHOLE_BLOCK_BYTES)) as blocks:
            for block in blocks:
                room[at : at + len(block)] = block
                at += len(block)
                if self._cancelled.is_set():
                    return


class Download(_Signed):
    """One part on its way: a thread fills a bounded queue, and iterating drains it."""

    def __init__(self, signer: Signer, file: int, part: int) -> None:
        super().__init__(signer, file, part)
        self._queue: Queue[bytes | Exception | None] = Queue(AHEAD_BLOCKS)
        crew.do(self._run)

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
            with closing(self.blocks(BLOCK_BYTES)) as blocks:
                for block in blocks:
                    self._queue.put(block)
                    if self._cancelled.is_set():
                        return
            self._queue.put(None)
        except Exception as exc:  # noqa: BLE001 a thread's border: the reader raises it
            self._queue.put(exc)


def fetch(signer: Signer, file: int) -> Generator[bytes, None, None]:
    """Yield the bytes of one file of the signer's ticket, in blocks and in order.

    Closing the iterator stops the downloads.

    Raises:
        FetchError: a part could not be fetched (see `read_part`).
        InvalidTicket: an inline part is malformed.
    """
    parts = signer.ticket.files[file].parts
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


def gather(signer: Signer, file: int) -> bytearray:
    """Return the bytes of one file, its parts fetched side by side, each into its place; a sole one without a thread.

    Raises what `fetch` does.
    """
    parts = signer.ticket.files[file].parts
    inline = {number: part.inline_bytes() for number, part in enumerate(parts) if part.is_inline}
    sizes = [len(inline[number]) if number in inline else part.length for number, part in enumerate(parts)]
    places = list(accumulate(sizes, initial=0))
    data, cancelled = bytearray(places[-1]), threading.Event()
    room = memoryview(data)
    wanted: deque[tuple[_Signed, memoryview]] = deque()
    for number, (start, stop) in enumerate(pairwise(places)):
        if number in inline:
            room[start:stop] = inline[number]
        else:
            wanted.append((_Signed(signer, file, number, cancelled), room[start:stop]))
    if len(wanted) == 1:
        _Signed.put(*wanted[0])
    else:
        _put_all(wanted, cancelled)
    return data


def _put_all(wanted: deque[tuple[_Signed, memoryview]], cancelled: threading.Event) -> None:
    """Put parts in their places, PARALLEL at a time; raises the first error, and leaves the others to end soon."""
    results: SimpleQueue[Exception | None] = SimpleQueue()
    n_wanted = len(wanted)

    def work() -> None:
        with suppress(IndexError):  # none is left
            while not cancelled.is_set():
                signed, room = wanted.popleft()
                try:
                    signed.put(room)
                except Exception as exc:  # noqa: BLE001 a thread's border: the reader raises it
                    results.put(exc)
                else:
                    results.put(None)

    for _ in range(min(PARALLEL, n_wanted)):
        crew.do(work)
    try:
        for _ in range(n_wanted):
            failure = results.get()
            if failure is not None:
                raise failure
    finally:
        cancelled.set()


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
