"""What the tests of record formats share: strategies, and what holds for every slice of every one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import judges
from slicing import CutFile, cut, index_bytes

from slicery_service.record_index import RecordIndex
from slicery_workers.drafts import Indexed

Strategy = dict[str, Any]
ReadText = Callable[[bytes], Sequence[Any]]
"""An independent reader: decompressed bytes in, records out."""

FEW = (1, 2, 3, 7, 64)
ROUGHLY = 1.01
MOST_FETCHED_BESIDES = 64
"""Bytes by which tiny objects may go over, where a hundredth is less than a block's header."""


def strategies(n_records: int, size: int, *, finest: bool = True) -> Iterator[Strategy]:
    """Yield strategies of all three kinds, coarse and fine; `finest` with more slices than records."""
    for n in (*FEW, n_records + 5) if finest else FEW:
        yield {"name": "count", "n": n}
    for per_slice in {1, 13, n_records // 3 + 1} if finest else {n_records // 60 + 1, n_records + 1}:
        yield {"name": "records", "per_slice": per_slice}
    for per_slice in {max(1, size // 40), max(1, size // 3), size + 1}:
        yield {"name": "bytes", "per_slice": per_slice}


class Judged:
    """An object, its index, and its slices as an independent reader sees them."""

    def __init__(
        self,
        data: bytes,
        form: str,
        read: ReadText,
        *,
        options: dict[str, Any] | None = None,
        **indexing: Any,
    ) -> None:
        self.data = data
        self.form = form
        self.read = read
        self.options = options or {}
        self.index: RecordIndex
        self.indexed: Indexed
        self.index, self.indexed = index_bytes(data, form, options=options, **indexing)

    def check(self, strategy: Strategy, whole: Sequence[Any]) -> None:
        """Cut, read each slice by itself, and hold all that must be true of the slices against `whole`."""
        files = list(cut(self.data, self.index, self.form, strategy, options=self.options))
        found = [self.records(file) for file in files]
        assert [len(records) for records in found] == [file.count for file in files], strategy
        assert [record for records in found for record in records] == list(whole), strategy
        self.check_number(strategy, found, len(whole))
        self.check_fetched(strategy, files)

    def records(self, file: CutFile) -> Sequence[Any]:
        """Return the slice's own records."""
        stop = None if file.take is None else file.skip + file.take
        return self.read(file.text)[file.skip : stop]

    def check_number(self, strategy: Strategy, found: Sequence[Sequence[Any]], n_records: int) -> None:
        """As many slices as the strategy says, and none empty as long as there are records enough."""
        sizes = [len(records) for records in found]
        match strategy:
            case {"name": "count", "n": n}:
                assert len(sizes) == n
            case {"name": "records", "per_slice": k}:
                assert set(sizes[:-1]) <= {k}
                assert len(sizes) == max(1, math.ceil(n_records / k))
            case {"name": "bytes", "per_slice": k}:
                assert len(sizes) == max(1, math.ceil(len(self.data) / k))
        if len(sizes) <= n_records:
            assert min(sizes) > 0, strategy

    def check_fetched(self, strategy: Strategy, files: Sequence[CutFile]) -> None:
        """Slices tile the object, as long as they are fewer than the places where it can be cut."""
        if strategy["name"] != "records" and len(files) < self.n_clean_cuts:
            fetched = sum(file.fetched for file in files)
            headers = len(files) * len(self.index.preamble)  # long ones are fetched with each slice
            assert fetched <= ROUGHLY * len(self.data) + headers + MOST_FETCHED_BESIDES, strategy

    @property
    def n_clean_cuts(self) -> int:
        """Places where the object can be cut without reading a byte twice."""
        cuts = self.index.cuts[:-1]
        usable = (cuts["spilled"] == 1) & (cuts["record"] < self.index.n_records)
        return len(set(cuts["record"][usable].tolist()))


def check_files(data: bytes, index: RecordIndex, form: str, strategy: Strategy) -> None:
    """Judge slices of gzip and BGZF as files, by programs and libraries that are not ours."""
    for file in cut(data, index, form, strategy):
        text = judges.gunzipped(file.content)
        assert judges.gzip_test(file.content) == ""
        assert judges.zcat(file.content) == text
        if index.compression == "bgzf":
            assert judges.bgzf_text(file.content) == text
