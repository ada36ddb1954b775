"""FASTA end to end: windows and regions over HTTP, judged by `samtools faidx` and dnaio."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import judges
import pytest
import samples
from formats.fasta_samples import genome, written

from slicery import Client, IndexingFailed, ServiceError

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]


@pytest.mark.parametrize("compression", ["none", "gzip-members", "bgzf"])
def test_windows_and_regions_arrive_as_files_and_as_records(
    client: Client, put: Put, tmp_path: Path, compression: str
) -> None:
    content = written(genome())
    prefix = put({"genome.fa": samples.COMPRESSIONS[compression](content)})
    dataset = client.register(prefix + "genome.fa").wait(60)
    assert (dataset.format, dataset.n_records, dataset.unit) == ("fasta", 6, "sequence")
    windows = dataset.partition("residues", window=10_001, overlap=1)
    counts = [each.count for each in windows]
    assert counts == [1] * 23 + [2] + [1] * 7 + [2]  # 23 windows, s1 and s2, 7 windows, s3 and chrM
    with judges.faidx(content) as reference:
        for each in windows:
            for record in each.records():
                stop = record.offset + len(record.sequence)
                assert record.sequence == reference.fetch(record.name, record.offset, stop)
        (region,) = dataset.partition("count", n=1, selection={"region": "chr1:101-20000"})
        (record,) = region.records()
        assert (record.name, record.offset) == ("chr1", 100)
        assert record.sequence == reference.fetch("chr1", 100, 20_000)
    (path,) = region.to_file(tmp_path / "region.fa")
    text = path.read_bytes()
    text = text if compression == "none" else gzip.decompress(text)
    assert judges.sequences_by_dnaio(text) == [("chr1 the long one offset=100", record.sequence)]


def test_problems_say_what_to_do(client: Client, put: Put) -> None:
    prefix = put({"genome.fa": written(genome()), "broken.fa": b">a\nAC\x00GT\n"})
    dataset = client.register(prefix + "genome.fa").wait(60)
    with pytest.raises(ServiceError, match="'chr77' names no sequence"):
        dataset.partition("count", n=1, selection={"region": "chr77"})
    with pytest.raises(ServiceError, match="overlap must be smaller than window"):
        dataset.partition("residues", window=10, overlap=10)
    with pytest.raises(IndexingFailed, match="sequence 1, byte 5 of the text"):
        client.register(prefix + "broken.fa").wait(60)
