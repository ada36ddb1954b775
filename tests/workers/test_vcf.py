"""The VCF scanner against plain Python, wherever blocks and stretches are cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.errors import MalformedRecord
from slicery_service.positions import RUN, SEVERAL, UNKNOWN, Positions, read_positions
from slicery_workers.scanners import TablePiece, vcf
from slicery_workers.scanners.vcf_positions import Runs, describe, halved, join_summaries, join_tables

from .test_lines import blocks_of, sizes
from .test_scanners import borders, scan, scan_in_stretches, scan_stretch

HEADER = b"##fileformat=VCFv4.4\n##contig=<ID=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts\n"

alleles = st.sampled_from(
    ["C", "<DEL>", "<DUP:X>", "<DELX>", "<*>", "<NON_REF>", "C,<INV>", "<CNV>,<INS>", "."]
)
infos = st.lists(
    st.sampled_from(["END=9", "END=55", "SVLEN=7", "SVLEN=-30,4", "XEND=99", "SVLENX=99", "AC=1", "DB", "."]),
    min_size=1,
    max_size=4,
)
calls = st.sampled_from(["GT\t0/1", "LEN\t44", "GT:LEN\t0/1:33", "GT:LEN\t.", "GT:LENX\t0:99"])
lines = st.builds(
    lambda contig, pos, ref, alt, info, call: (
        f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t{';'.join(info)}\t{call}"
    ),
    st.sampled_from(["1", "2", "chr10", "漢"]),
    st.integers(0, 60),
    st.sampled_from(["A", "ACGTACGT"]),
    alleles,
    infos,
    calls,
)
texts = st.builds(
    lambda found, end, last: (HEADER + "".join(each + "\n" for each in found).encode())[
        : None if last else -1
    ].replace(b"\n", end),
    st.lists(lines, max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)


def end_of(line: str) -> int:
    """Return how far a record reaches at most, read column by column."""
    _, pos, _, ref, alt, _, _, info, keys, call = line.rstrip("\r").split("\t")
    start, ends = int(pos) - 1, [int(pos) - 1 + len(ref)]
    for field in info.split(";"):
        name, _, value = field.partition("=")
        if name == "END":
            ends.append(int(value))
        if name == "SVLEN":
            pairs = zip(value.split(","), alt.split(","), strict=False)
            ends += [start + abs(int(v)) for v, a in pairs if a[:5] in ("<DEL>", "<DUP:", "<INV>", "<CNV>")]
    if {"<*>", "<NON_REF>"} & set(alt.split(",")):
        values = dict(zip(keys.split(":"), call.split(":"), strict=False))
        ends.append(start + int(values.get("LEN", "0")))
    return max(ends)


def expected(text: bytes) -> tuple[list[int], dict[str, list[int]]]:
    """Return where records start, and for each contig [records, first, last, low, high, far]."""
    starts, contigs, at = [], {}, 0
    for line in text.split(b"\n"):
        if line.strip(b"\r") and not line.startswith(b"#"):
            record = line.decode()
            contig, pos, *_ = record.split("\t")
            low, far, number = int(pos) - 1, end_of(record), len(starts)
            found = contigs.setdefault(contig, [0, number, number, low, low, far])
            contigs[contig] = [
                found[0] + 1,
                found[1],
                number,
                min(found[3], low),
                max(found[4], low),
                max(found[5], far),
            ]
            starts.append(at)
        at += len(line) + 1
    return starts, contigs


def as_rows(found: Positions) -> dict[str, list[int]]:
    return {name: row for name, *row in found.contigs}


def check_runs(found: Positions, text: bytes) -> None:
    """Each run tells no less than where its records lie, and of single ones precisely that."""
    records = [line.decode() for line in text.split(b"\n") if line.strip(b"\r") and not line.startswith(b"#")]
    at = 0
    for run in found.runs:
        own = records[at : at + int(run["n"])]
        at += int(run["n"])
        contigs = {line.split("\t")[0] for line in own}
        name = found.contigs[run["contig"]].name if run["contig"] != SEVERAL else None
        assert contigs == {name} or (name is None and len(contigs) > 1)
        starts = [int(line.split("\t")[1]) - 1 for line in own]
        assert (run["low"], run["low"] + run["high"]) == (min(starts), max(starts))
        assert run["low"] + run["far"] == max(map(end_of, own))
    assert at == len(records)


@given(texts, sizes, st.sampled_from([1, 50, 300]))
def test_records_and_their_places_are_found_however_blocks_are_cut(
    text: bytes, sizes: list[int], run: int
) -> None:
    starts, contigs = expected(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vcf, "RUN_BYTES", run)
        scanner = vcf.scanner({}, stretch=False, first=True)
        found = [scanner.feed(block)[0] for block in blocks_of(text, sizes)]
        found.append(scanner.finish()[0])
    ending = scanner.endings()[0]
    positions = read_positions(ending.tables)
    assert np.concatenate(found).tolist() == starts
    assert ending.preamble == text[: starts[0] if starts else len(text)]
    assert as_rows(positions) == contigs
    check_runs(positions, text)


PLAIN = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\n" + b"".join(
    b"%s\t%d\trs%d\tAC\tA,T\t50\tPASS\tDP=%d;AF=0.5\tGT:AD\t0/1:%s\n" % (contig, n**9, n, n, b"9" * (n % 90))
    for contig in (b"chr1", b"chr10")
    for n in range(1, 12)
)
changes = st.lists(
    st.tuples(
        st.integers(PLAIN.index(b"\n") + 1, len(PLAIN) - 1), st.sampled_from(list(b"\t\n\r\0<>,;=:.0x#"))
    ),
    max_size=3,
)


@given(changes)
def test_plain_records_are_read_at_once_as_they_are_byte_by_byte(changed: list[tuple[int, int]]) -> None:
    text = bytearray(PLAIN)
    for at, byte in changed:
        text[at] = byte
    whole, by_bytes = (outcome(bytes(text), size) for size in (len(text), 1))
    assert whole == by_bytes


def outcome(text: bytes, size: int) -> Any:
    """Return all that a scanner finds in blocks of a size, or what it says of them."""
    scanner = vcf.scanner({}, stretch=False, first=True)
    try:
        found = [scanner.feed(block)[0] for block in blocks_of(text, [size])]
        found.append(scanner.finish()[0])
    except MalformedRecord as problem:
        return problem.detail
    ending = scanner.endings()[0]
    tables = {name: table.tolist() for name, table in ending.tables.items()}
    return np.concatenate(found).tolist(), ending.preamble, ending.summary, tables


@given(texts, borders, sizes)
def test_stretches_join_to_what_one_pass_finds(text: bytes, lengths: list[int], sizes: list[int]) -> None:
    starts, contigs = expected(text)
    assert scan_in_stretches(vcf.scanner, text, lengths, sizes) == starts
    assert scan(vcf.scanner, text, sizes) == starts
    edges = [0, *(edge for edge in np.cumsum(lengths or [1]).tolist() if edge < len(text)), len(text)]
    pieces: list[TablePiece] = []
    summaries: list[Any] = []
    state = n_records = 0
    for start, stop in pairwise(edges):
        known, endings = scan_stretch(vcf.scanner, text, start, stop, sizes)
        pieces.append(TablePiece(endings[state].tables, n_records, start))
        summaries.append(endings[state].summary)
        n_records += len(known.get(state, []))
        state = endings[state].state
    whole = vcf.scanner({}, stretch=False, first=True)
    whole.feed(np.frombuffer(text, np.uint8))
    whole.finish()
    tables = join_tables(pieces)
    positions = read_positions(tables)
    assert as_rows(positions) == contigs
    assert join_summaries(summaries) == whole.endings()[0].summary
    assert describe(tables) == describe(whole.endings()[0].tables)
    check_runs(positions, text)


@given(texts, st.data())
def test_a_broken_record_is_refused_wherever_it_is_cut(text: bytes, data: st.DataObject) -> None:
    starts, _ = expected(text)
    if not starts:
        return
    number = data.draw(st.integers(0, len(starts) - 1))
    broken = bytearray(text)
    broken[text.index(b"\t", starts[number])] = ord(" ")
    with pytest.raises(MalformedRecord, match=f"record {number + 1} at byte {starts[number]:,} "):
        scan(vcf.scanner, bytes(broken), data.draw(sizes))


@given(
    st.lists(
        st.tuples(
            st.integers(-1, 1 << 40), st.integers(0, 1 << 34), st.integers(0, 1 << 34), st.integers(0, 2)
        ),
        min_size=1,
        max_size=9,
    )
)
def test_halved_runs_tell_no_less(found: list[tuple[int, int, int, int]]) -> None:
    rows = [(1, contig, low, low + min(high, far), low + max(high, far)) for low, high, far, contig in found]
    runs = Runs(1)
    runs.add(np.array(rows, np.int64))
    whole = runs.closed(np.zeros(100, np.int64))
    half = halved(whole)
    assert half["n"].sum() == len(rows)
    for i, run in enumerate(half):
        own = rows[2 * i : 2 * i + 2]
        assert run["low"] == min(row[2] for row in own)
        for name, column in (("high", 3), ("far", 4)):
            assert run[name] == UNKNOWN or run["low"] + run[name] == max(row[column] for row in own)
        assert run["contig"] == (own[0][1] if len({row[1] for row in own}) == 1 else SEVERAL)


def test_many_runs_become_longer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slicery_workers.scanners.vcf_positions.MOST_RUNS", 10)
    monkeypatch.setattr(vcf, "RUN_BYTES", 1)
    scanner = vcf.scanner({}, stretch=False, first=True)
    scanner.feed(np.frombuffer(HEADER, np.uint8))
    for i in range(500):
        scanner.feed(np.frombuffer(b"1\t%d\t.\tA\tC\t.\t.\t.\tGT\t0/1\n" % i, np.uint8))
    scanner.finish()
    runs = scanner.endings()[0].tables["runs"]
    assert runs.dtype == RUN
    assert 4 < len(runs) <= 12
    assert runs["n"].sum() == 500
