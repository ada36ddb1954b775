"""The `records` index of one object: where records begin, and where the object may be cut.

Offsets come in two kinds: *compressed* ones count bytes of the object as stored, *text* ones bytes of what it
holds after decompression. Without compression they are the same.

marks   int64 (n, 2): number of a record within the object, text offset of its first byte; ascending
cuts    structured (n,), one row per place where the object's bytes may be cut, ascending:
          offset        compressed offset; for gzip that of the byte in which the deflate block begins
          text          text offset
          record, start number and text offset of the first record that starts at or after `text`
          spilled       1 when `spill` holds text[text:start], or when there is nothing to hold
          spill_at/size where in `spills` the spill lies
        and for gzip, where a cut is a *checkpoint* (the state of inflate between two deflate blocks):
          bit, shared   bits of the byte at `offset` that belong to the block before; that byte's value
          member        number of the gzip member; `member_start` 1 where the cut is that member's first byte
          window_at/size, window_length   where in `windows` the window lies; bytes it inflates to
          crc           CRC-32 of the member's text up to the cut
          seed          crc ^ CRC-32 of the window: what a slice that starts here begins its CRC with
          spilled_crc   CRC-32 of the member's text up to the cut and of the spill
        The last row is the end: `text` and `start` are the text's size, `offset` is where the last gzip member
        ends, or the last BGZF block that is not the empty one. In a segment `start` is -1 where the record begins
        in a later stretch, whose first it is.
windows byte-aligned deflate blocks, each giving a window with all bytes zeroed that are never referred to
spills  the rest of the record that a cut divides
bridges structured (n,), for some cuts of BGZF objects that divide a record, ascending:
          cut           the cut's compressed offset
          offset, text  compressed and text offset of the next untouched block
          at, size      where in `bridge_bytes` the bridge lies: blocks that hold the text from the cut's `start`
                        up to there. A slice that begins with it begins with a whole record
members structured (n,): `offset` of a gzip member's header, `stop` of its deflate stream, `text` where it begins,
        `crc` of its text; the last row is the end, with the text's size in `text`

A format may add two things of its own, which its scanner describes:

preamble text before the first record that every slice repeats, such as a header; of BGZF objects `header_block` tells
         the compressed and the text offset of the block in which it ends
tables  arrays by name that its planner reads, such as the positions of genomic records
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service import npz

CUT = np.dtype(
    [
        ("offset", "<i8"),
        ("text", "<i8"),
        ("record", "<i8"),
        ("start", "<i8"),
        ("spill_at", "<i8"),
        ("spill_size", "<i4"),
        ("spilled", "u1"),
        ("bit", "u1"),
        ("shared", "u1"),
        ("member_start", "u1"),
        ("member", "<i4"),
        ("window_size", "<i4"),
        ("window_at", "<i8"),
        ("window_length", "<i4"),
        ("crc", "<u4"),
        ("seed", "<u4"),
        ("spilled_crc", "<u4"),
    ]
)
MEMBER = np.dtype([("offset", "<i8"), ("stop", "<i8"), ("text", "<i8"), ("crc", "<u4")])
BRIDGE = np.dtype([("cut", "<i8"), ("offset", "<i8"), ("text", "<i8"), ("at", "<i8"), ("size", "<i4")])

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
StructArray = NDArray[Any]
Tables = Mapping[str, NDArray[Any]]

_TABLE = "table."
_TABLE_BYTES = 2 << 20
"""Most bytes of one table in one segment, so that a payload stays under 4 MiB."""


@dataclass(frozen=True)
class RecordIndex:
    """Marks and cuts of one object; see the module's docstring for the columns.

    `marks` and `cuts` end with the row of the end, and every cut's record is also a mark.
    """

    compression: str
    size_bytes: int
    marks: Int64Array
    cuts: StructArray
    windows: NDArray[np.uint8]
    spills: NDArray[np.uint8]
    members: StructArray
    preamble: bytes = b""
    tables: Tables = field(default_factory=dict)
    bridges: StructArray = field(default_factory=lambda: np.empty(0, BRIDGE))
    bridge_bytes: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    header_block: tuple[int, int] = (0, 0)

    @property
    def n_records(self) -> int:
        return int(self.marks[-1, 0])

    @property
    def text_size(self) -> int:
        return int(self.marks[-1, 1])

    @cached_property
    def reach(self) -> Int64Array:
        """Text offsets up to which a slice can hold the text that ends at each cut or one before it; ascending."""
        own = np.where(self.cuts["spilled"] == 1, self.cuts["start"], self.cuts["text"])
        reach: Int64Array = np.maximum.accumulate(own)  # a later cut in one record may have no spill
        return reach

    @cached_property
    def bridge_of(self) -> Int64Array:
        """The row of each cut's bridge; -1 where it has none."""
        rows = np.full(len(self.cuts), -1, np.int64)
        rows[np.searchsorted(self.cuts["offset"], self.bridges["cut"])] = np.arange(len(self.bridges))
        return rows

    @cached_property
    def joints(self) -> BoolArray:
        """Cuts at which one slice may end and the next begin, both without a byte that is read twice."""
        clean = (self.cuts["spilled"] == 1) | (self.cuts["text"] == 0)  # nothing ends at the beginning
        joints: BoolArray = clean & (self.cuts["record"] < self.n_records)
        return joints

    @cached_property
    def seams(self) -> BoolArray:
        """Those joints at which neither slice needs trimming; of gzip all joints, though its windows are trimmed."""
        if self.compression != "bgzf":
            return self.joints
        whole = (self.cuts["text"] == self.cuts["start"]) | (self.cuts["text"] == 0) | (self.bridge_of >= 0)
        seams: BoolArray = self.joints & whole
        return seams

    @cached_property
    def is_seamed(self) -> bool:
        """Whether every slice can be a file of whole records, as it is in small BGZF objects."""
        return self.compression == "bgzf" and bool(self.seams[1:-1].all())

    def bridged(
        self, first_cuts: Int64Array, last_cuts: Int64Array, text_starts: Int64Array, text_stops: Int64Array
    ) -> BoolArray:
        """Tell which slices are better off with their first cut's bridge: those that then need no trimming.

        In objects where all cuts have bridges, all are: then they are files of whole records in any case.
        """
        first, last = self.cuts[first_cuts], self.cuts[last_cuts]
        if self.is_seamed:
            whole: BoolArray = (text_starts >= first["start"]) & (self.bridge_of[first_cuts] >= 0)
            return whole
        ends = (text_stops == last["text"]) | (text_stops == self.reach[last_cuts])
        begins = (text_starts == first["start"]) & (self.bridge_of[first_cuts] >= 0)
        bridged: BoolArray = begins & ends
        return bridged

    @property
    def n_bytes(self) -> int:
        """Memory taken, in bytes."""
        arrays = (self.marks, self.cuts, self.windows, self.spills, self.members, self.bridge_bytes)
        tables = (self.bridges, *self.tables.values())
        return sum(array.nbytes for array in (*arrays, *tables)) + len(self.preamble)

    def window(self, cut: int) -> bytes:
        """Return the window of a checkpoint as a byte-aligned deflate block; empty where there is none."""
        row = self.cuts[cut]
        return self.windows[row["window_at"] : row["window_at"] + row["window_size"]].tobytes()

    def spill(self, cut: int) -> bytes:
        """Return the rest of the record that a cut divides; empty where it divides none."""
        row = self.cuts[cut]
        return self.spills[row["spill_at"] : row["spill_at"] + row["spill_size"]].tobytes()

    def bridge(self, cut: int) -> tuple[bytes, int]:
        """Return the blocks of a cut's bridge, and the compressed offset of the block behind it."""
        row = self.bridges[self.bridge_of[cut]]
        return self.bridge_bytes[row["at"] : row["at"] + row["size"]].tobytes(), int(row["offset"])


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of an object's record index, as it is stored: one row of `index_segment`.

    `start` and `stop` are text offsets. Rows of the end are in the last segment only.
    """

    first_record: int
    n_records: int
    start: int
    stop: int
    marks: Int64Array
    cuts: StructArray
    windows: bytes = b""
    spills: bytes = b""
    members: StructArray = field(default_factory=lambda: np.empty(0, MEMBER))
    preamble: bytes = b""
    tables: Tables = field(default_factory=dict)
    bridges: StructArray = field(default_factory=lambda: np.empty(0, BRIDGE))
    bridge_bytes: bytes = b""
    header_block: tuple[int, int] = (0, 0)

    def to_payload(self, level: int = npz.WELL) -> bytes:
        """Write the arrays as npz, without pickle; the empty ones are left out.

        Marks and tables deflate to a third, which keeps the index of text that compresses well within its share.
        What is deflate already is stored as it is.
        """
        arrays: dict[str, NDArray[Any]] = {
            "marks": self.marks,
            "cuts": self.cuts,
            "spills": np.frombuffer(self.spills, np.uint8),
            "members": self.members,
            "bridges": self.bridges,
            "header_block": np.array(self.header_block if any(self.header_block) else [], np.int64),
            **{_TABLE + name: table for name, table in self.tables.items()},
        }
        deflated = {
            "windows": self.windows,
            "bridge_bytes": self.bridge_bytes,
            "preamble": zlib.compress(self.preamble) if self.preamble else b"",
        }
        present = {name: array for name, array in arrays.items() if array.size}
        stored = {name: np.frombuffer(data, np.uint8) for name, data in deflated.items() if data}
        return npz.write(present, stored, level=level)


def read_payload(payload: bytes) -> dict[str, NDArray[Any]]:
    """Read the arrays of one segment; those that were left out come back empty."""
    empty: dict[str, NDArray[Any]] = {
        "marks": np.empty((0, 2), np.int64),
        "cuts": np.empty(0, CUT),
        "windows": np.empty(0, np.uint8),
        "spills": np.empty(0, np.uint8),
        "members": np.empty(0, MEMBER),
        "bridges": np.empty(0, BRIDGE),
        "bridge_bytes": np.empty(0, np.uint8),
        "preamble": np.empty(0, np.uint8),
        "header_block": np.empty(0, np.int64),
    }
    return empty | npz.read(payload)


def read_preamble(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the preamble that a segment's arrays hold."""
    packed = arrays["preamble"].tobytes()
    return zlib.decompress(packed) if packed else b""


