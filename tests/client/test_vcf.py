"""The VCF decoder against pysam, and the step region against what bcftools takes for an overlap."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import judges
import pysam
import pytest
import variants
from hypothesis import given
from hypothesis import strategies as st

from slicery import decode
from slicery.decode import ReadFile
from slicery.decoders.vcf import VcfHeader, VcfRecord, decoder
from slicery.errors import DecodeError, InvalidTicket
from slicery.ticket import Part, Records, RecordSpan, Region, Step, Ticket, TicketFile

CALLS = variants.by_pysam(60, 3, seed=9)
HEADER = CALLS[: CALLS.index(b"\n", CALLS.index(b"#CHROM")) + 1]
BODY = CALLS[len(HEADER) :]


def blocks(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


def by_pysam(content: bytes) -> list[dict[str, Any]]:
    """Return what pysam makes of each record."""
    with judges.on_disk(content, ".vcf") as path, pysam.VariantFile(str(path)) as file:
        return [
            {
                "chrom": record.chrom,
                "pos": record.pos,
                "id": record.id,
                "ref": record.ref,
                "alt": record.alts or (),
                "qual": record.qual,
                "filter": tuple(record.filter),
                "info": {name: record.info[name] for name in record.info}
                | ({"END": record.stop} if "<DEL>" in record.alts else {}),  # which pysam hides
                "format": tuple(record.format),
                "samples": {
                    name: {"GT": genotype_of(sample), "AD": sample["AD"]}
                    for name, sample in record.samples.items()
                },
            }
            for record in file
        ]


def genotype_of(sample: Any) -> str:
    return "/".join("." if allele is None else str(allele) for allele in sample["GT"])


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_columns_are_what_pysam_reads(size: int, end: bytes) -> None:
    content = BODY.replace(b"\n", end)
    found = list(decoder.records(blocks(content, size), {}, HEADER.replace(b"\n", end)))
    expected = by_pysam(CALLS)
    assert [{name: getattr(record, name) for name in expected[0]} for record in found] == expected
    assert [record.line for record in found] == BODY.decode().splitlines()


def test_records_survive_a_pickle_and_compare_by_their_lines() -> None:
    found = list(decoder.records([BODY], {}, HEADER))
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert len(set(found)) == len(set(BODY.splitlines()))
    assert again[3].samples == found[3].samples
    assert found[0] != found[0].line
    assert "VcfRecord" in repr(found[0])


def test_missing_values_are_none_and_numbers_that_are_none_stay_text() -> None:
    header = VcfHeader(HEADER.decode())
    record = VcfRecord(
        "1\t5\t.\tA\t.\t.\t.\tAC=x,.,3;AF=.;DB;;OTHER=a,b\tGT:AD:X\t0/1:1,2:9\t.\t./.:.", header
    )
    assert (record.id, record.alt, record.qual, record.filter) == (None, (), None, ())
    assert record.info == {"AC": ("x", None, 3), "AF": (None,), "DB": True, "OTHER": "a,b"}
    assert record.samples == {
        "HG00000": {"GT": "0/1", "AD": (1, 2), "X": "9"},
        "HG00001": {"GT": None, "AD": None, "X": None},
        "HG00002": {"GT": "./.", "AD": (None,), "X": None},
    }


def test_a_record_alone_has_text_and_numbered_samples() -> None:
    record = decoder.parse(BODY.splitlines(keepends=True)[0], {})
    assert list(record.samples) == ["0", "1", "2"]
    assert isinstance(record.info["AC"], str)
    assert decoder.parse(b"1\t5\t.\tA\tC\t.\t.\t.\r\n", {}).samples == {}


def test_a_line_with_too_few_columns_is_an_error_where_it_is_read() -> None:
    good, bad = decoder.records([b"1\t5\t.\tA\tC\t.\t.\t.\n1\t6\n"], {})
    assert good.pos == 5
    with pytest.raises(DecodeError, match=r"8 columns or more, found 2 in '1\\t6'"):
        _ = bad.pos


@given(st.lists(st.sampled_from([b"a\tb", b"", b"\r", b"c"]), max_size=9), st.integers(1, 9), st.booleans())
def test_spans_joined_are_the_text(lines: list[bytes], size: int, has_end: bool) -> None:
    text = b"x\t1\n" + b"\n".join(lines) + (b"\n" if has_end else b"")
    spans = list(decoder.spans(blocks(text, size), {}))
    assert b"".join(spans) == text
    assert len(spans) == sum(bool(line.strip()) for line in text.split(b"\n"))


def line(pos: int, ref: str = "A", alt: str = "C", info: str = ".", *calls: str) -> bytes:
    return "\t".join(["1", str(pos), ".", ref, alt, ".", ".", info, *calls]).encode() + b"\n"


OVERLAPS: list[tuple[bytes, int, int]] = [
    (line(10), 9, 10),
    (line(10, "ACG"), 9, 12),
    (line(10, "A", "C", "END=20"), 9, 20),
    (line(10, "A", "C", "XEND=30;END=20"), 9, 20),
    (line(10, "ACGTA", "C", "END=12"), 9, 14),
    (line(10, "A", "C", "END=3"), 9, 10),
    (line(10, "A", "<DEL>", "SVLEN=-7"), 9, 16),
    (line(10, "A", "<DUP:TANDEM>", "SVLEN=7"), 9, 16),
    (line(10, "A", "<INS>", "SVLEN=7"), 9, 10),
    (line(10, "A", "C,<CNV>,<INS>", "SVLEN=90,7,90"), 9, 16),
    (line(10, "A", "C", "SVLEN=7"), 9, 10),
    (line(10, "A", "<DEL>", "SVLEN=.;END=."), 9, 10),
    (line(10, "A", "<NON_REF>", ".", "GT:LEN", "0:5", "0:8", "0"), 9, 17),
    (line(10, "A", "G,<*>", ".", "LEN", "5"), 9, 14),
    (line(10, "A", "G", ".", "LEN", "5"), 9, 10),
    (line(10, "A", "<*>", ".", "GT:LENX", "0:5"), 9, 10),
    (line(10, "A", "<*>", "."), 9, 10),
    (line(0), -1, 0),
]


@pytest.mark.parametrize(("record", "start", "stop"), OVERLAPS, ids=lambda each: str(each)[:60])
def test_records_overlap_from_their_position_to_their_end(record: bytes, start: int, stop: int) -> None:
    for at in range(25):
        for step in (Region("1", at, at + 1), Region("2", 0, 100, (("1", at, at + 1),))):
            kept = list(decoder.select([record], step, {}, b""))
            assert bool(kept) == (start <= at < stop), at
    assert not list(decoder.select([record], Region("2"), {}, b""))
    assert list(decoder.select([record], Region("1"), {}, b""))
    assert bool(list(decoder.select([record], Region("1", 0), {}, b""))) == (stop > 0)


def test_an_end_counts_only_where_the_header_declares_a_number() -> None:
    record = line(10, "A", "<DEL>,<*>", "END=20;SVLEN=30", "LEN", "40")
    declared = variants.header()
    for name, stop in (("END", 20), ("SVLEN", 39), ("LEN", 49)):
        other = [
            each for each in declared.splitlines(keepends=True) if "ID=" not in each or f"ID={name}," in each
        ]
        for header, furthest in (
            ("".join(other), stop),
            ("".join(other).replace("Type=Integer", "Type=String"), 10),
        ):
            kept = [
                at
                for at in range(60)
                if list(decoder.select([record], Region("1", at, at + 1), {}, header.encode()))
            ]
            assert kept == list(range(9, furthest))


def ticket(content: bytes, steps: tuple[Step, ...], n_records: int) -> Ticket:
    """Return a ticket of one inline file, as it travels."""
    made = Ticket(
        partition="p",
        index=0,
        count=1,
        dataset="d",
        generation=1,
        format="vcf",
        compression="none",
        records=RecordSpan("record", 0, n_records),
        files=(TicketFile("calls.vcf", "text/x-vcf", (Part.inline(content),)),),
        decode=steps,
        expires_at=datetime(2100, 1, 1, tzinfo=UTC),
    )
    return Ticket.from_json(json.loads(json.dumps(made.to_json())))


def reading(content: bytes) -> ReadFile:
    """Give the bytes of each file."""

    def read_file(_ordinal: int) -> Generator[bytes, None, None]:
        yield content

    return read_file


LINES = BODY.splitlines(keepends=True)


@pytest.mark.parametrize(("skip", "take"), [(0, None), (5, 20), (3, None)])
def test_a_slice_gives_the_records_of_its_regions_in_every_way(skip: int, take: int | None) -> None:
    region = Region("1", 120, 160, (("2", None, None),))
    own = LINES[skip : None if take is None else skip + take]
    read = ticket(CALLS, (Records("vcf", skip, take, {}, len(HEADER)), region), len(own))
    wanted = [
        each for each in own if each.startswith(b"2") or list(decoder.select([each], region, {}, HEADER))
    ]
    assert 0 < len(wanted) < len(own)
    assert [record.line.encode() + b"\n" for record in decode.records(read, reading(CALLS))] == wanted
    assert b"".join(decode.record_bytes(read, reading(CALLS))) == HEADER + b"".join(wanted)
    assert not decode.is_exact(read.decode)


def test_the_number_of_records_is_checked_before_regions_drop_some() -> None:
    steps = (Records("vcf", header=len(HEADER)), Region("1"))
    assert len(list(decode.records(ticket(CALLS, steps, 60), reading(CALLS)))) == 20
    with pytest.raises(DecodeError, match="expected 61 records, found 60"):
        list(decode.records(ticket(CALLS, steps, 61), reading(CALLS)))


def test_formats_without_a_genome_have_no_regions() -> None:
    read = ticket(b"a\n", (Records("text"), Region("1")), 1)
    with pytest.raises(InvalidTicket, match=r"no step region behind text records"):
        list(decode.records(read, reading(b"a\n")))


def test_a_slice_is_read_as_it_comes() -> None:
    rng = random.Random(1)
    lines = [variants.line(rng, "chr1", i + 1).encode() for i in range(50)]
    given_out = 0

    def feed() -> Any:
        nonlocal given_out
        for each in lines:
            given_out += 1
            yield each

    found = decoder.select(decoder.spans(feed(), {}), Region("chr1"), {}, variants.header().encode())
    next(found)
    assert given_out <= 3
