"""Make the golden vectors: tickets as the service writes them, and the records that must come out of them.

    python tests/golden/make.py

`objects/` is made when it is not there, and kept: compressors differ from version to version. The vectors
follow from the objects. README.md says how to use them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pysam.bcftools
import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

import judges  # noqa: E402 - from the folder above, also where this is run as a program
import samples  # noqa: E402
from pairing import pairs_by_dnaio  # noqa: E402
from slicing import index_bytes  # noqa: E402

from slicery_service import formats  # noqa: E402
from slicery_service.index import PinnedObject  # noqa: E402
from slicery_service.planning.registry import planner_of  # noqa: E402
from slicery_service.planning.strategies import UNIVERSAL, parse_selection, parse_strategy  # noqa: E402
from slicery_service.record_index import RecordIndex  # noqa: E402
from slicery_service.slicing import RecordFormat, slice_files  # noqa: E402
from slicery_service.sources import Source  # noqa: E402
from slicery_service.tickets import Cutting, Signer, Writer  # noqa: E402
from slicery_workers import indexing  # noqa: E402
from slicery_workers.compression import bgzf as bgzf_text  # noqa: E402
from slicery_workers.compression import gzip as gzip_text  # noqa: E402

OBJECTS = HERE / "objects"
VECTORS = HERE / "vectors"
NOW = datetime(2026, 11, 22, 16, 12, 26, tzinfo=UTC)
FINE = 1000
"""Bytes between marks and between cuts: far fewer than in service, so that small objects have several."""

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Vector:
    """A slice to write: of which objects, cut how, and what it shows."""

    objects: tuple[str, ...]
    strategy: Mapping[str, Any]
    slice: int
    shows: str
    paired: bool = False
    selection: Mapping[str, Any] | None = None

    @property
    def form(self) -> str:
        return {"txt": "text"}.get(suffix := self.objects[0].split(".")[1], suffix)


CASES = {
    "fastq-plain": Vector(("plain.fastq",), {"name": "count", "n": 3}, 1, "one range of a plain object"),
    "fastq-plain-records": Vector(
        ("plain.fastq",), {"name": "records", "per_slice": 5}, 1, "records that are skipped and left out"
    ),
    "fastq-crlf": Vector(("crlf.fastq",), {"name": "count", "n": 2}, 1, "lines that end in CR LF"),
    "fastq-wrapped": Vector(("wrapped.fastq",), {"name": "count", "n": 2}, 0, "reads over several lines"),
    "fastq-gzip-first": Vector(
        ("reads.fastq.gz",), {"name": "count", "n": 2}, 0, "a gzip stream that is cut, and its spill"
    ),
    "fastq-gzip-window": Vector(
        ("reads.fastq.gz",),
        {"name": "count", "n": 2},
        1,
        "a window before the range, and the trailer of the first member replaced",
    ),
    "fastq-gzip-members": Vector(
        ("reads.fastq.gz",), {"name": "records", "per_slice": 40}, 6, "a slice finer than the cuts"
    ),
    "fastq-bgzf": Vector(
        ("reads.fastq.bgz",), {"name": "count", "n": 2}, 0, "blocks, and the spill of the last"
    ),
    "fastq-bgzf-last": Vector(("reads.fastq.bgz",), {"name": "count", "n": 2}, 1, "the last blocks, trimmed"),
    "fastq-mixed": Vector(
        ("plain.fastq", "reads.fastq.bgz"),
        {"name": "count", "n": 1},
        0,
        "two files with decode steps of their own",
    ),
    "fastq-empty": Vector(
        ("plain.fastq",), {"name": "count", "n": 99}, 0, "a slice without records or parts"
    ),
    "fastq-gzip-empty": Vector(
        ("reads.fastq.gz",), {"name": "count", "n": 9999}, 0, "a gzip file without content"
    ),
    "fastq-paired": Vector(
        ("plain.fastq", "mates.fastq.gz"), {"name": "count", "n": 3}, 1, "reads and their mates", paired=True
    ),
    "fastq-paired-empty": Vector(
        ("plain.fastq", "mates.fastq.gz"),
        {"name": "count", "n": 99},
        0,
        "two files without reads",
        paired=True,
    ),
    "text-plain": Vector(("words.txt",), {"name": "count", "n": 3}, 1, "UTF-8 with a byte order mark"),
    "text-latin-1": Vector(("latin-1.txt",), {"name": "count", "n": 2}, 1, "an option of the records step"),
    "text-gzip": Vector(("words.txt.gz",), {"name": "count", "n": 3}, 1, "members of a gzip object"),
    "vcf-header": Vector(("calls.vcf",), {"name": "count", "n": 4}, 2, "a header before the records"),
    "vcf-region": Vector(
        ("calls.vcf",),
        {"name": "count", "n": 1},
        0,
        "records of a region, among others that a step drops",
        selection={"region": "chr2:130-400"},
    ),
    "text-bgzf": Vector(("words.txt.bgz",), {"name": "records", "per_slice": 50}, 2, "lines out of a block"),
}


def make_objects() -> None:
    """Write the objects with independent libraries."""
    reads = samples.write_fastq(samples.illumina_reads(620, seed=71))
    few = samples.write_fastq(samples.illumina_reads(24, seed=72))
    mates = [
        (name.replace(" 1:", " 2:"), bases[:40], quality[:40])
        for name, bases, quality in samples.illumina_reads(24, seed=72)
    ]
    border = reads.rindex(b"@A", 0, 7 * len(reads) // 8) + 100
    words = ("\ufeff" + "".join(f"{i} naïve 漢字 🧬 {i * 7919 % 1000}\n" for i in range(200))).encode()
    contents = {
        "plain.fastq": few,
        "crlf.fastq": few.replace(b"\n", b"\r\n"),
        "wrapped.fastq": samples.wrapped_fastq(samples.illumina_reads(12, seed=73), 60),
        "reads.fastq.gz": gzip.compress(reads[:border], 9, mtime=0)
        + gzip.compress(reads[border:], 9, mtime=0),
        "reads.fastq.bgz": samples.bgzf(reads[: len(reads) // 3].rpartition(b"@A")[0]),
        "mates.fastq.gz": gzip.compress(samples.write_fastq(mates), 9, mtime=0),
        "words.txt": words,
        "calls.vcf": calls(),
        "latin-1.txt": "".join(f"{i} café\n" for i in range(100)).encode("latin-1"),
        "words.txt.gz": samples.members(words, [1500, 1500, 1500]),
        "words.txt.bgz": samples.bgzf(words),
    }
    OBJECTS.mkdir(exist_ok=True)
    for name, content in contents.items():
        if not (OBJECTS / name).exists():
            (OBJECTS / name).write_bytes(content)


def calls() -> bytes:
    """Return a VCF of two contigs: a call every ten bases, some of them deletions."""
    header = '##fileformat=VCFv4.2\n##source=naïve\n##FILTER=<ID=PASS,Description="">\n'
    header += '##INFO=<ID=AT,Number=1,Type=Integer,Description="">\n##contig=<ID=chr1>\n##contig=<ID=chr2>\n'
    header += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    rows = [
        f"{contig}\t{at}\t.\t{'A' * (1 + 12 * (at % 40 == 0))}\tA{'T' * (at % 40 > 0)}\t.\tPASS\tAT={at}\n"
        for contig in ("chr1", "chr2")
        for at in range(10, 1000, 10)
    ]
    return (header + "".join(rows)).encode()


def make_vector(name: str) -> JsonObject:
    """Return a vector: what the service answers, and the records that must come out."""
    vector = CASES[name]
    data = {key: (OBJECTS / key).read_bytes() for key in vector.objects}
    with fine_cuts():
        found = [index_bytes(data[key], vector.form) for key in vector.objects]
    indexes = [index for index, _ in found]
    summary = found[0][1].summary
    options = {name: summary[name] for name in formats.get(vector.form).decoder_options if name in summary}
    strategy = parse_strategy(vector.form, UNIVERSAL, vector.strategy)
    selected = parse_selection(vector.form, formats.get(vector.form).selection, vector.selection)
    registered = {**summary, "paired": vector.paired}
    plan = planner_of(vector.form)(strategy, selected, indexes, 10_000, registered)
    files = slice_files(RecordFormat(vector.form, options), indexes, plan, vector.slice, vector.slice + 1)
    cut = cutting(vector, name, indexes, data, plan.n_slices)
    writer, compact = Writer(cut, signer()), Writer(cut, signer())
    spans = plan.records(vector.slice, vector.slice + 1)
    first, stop = spans[0][0], sum(spans[0])
    records = records_of(vector, data, options)
    return {
        "shows": vector.shows,
        "objects": list(vector.objects),
        "ticket": writer.expanded(vector.slice, files, spans)[0],
        "compact": {
            "head": writer.head(),
            "sources": writer.sources(),
            "slice": compact.compact(vector.slice, files, spans)[0],
        },
        "records": digest(records[first:stop] if vector.selection is None else records),
    }


def cutting(
    vector: Vector, name: str, indexes: Sequence[RecordIndex], data: Mapping[str, bytes], n_slices: int
) -> Cutting:
    compressions = {index.compression for index in indexes}
    pinned = tuple(
        PinnedObject("golden", f"objects/{key}", len(data[key]), etag(data[key]), index.compression)
        for key, index in zip(vector.objects, indexes, strict=True)
    )
    return Cutting(
        partition="p_" + name,
        dataset="d_golden",
        generation=1,
        form=formats.get(vector.form),
        unit=formats.get(vector.form).unit_of({"paired": vector.paired}),
        compression=compressions.pop() if len(compressions) == 1 else "mixed",
        n_slices=n_slices,
        objects=pinned,
    )


def signer() -> Signer:
    """Return a signer whose keys are those of AWS's own examples, at a store that is none."""
    source = Source(
        name="golden",
        endpoint="https://storage.example",
        allow=("golden",),
        credentials="env",
        access_key_env="GOLDEN_ACCESS_KEY",
        secret_key_env="GOLDEN_SECRET_KEY",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDEN_ACCESS_KEY", "AKIAIOSFODNN7EXAMPLE")
        patch.setenv("GOLDEN_SECRET_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        return Signer(source, expires_in=3600, grant="range", now=NOW)


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


@contextmanager
def fine_cuts() -> Iterator[None]:
    """Have marks and cuts lie close to each other."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (gzip_text, bgzf_text):
            patch.setattr(module, "spacing", lambda _size: FINE)
        patch.setattr(indexing, "mark_spacing", lambda _size, _compression: FINE)
        patch.setattr(gzip_text.Budget, "allows", lambda _self, _cost, _offset: True)
        patch.setattr(gzip_text.Budget, "has_room", lambda _self, _offset: True)
        yield


def records_of(vector: Vector, data: Mapping[str, bytes], options: Mapping[str, Any]) -> list[list[str]]:
    """Return all records of the objects, as an independent reader gives them."""
    if vector.form == "vcf":
        return calls_by_pysam(next(iter(data.values())), vector.selection)
    texts = [judges.gunzipped(each) if each[:2] == b"\x1f\x8b" else each for each in data.values()]
    read: Callable[[bytes], Sequence[Any]] = judges.reads_by_pysam
    if vector.paired:
        return [[*first, *second] for first, second in pairs_by_dnaio(*texts)]
    if vector.form == "text":
        return [
            [line.decode(options["encoding"]).removesuffix("\n")]
            for text in texts
            for line in judges.lines(text)
        ]
    return [list(each) for text in texts for each in read(text)]


def calls_by_pysam(content: bytes, selection: Mapping[str, Any] | None) -> list[list[str]]:
    """Return the fixed columns up to ALT of all records, or of those that bcftools finds in a region."""
    with judges.on_disk(content, ".vcf") as path:
        region = ["-t", selection["region"], "--targets-overlap", "1"] if selection else []
        text = pysam.bcftools.view("-H", *region, str(path))
    return [line.split("\t")[:5] for line in str(text).splitlines()]


def digest(records: Sequence[Sequence[str]]) -> JsonObject:
    """Describe records: how many, the outer ones, and a hash over all, fields and records each ended by a line feed."""
    hashed = hashlib.sha256("".join(f"{field}\n" for record in records for field in record).encode())
    return {
        "count": len(records),
        "first": list(records[0]) if records else None,
        "last": list(records[-1]) if records else None,
        "sha256": hashed.hexdigest(),
    }


def main() -> None:
    """Write objects and vectors."""
    make_objects()
    VECTORS.mkdir(exist_ok=True)
    for name in CASES:
        text = json.dumps(make_vector(name), indent=1, ensure_ascii=False)
        (VECTORS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
