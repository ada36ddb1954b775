"""The names of FASTQ's reads, by which mates in two objects are compared.

A read's name is its first line behind the `@`, up to the first blank. Names are taken from lines that begin with
`@` as blocks go by, so that nothing is kept of a block; those that turn out to be qualities are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slicery_workers.kernels.names import pack_names
from slicery_workers.scanners import Bytes, Int64Array

AT = ord("@")

MOST_NAME = 4 << 10
"""Bytes of a name that are compared; more than any has, so that long lines of qualities are not copied."""

_USUAL_NAME = 80


@dataclass(frozen=True, slots=True)
class Names:
    """Names of reads: name i is packed[edges[i]:edges[i + 1]], its read begins at text offset starts[i].

    `starts` and `edges` are int64, (n,) and (n + 1,); `packed` is uint8.
    """

    starts: Int64Array
    edges: Int64Array
    packed: Bytes

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def n_bytes(self) -> int:
        """Memory taken, in bytes, about."""
        return self.starts.nbytes + self.edges.nbytes + self.packed.nbytes

    def name(self, row: int) -> bytes:
        """Return one name."""
        return self.packed[self.edges[row] : self.edges[row + 1]].tobytes()

    def behind(self, row: int) -> Names:
        """Return the names from a row on."""
        if row == 0:
            return self
        first = self.edges[row]
        return Names(self.starts[row:], self.edges[row:] - first, self.packed[first:])

    def before(self, row: int) -> Names:
        """Return the names before a row."""
        return Names(self.starts[:row], self.edges[: row + 1], self.packed[: self.edges[row]])

    @staticmethod
    def none() -> Names:
        """Return no names."""
        return Names(np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0, np.uint8))

    @staticmethod
    def joined(first: Names, second: Names) -> Names:
        """Return the names of one, then those of another."""
        if not len(first):
            return second
        edges = np.concatenate([first.edges, second.edges[1:] + first.edges[-1]])
        starts = np.concatenate([first.starts, second.starts])
        return Names(starts, edges, np.concatenate([first.packed, second.packed]))


class NamedLines:
    """The names of lines that begin with `@`, until it is known which of them begin reads."""

    def __init__(self) -> None:
        self._known = Names.none()
        self._cut: bytes | None = None
        self._cut_start = 0
        self._at_line_start = True

    def take(self, block: Bytes, position: int, begins: Int64Array) -> None:
        """Take the next bytes of the text, at `position`, and where in them lines begin behind newlines."""
        if not len(block):
            return
        self._go_on(block)
        if self._at_line_start:
            begins = np.concatenate([[0], begins])
        self._at_line_start = len(begins) > 0 and begins[-1] == len(block)
        begins = begins[begins < len(block)]
        begins = begins[block[begins] == AT]
        fresh, n = _packed(block, begins + 1, begins + position), len(begins)
        if n and int(begins[-1]) + 1 + len(last := fresh.name(n - 1)) == len(block):
            self._cut, self._cut_start = last, int(fresh.starts[-1])
            fresh = fresh.before(n - 1)
        self._known = Names.joined(self._known, fresh)

    def end(self) -> None:
        """End the text, and with it a name."""
        if self._cut is not None:
            edges = np.array([0, len(self._cut)], np.int64)
            cut = Names(np.array([self._cut_start]), edges, np.frombuffer(self._cut, np.uint8).copy())
            self._known, self._cut = Names.joined(self._known, cut), None

    def names_of(self, starts: Int64Array) -> Names:
        """Hand out the names of reads that begin at `starts`, and drop those of the lines before the last."""
        if not len(starts):
            return Names.none()
        known = self._known
        rows = np.searchsorted(known.starts, starts)
        self._known = known.behind(int(rows[-1]) + 1)
        if len(rows) == rows[-1] + 1:
            return known.before(len(rows))
        return _chosen(known, rows)

    def _go_on(self, block: Bytes) -> None:
        """Add to the name that the block before has cut."""
        if self._cut is None:
            return
        begin = np.zeros(1, np.int64)
        rest = _packed(block, begin, begin, MOST_NAME - len(self._cut)).name(0)
        self._cut += rest
        if len(rest) < len(block):
            self.end()


def _packed(text: Bytes, begins: Int64Array, starts: Int64Array, most: int = MOST_NAME) -> Names:
    """Pack the names that begin at `begins` in a text."""
    edges = np.empty(len(begins) + 1, np.int64)
    room = _USUAL_NAME * len(begins)
    while not pack_names(text, begins, most, packed := np.empty(room, np.uint8), edges):
        room = min(4 * room, len(text))
    return Names(starts, edges, packed[: edges[-1]])


def _chosen(names: Names, rows: Int64Array) -> Names:
    """Return the names of some rows."""
    lengths = np.diff(names.edges)[rows]
    edges = np.concatenate([[0], np.cumsum(lengths)])
    at = np.arange(edges[-1]) - np.repeat(edges[:-1] - names.edges[:-1][rows], lengths)
    return Names(names.starts[rows], edges, names.packed[at])
