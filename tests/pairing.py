"""Index pairs of objects in memory and cut them, so that tests can judge each slice by another reader."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dnaio
import judges
from slicing import CutFile, fetched_file

from slicery_service import formats
from slicery_service.compression import sniff
from slicery_service.planning.registry import planner_of
from slicery_service.planning.strategies import parse_strategy
from slicery_service.record_index import RecordIndex, Segment, assemble
from slicery_service.slicing import RecordFormat, slice_files
from slicery_workers.drafts import Indexed
from slicery_workers.pairs import Mate, index_pair
from slicery_workers.reader import ObjectReader
from slicery_workers.registry import indexer_of

OPTIONS = {"paired": True}

Pair = tuple[judges.Read, judges.Read]


@dataclass(frozen=True)
class CutPairs:
    """A slice: files of first and of second mates, as they follow one another, and how many pairs it holds."""

    firsts: list[CutFile]
    seconds: list[CutFile]
    count: int

    @property
    def fetched(self) -> int:
        return sum(file.fetched for file in self.firsts + self.seconds)

    def pairs(self, read: Any = judges.reads_by_dnaio) -> list[Pair]:
        """Read both mates' own reads with an independent reader."""
        mates = [
            [each for file in files for each in own(file, read)] for files in (self.firsts, self.seconds)
        ]
        return list(zip(*mates, strict=True))


def own(file: CutFile, read: Any) -> list[judges.Read]:
    stop = None if file.take is None else file.skip + file.take
    found: list[judges.Read] = read(file.text)[file.skip : stop]
    return found


def pairs_by_dnaio(first: bytes, second: bytes) -> list[Pair]:
    """Read two texts as mates with dnaio, which compares their names."""
    with dnaio.open(io.BytesIO(first), io.BytesIO(second), fileformat="fastq") as file:
        return [tuple((each.name, each.sequence, each.qualities or "") for each in pair) for pair in file]


def index_mates(
    first: bytes, second: bytes, *, labels: tuple[str, str] = ("R1", "R2"), block_bytes: int = 4 << 20
) -> tuple[list[RecordIndex], list[Indexed]]:
    """Index two objects held in memory, in lockstep."""
    segments: tuple[list[Segment], list[Segment]] = ([], [])

    def mate(number: int, data: bytes) -> Mate:
        def open_object() -> ObjectReader:
            return ObjectReader(
                lambda r: data[r.start : r.stop], len(data), read_ahead=1, block_bytes=block_bytes
            )

        return Mate(labels[number], open_object, sniff(data), segments[number].append)

    mates = [mate(0, first), mate(1, second)]
    found = index_pair(mates, indexer_of("fastq"), OPTIONS)
    indexes = [
        assemble(each.compression, len(data), [s.to_payload() for s in own], each.n_records, each.text_size)
        for data, own, each in zip((first, second), segments, found, strict=True)
    ]
    return indexes, found


def cut_mates(
    datas: Sequence[bytes], indexes: Sequence[RecordIndex], strategy: Mapping[str, Any]
) -> Iterator[CutPairs]:
    """Cut indexed pairs of objects (R1, R2, R1, R2, …), and fetch the parts from memory."""
    form = formats.get("fastq")
    parsed = parse_strategy("fastq", form.all_strategies, strategy)
    plan = planner_of("fastq")(parsed, None, indexes, 10_000_000, OPTIONS)
    files = slice_files(RecordFormat("fastq", {}), indexes, plan, 0, plan.n_slices)
    spans = plan.records(0, plan.n_slices)
    for of_slice, span in zip(files, spans, strict=True):
        assert [file.object % 2 for file in of_slice] == [0, 1] * (len(of_slice) // 2)
        assert all(file.decode[-1].op == "pair" for file in of_slice)
        cut = [fetched_file(datas[file.object], indexes[file.object], file, *span) for file in of_slice]
        yield CutPairs(cut[::2], cut[1::2], span[1])
