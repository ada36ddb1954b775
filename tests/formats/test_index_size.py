"""An index stays small: shares of the object, for plain, small gzip and large gzip objects."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
import samples
from slicing import gunzip

from slicery_service.byterange import ByteRange
from slicery_service.compression import BGZF_EOF, Compression, sniff
from slicery_service.planning.records import RecordPlan
from slicery_service.record_index import Segment, assemble
from slicery_service.slicing import RecordFormat, slice_files
from slicery_workers.drafts import Indexed
from slicery_workers.indexing import index_whole
from slicery_workers.reader import ObjectReader
from slicery_workers.registry import indexer_of

LARGEST_PAYLOAD = 4 << 20


class Payloads:
    """The segments that indexing an object saves, as they are stored."""

    def __init__(self, fetch: Callable[[ByteRange], bytes], size: int, compression: Compression) -> None:
        self.payloads: list[bytes] = []
        self.size = size
        with ObjectReader(fetch, size, read_ahead=1) as reader:
            self.found: Indexed = index_whole(reader, compression, indexer_of("fastq"), {}, self._save)

    def _save(self, segment: Segment) -> None:
        self.payloads.append(segment.to_payload())

    @property
    def share(self) -> float:
        return sum(map(len, self.payloads)) / self.size


def indexed(data: bytes) -> Payloads:
    return Payloads(lambda r: data[r.start : r.stop], len(data), sniff(data))


def repeated(unit: bytes, times: int) -> Callable[[ByteRange], bytes]:
    """Give the bytes of an object that is `unit` over and over, without holding it."""

    def fetch(wanted: ByteRange) -> bytes:
        skip = wanted.start % len(unit)
        return (unit * (1 + (skip + len(wanted)) // len(unit)))[skip : skip + len(wanted)]

    return fetch


@pytest.fixture(scope="module")
def text() -> bytes:
    """15 MB of reads."""
    return samples.write_fastq(samples.illumina_reads(42_000, seed=21))


def test_the_index_of_a_plain_object_takes_a_thousandth(text: bytes) -> None:
    assert indexed(text).share <= 0.001


@pytest.mark.parametrize("level", [1, 6])
def test_the_index_of_a_small_gzip_object_takes_three_hundredths(text: bytes, level: int) -> None:
    index = indexed(gzip.compress(text, level))
    assert index.found.n_records == 42_000
    assert index.share <= 0.03


def test_the_index_of_a_bgzf_object_takes_three_hundredths(text: bytes) -> None:
    index = indexed(samples.bgzf(text))
    assert index.found.n_records == 42_000
    assert index.share <= 0.03


@pytest.mark.slow
def test_the_index_of_a_large_bgzf_object_takes_five_thousandths(text: bytes) -> None:
    unit = samples.bgzf(text).removesuffix(BGZF_EOF)
    times = 1_000_000_000 // len(unit) + 1
    index = Payloads(repeated(unit, times), times * len(unit), "bgzf")
    assert index.found.n_records == times * 42_000
    assert index.share <= 0.005
    assert max(map(len, index.payloads)) <= LARGEST_PAYLOAD
    whole = assemble("bgzf", index.size, index.payloads, index.found.n_records, index.found.text_size)
    assert whole.seams.sum() >= 150, "one for each 5 to 7 MB"


@pytest.mark.slow
def test_the_index_of_a_large_gzip_object_takes_five_thousandths(text: bytes) -> None:
    unit = gzip.compress(text, 6)
    times = 1_250_000_000 // len(unit) + 1
    index = Payloads(repeated(unit, times), times * len(unit), "gzip")
    assert index.found.n_records == times * 42_000
    assert index.found.text_size == times * len(text)
    assert index.found.text_size > 1 << 32
    assert index.share <= 0.005
    assert max(map(len, index.payloads)) <= LARGEST_PAYLOAD
    whole = assemble("gzip", index.size, index.payloads, index.found.n_records, index.found.text_size)
    fetch = repeated(unit, times)
    for first in (42_000 * (times // 2) - 100, index.found.n_records - 333):  # across members, and the end
        edges = whole.marks[:1, 0] + [first, first + 333]
        ((file,),) = slice_files(RecordFormat("fastq", {}), [whole], RecordPlan(edges, [whole]), 0, 1)
        content = b"".join(fetch(part) if isinstance(part, ByteRange) else part for part in file.parts)
        trim, records = file.decode[1:]
        wanted = b"@" + gunzip(content)[trim.skip : trim.skip + trim.take].split(b"\n@")[records.skip]
        assert wanted.split(b"\n")[0] == text.split(b"\n")[4 * (first % 42_000)]
