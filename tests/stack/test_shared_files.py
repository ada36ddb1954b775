"""Every shared sample of a record format through HTTP: each slice a valid file, all of them together the sample."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import judges
import pysam
import pytest
from formats import manifest

from slicery import Client

pytestmark = [pytest.mark.stack, pytest.mark.slow]

FORMATS = ("csv", "fasta", "fastq", "jsonl", "text", "vcf")
N_SLICES = (3, 64)


def csv_rows(text: bytes) -> list[Any]:
    """Read rows; the header comes first in each slice, and is looked at as such."""
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        decoded = text.decode("latin-1")
    delimiter = "\t" if decoded.split("\n", 1)[0].count("\t") > decoded.split("\n", 1)[0].count(",") else ","
    return [row for row in csv.reader(io.StringIO(decoded, newline=""), delimiter=delimiter) if row]


def vcf_lines(text: bytes) -> list[Any]:
    """Read record lines, and make sure that htslib can open a file of them."""
    with judges.on_disk(text, ".vcf") as path, pysam.VariantFile(str(path)) as file:
        assert file.header.version.startswith("VCF")
    return [line for line in judges.lines(text) if not line.startswith(b"#")]


READERS: dict[str, Callable[[bytes], Sequence[Any]]] = {
    "csv": csv_rows,
    "fasta": judges.sequences_by_pysam,
    "fastq": judges.reads_by_pysam,
    "jsonl": judges.json_lines,
    "text": judges.lines,
    "vcf": vcf_lines,
}


@pytest.mark.parametrize("name", manifest.files(*FORMATS))
def test_shared_files_arrive_exactly_once(
    client: Client, put: Callable[[dict[str, bytes]], str], name: str, tmp_path: Path
) -> None:
    form = manifest.rows()[name]["format"]
    data = (manifest.FOLDER / name).read_bytes()
    uri = put({Path(name).name: data}) + Path(name).name
    dataset = client.register(uri)
    assert dataset.format == form
    dataset.wait(60)
    read = READERS[form]
    whole = list(read(text_of(data)))
    header = whole[:1] if form == "csv" and dataset.n_records == len(whole) - 1 else []
    assert dataset.n_records == len(whole) - len(header)
    for n in N_SLICES:
        found = []
        for each in dataset.partition("count", n=n):
            (path,) = each.to_file(tmp_path / "slice")
            records = list(read(text_of(path.read_bytes())))
            assert records[: len(header)] == header
            assert len(records) - len(header) == each.count
            assert len(list(each.records())) == each.count
            found += records[len(header) :]
        assert found == whole[len(header) :], n


def text_of(data: bytes) -> bytes:
    """Decompress what is compressed."""
    return judges.gunzipped(data) if data.startswith(b"\x1f\x8b") else data
