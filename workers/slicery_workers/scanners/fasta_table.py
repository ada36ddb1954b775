"""Keep the longest of many sequences, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from slicery_service.sequences import COLUMNS, Sequences, pack, unpack

_LEAST_ROWS, _MOST_ROWS = 1 << 14, 1 << 19
_BYTES_PER_ROW = 1 << 12
"""One row for as many bytes of text is kept while scanning: six times as many as the index has room for."""
_HEADER_BYTES_PER_ROW = 128

NOTHING = unpack(np.empty(0, np.uint8))


class Kept:
    """The sequences met so far, without those shorter than `complete_from`, which rises as more are met."""

    def __init__(self) -> None:
        self.complete_from = 0
        self._chunks: list[Sequences] = []
        self._n_rows = 0
        self._n_header_bytes = 0

    def add(self, sequences: Sequences, text_size: int) -> None:
        """Keep sequences that end in the first `text_size` bytes of the text."""
        self._chunks.append(sequences)
        self._n_rows += len(sequences)
        self._n_header_bytes += len(sequences.headers)
        most = min(max(_LEAST_ROWS, text_size // _BYTES_PER_ROW), _MOST_ROWS)
        if self._n_rows > most or self._n_header_bytes > most * _HEADER_BYTES_PER_ROW:
            self._thin()

    def all(self) -> Sequences:
        """Return what is kept."""
        return joined(self._chunks)

    def _thin(self) -> None:
        every = self.all()
        most = len(every) // 2
        headers = np.cumsum(np.sort(every.header_size)[::-1])
        most = min(most, int(np.searchsorted(headers, self._n_header_bytes // 2)))
        thinned, self.complete_from = longest(every, most, self.complete_from)
        self._chunks = [thinned]
        self._n_rows, self._n_header_bytes = len(thinned), len(thinned.headers)


def joined(chunks: Sequence[Sequences]) -> Sequences:
    """Return the sequences of all chunks, in order."""
    if len(chunks) == 1:
        return chunks[0]
    if not chunks:
        return NOTHING
    columns = [np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in COLUMNS]
    return Sequences.of(columns, b"".join(chunk.headers for chunk in chunks))


def moved(sequences: Sequences, record: int, text: int) -> Sequences:
    """Return sequences whose record numbers and text offsets are raised."""
    raised = {name: getattr(sequences, name) + text for name in ("start", "body", "stop")}
    return replace(sequences, record=sequences.record + record, **raised)


def longest(sequences: Sequences, most: int, complete_from: int) -> tuple[Sequences, int]:
    """Return up to `most` sequences, all that are as long as the number returned with them."""
    if len(sequences) <= most:
        return sequences, complete_from
    lengths = np.sort(sequences.length)[::-1]
    shortest = int(lengths[most]) + 1
    return sequences[sequences.length >= shortest], shortest


def packed_within(sequences: Sequences, budget: int, complete_from: int) -> tuple[NDArray[np.uint8], int]:
    """Pack the longest sequences into `budget` bytes; return them and what all that are kept reach."""
    packed = pack(sequences)
    while len(packed) > budget and len(sequences):
        most = min(len(sequences) - 1, int(len(sequences) * budget / len(packed) * 0.95))
        sequences, complete_from = longest(sequences, most, complete_from)
        packed = pack(sequences)
    return packed, complete_from