def read_header_block(arrays: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
    """Return both offsets of the block in which a segment's preamble ends."""
    offset, text = arrays["header_block"].tolist() or (0, 0)
    return offset, text


def read_tables(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the format's own tables among a segment's arrays."""
    return {name.removeprefix(_TABLE): array for name, array in arrays.items() if name.startswith(_TABLE)}


def closing_segments(
    preamble: bytes, tables: Tables, n_records: int, text_size: int, header_block: tuple[int, int] = (0, 0)
) -> Iterator[Segment]:
    """Yield segments without records that hold what a format adds; none where it adds nothing."""
    chunks: list[dict[str, NDArray[Any]]] = []
    for name, table in tables.items():
        rows = max(1, _TABLE_BYTES // max(1, table.itemsize))
        for number, at in enumerate(range(0, len(table), rows)):
            chunks.extend([{}] if number == len(chunks) else [])
            chunks[number][name] = table[at : at + rows]
    if preamble and not chunks:
        chunks.append({})
    nothing, no_cuts = np.empty((0, 2), np.int64), np.empty(0, CUT)
    for number, chunk in enumerate(chunks):
        segment = Segment(n_records, 0, text_size, text_size, nothing, no_cuts, tables=chunk)
        yield replace(segment, preamble=preamble, header_block=header_block) if number == 0 else segment


def assemble(
    compression: str, size_bytes: int, payloads: Sequence[bytes], n_records: int, text_size: int
) -> RecordIndex:
    """Join an object's segments, in order, into its index."""
    pieces = [read_payload(payload) for payload in payloads]
    windows, spills, bridges = 0, 0, 0
    for piece in pieces:
        piece["cuts"]["window_at"] += windows
        piece["cuts"]["spill_at"] += spills
        piece["bridges"]["at"] += bridges
        windows += piece["windows"].size
        spills += piece["spills"].size
        bridges += piece["bridge_bytes"].size
    names = list(dict.fromkeys(name for piece in pieces for name in piece))
    joined = {name: np.concatenate([p[name] for p in pieces if name in p]) for name in names}
    marks = joined.get("marks", np.empty((0, 2), np.int64))
    cuts = _with_starts(joined.get("cuts", np.empty(0, CUT)), marks, n_records, text_size)
    marks = _with_end(np.concatenate([marks, _cut_marks(cuts)]), n_records, text_size)
    return RecordIndex(
        compression=compression,
        size_bytes=size_bytes,
        marks=marks,
        cuts=cuts if compression != "none" else plain_cuts(marks),
        windows=joined.get("windows", np.empty(0, np.uint8)),
        spills=joined.get("spills", np.empty(0, np.uint8)),
        members=joined.get("members", np.empty(0, MEMBER)),
        preamble=b"".join(read_preamble(piece) for piece in pieces),
        tables=read_tables(joined),
        bridges=joined.get("bridges", np.empty(0, BRIDGE)),
        bridge_bytes=joined.get("bridge_bytes", np.empty(0, np.uint8)),
        header_block=read_header_block(joined) if "header_block" in joined else (0, 0),
    )


def plain_cuts(marks: Int64Array) -> StructArray:
    """Return the cuts of an object without compression: its marks."""
    cuts = np.zeros(len(marks), CUT)
    cuts["record"] = marks[:, 0]
    for name in ("offset", "text", "start"):
        cuts[name] = marks[:, 1]
    cuts["spilled"] = 1
    return cuts


def _with_starts(cuts: StructArray, marks: Int64Array, n_records: int, text_size: int) -> StructArray:
    """Fill in where the first record behind a cut begins, if it does so in a later stretch, whose first it is."""
    open_cuts = cuts["start"] < 0
    if open_cuts.any():
        known = np.concatenate([marks, [[n_records, text_size]]])
        found = np.searchsorted(known[:, 0], cuts["record"][open_cuts])
        cuts["start"][open_cuts] = known[found, 1]
    return cuts


def _cut_marks(cuts: StructArray) -> Int64Array:
    return np.stack([cuts["record"], cuts["start"]], axis=1).astype(np.int64)


def _with_end(marks: Int64Array, n_records: int, text_size: int) -> Int64Array:
    """Sort marks by record, each once, and let them end with the row of the end."""
    inside = marks[marks[:, 0] < n_records]
    _, first = np.unique(inside[:, 0], return_index=True)
    end = np.array([[n_records, text_size]], np.int64)
    return np.concatenate([inside[first], end])
