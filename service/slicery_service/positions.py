"""Where the records of a VCF object lie in the genome: what its index has beside marks and cuts.

Positions count from 0, intervals are half-open; a record at the telomere, POS 0, lies at -1 (VCF 4.5 §1.6.1).

runs    structured (n,): the object's records in consecutive runs, each of about 128 KiB of text or more
          low      lowest start of a record
          n        number of records
          contig   ordinal of their contig; -1 where they are of several, or of one that is not listed
          high     highest start, less `low`; 2^32 - 1 and what is more is written as that
          far      furthest end, less `low`; likewise
contigs uint8 (n,): zlib of JSON, for the contigs in the order in which they first occur: name, number of records,
        numbers of the first and of the last one, lowest and highest start, furthest end; and what holds for all

At most MOST_CONTIGS contigs are listed. `n_others` counts the records of those that are not.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_service.record_index import RecordIndex, Tables

RUN = np.dtype([("low", "<i8"), ("n", "<u4"), ("contig", "<i4"), ("high", "<u4"), ("far", "<u4")])
UNKNOWN = 0xFFFFFFFF
"""What `high` and `far` of a run hold where they are too large: it may reach anywhere."""

SEVERAL = -1
MOST_CONTIGS = 1 << 15


class Contig(NamedTuple):
    """The records of one contig: how many, which are first and last, and where they lie."""

    name: str
    n_records: int
    first: int
    last: int
    low: int
    high: int
    far: int


@dataclass(frozen=True, slots=True)
class Edge:
    """The contig and the start of the first or the last record of a text."""

    contig: str
    position: int


@dataclass(frozen=True, slots=True)
class Positions:
    """The tables of one object, or of a stretch of one.

    `in_order` tells whether positions never descend within a contig; `n_columns` is 0 where there is no record.
    """

    contigs: tuple[Contig, ...]
    runs: NDArray[Any]
    n_others: int = 0
    n_columns: int = 0
    in_order: bool = True
    first: Edge | None = None
    last: Edge | None = None

    def to_tables(self) -> Tables:
        """Return the tables as the index stores them."""
        body = {
            "contigs": self.contigs,
            "n_others": self.n_others,
            "n_columns": self.n_columns,
            "in_order": self.in_order,
            "first": self.first and asdict(self.first),
            "last": self.last and asdict(self.last),
        }
        packed = zlib.compress(json.dumps(body, separators=(",", ":")).encode())
        return {"contigs": np.frombuffer(packed, np.uint8), "runs": self.runs}


def read_positions(tables: Tables) -> Positions:
    """Read the tables that `Positions.to_tables` wrote; none are those of an object without records."""
    if "contigs" not in tables:
        return Positions((), np.empty(0, RUN))
    body = json.loads(zlib.decompress(tables["contigs"].tobytes()))
    return Positions(
        contigs=tuple(Contig(*row) for row in body["contigs"]),
        runs=tables.get("runs", np.empty(0, RUN)),
        n_others=body["n_others"],
        n_columns=body["n_columns"],
        in_order=body["in_order"],
        first=body["first"] and Edge(**body["first"]),
        last=body["last"] and Edge(**body["last"]),
    )


def positions_of(index: RecordIndex) -> Positions:
    """Return where the records of an indexed object lie."""
    return read_positions(index.tables)
