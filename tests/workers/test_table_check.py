"""The acceptance test of formats of tables: content with a small plug-in, and not fooled when it is broken."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from plugins import CACHES

from slicery_workers.testing import Example, FormatProblem, check_format

MODULE = '''
"""Strips: a header of 8 bytes, `STRP` and the number of cells, then cells of 4 bytes each."""

from typing import Literal

import numpy as np
from pydantic import Field

from slicery.errors import DecodeError
from slicery.loading import Loaded
from slicery.ticket import Records
from slicery_service.byterange import ByteRange
from slicery_service.errors import MalformedRecord
from slicery_service.formats import Format
from slicery_service.planning.plan import FilePlan
from slicery_service.planning.records import check_slices
from slicery_service.planning.strategies import Request
from slicery_service.wrapping.parts import SliceFile
from slicery_workers.tables import Found, ObjectTables, Picture, Share, TableIndexer

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364600000000600023081d02f0000000049454e44ae426082"
)


class Bands(Request):
    name: Literal["bands"] = "bands"
    n: int = Field(ge=1, description="number of bands", examples=[4])
    overlap: int = Field(default=0, ge=0, description="cells that neighbours share")


class Span(Request):
    after: int | None = Field(default=None, ge=0, description="the cells from this one on", examples=[5])


form = Format(
    name="strip", kind="chunks", unit="cell", description="strips", suffixes=(".strp",), media_type="x/strip",
    looks_like=lambda head: head.startswith(b"STRP"), strategies={"bands": Bands}, selection=Span,
    universal=("count",),
)


class Indexer(TableIndexer):
    format, kind = "strip", "chunks"

    def divide(self, objects, options, most_bytes):
        return [
            Share(number, at, min(each.size, at + most_bytes))
            for number, each in enumerate(objects)
            for at in range(0, max(1, each.size), most_bytes)
        ]

    def scan(self, objects, share, options):
        return {"n": np.array([share.stop - share.start])}

    def join(self, objects, scans, options):
        list(scans)
        found = []
        for each in objects:
            head = each.read(0, min(8, each.size))
            if len(head) < 8 or head[:4] != b"STRP":
                raise MalformedRecord(f"expected STRP and a number at byte 0, found {head!r}")
            n = int.from_bytes(head[4:], "little")
            if each.size != 8 + 4 * n:
                raise MalformedRecord(f"expected {8 + 4 * n} bytes, found {each.size}")
            found.append(ObjectTables({"n": np.array([n])}, n))
        return Found(found, {"mean": 1.5}, {"dot": Picture("image/png", PNG, "a dot")})


class Plan(FilePlan):
    def __init__(self, spans):
        self.spans = spans

    n_slices = property(lambda self: len(self.spans))
    n_records = property(lambda self: sum(stop - start for _, start, stop in self.spans))
    size_bytes = property(lambda self: 4 * self.n_records)

    def records(self, first, stop):
        return [(low, high - low) for _, low, high in self.spans[first:stop]]

    def files(self, first, stop):
        return [(self.file(*span),) for span in self.spans[first:stop]]

    def file(self, number, low, high):
        body = (ByteRange(8 + 4 * low, 8 + 4 * high),) if high > low else ()
        head = b"STRP" + (high - low).to_bytes(4, "little")
        return SliceFile(number, (head,), body, (Records("strip"),))


def plan(strategy, selection, indexes, max_slices, options):
    n = check_slices(strategy.n, max_slices)
    (index,) = indexes
    low, high = min(getattr(selection, "after", None) or 0, index.n_records), index.n_records
    overlap = getattr(strategy, "overlap", 0)
    edges = [low + (high - low) * i // n for i in range(n + 1)]
    return Plan([(0, a, min(high, b + overlap)) for a, b in zip(edges, edges[1:])])


class Decoder:
    unit = "cell"

    def load(self, files):
        cells = []
        for file in files:
            if len(file.data) != 8 + 4 * int.from_bytes(file.data[4:8], "little"):
                raise DecodeError("expected as many cells as the header says")
            cells.append(np.frombuffer(file.data[8:], "<i4"))
        value = np.concatenate(cells)
        return Loaded(value, len(value))

    def records(self, value):
        return value

    def items(self, value):
        return (cell.tobytes() for cell in value)

    def write(self, value, path):
        path.write_bytes(b"STRP" + len(value).to_bytes(4, "little") + value.tobytes())
        return [path]


indexer, decoder = Indexer(), Decoder()
'''

POINTS = """[slicery.formats]
strip = slicery_strip:form
[slicery.indexers]
strip = slicery_strip:indexer
[slicery.planners]
strip = slicery_strip:plan
[slicery.decoders]
strip = slicery_strip:decoder
"""

SAMPLE = b"STRP" + struct.pack("<I", 40) + b"".join(struct.pack("<i", 1000 + i * i) for i in range(40))


@contextmanager
def installed(folder: Path, module: str) -> Iterator[None]:
    """Put the plug-in where an installer would."""
    (folder / "slicery_strip.py").write_text(module)
    information = folder / "slicery_strip-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: slicery-strip\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(POINTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        _forget()
        yield
    _forget()


def _forget() -> None:
    for cached in CACHES:
        cached.cache_clear()
    sys.modules.pop("slicery_strip", None)


def cells(contents: Mapping[str, bytes]) -> Iterator[bytes]:
    for data in contents.values():
        yield from (struct.pack("<i", each) for (each,) in struct.iter_unpack("<i", data[8:]))


def test_the_plug_in_keeps_its_promises(tmp_path: Path) -> None:
    with installed(tmp_path, MODULE):
        checked = check_format("strip", SAMPLE, read=cells)
        assert (checked.unit, checked.n_records, checked.untried) == ("cell", 40, ())
        assert (checked.strategies, checked.selections) == (("bands", "count"), ("after",))
        assert len(checked.stretches) == 2
        assert checked.n_slices > 100
        path = tmp_path / "a.strp"
        path.write_bytes(SAMPLE)
        assert check_format("strip", {"folder/a.strp": path}).n_records == 40
        with pytest.raises(FormatProblem, match="fail the example's check"):
            check_format(
                "strip", path, examples=[Example({"name": "count", "n": 2}, check=lambda slices, _: False)]
            )
        with pytest.raises(FormatProblem, match="the planner refuses it"):
            check_format("strip", path, examples=[Example({"name": "count", "n": 0})])


BODY, FILES = "ByteRange(8 + 4 * low, 8 + 4 * high)", "return [(self.file(*span),) for"
BREAKAGES = {
    "a slice loses its last cell": (BODY, "ByteRange(8 + 4 * low, 4 + 4 * high)", "the decoder refuses it"),
    "slices overlap": ('getattr(strategy, "overlap", 0)', "1 if n > 2 else 0", "are not expected"),
    "cells are lost": ("(0, a, min(high, b + overlap))", "(0, min(a + (n > 2), b), b)", "are missing"),
    "a selection is cut in two ways": (
        "    edges = [low +",
        "    low += selection is not None and n > 1\n    edges = [low +",
        "are missing",
    ),
    "plans differ": (
        "    return Plan(",
        "    COUNTER.append(1)\n    return Plan([(0, 0, 0)] * len(COUNTER) + ",
        "planned twice, the tickets differ",
    ),
    "counts differ": ("return [(low, high - low)", "return [(low, 0)", "tells of 40 records"),
    "a slice has no file": (
        FILES,
        "return [(self.file(*span),) if span[1] < span[2] else () for",
        "slice 0 has no file",
    ),
    "a slice is no file": (FILES, "return [span for", "its tickets cannot be made"),
    "more slices than allowed": (
        "check_slices(strategy.n, max_slices)",
        "strategy.n",
        "raise InvalidStrategy",
    ),
    "the planner crashes": (
        "(index,) = indexes",
        "(index,) = indexes; 1 // (strategy.n - 7)",
        "the planner crashes with ZeroDivisionError",
    ),
    "tables depend on shares": (
        "        list(scans)\n",
        "        scans = list(scans)\n",
        "the table n of object 0 differs",
    ),
    "the summary is not JSON": ("1.5", 'float("nan")', "the summary cannot be written as JSON"),
    "the picture is none": ('"image/png", PNG,', '"image/png", PNG[:20],', "picture dot cannot be opened"),
    "the picture is too large": ('"image/png", PNG,', '"image/png", PNG + bytes(300_000),', "at most"),
    "an index is refused for nothing": ("if each.size != 8 + 4 * n:", "if True:", "the sample is refused"),
    "the indexer crashes": (
        'raise MalformedRecord(f"expected STRP',
        'raise ValueError(f"',
        "the indexer crashes with",
    ),
    "a refusal names no place": (
        'f"expected {8 + 4 * n} bytes, found {each.size}"',
        '"another size"',
        "without telling where",
    ),
    "the decoder crashes": ("cells = []", "cells = [files[0].data[10_000]]", "the decoder crashes with"),
    "items lack a record": (
        "for cell in value)",
        "for cell in value[1:])",
        "1 of 40 are not|are missing|not expected",
    ),
    "it writes nothing": (
        "        path.write_bytes(",
        "        (lambda _: None)(",
        "write says that it wrote",
    ),
    "detection knows nothing": ('head.startswith(b"STRP")', "False", "does not recognise the sample"),
    "the units differ": ('    unit = "cell"', '    unit = "box"', "calls a record 'cell', the decoder 'box'"),
    "the kinds differ": (
        'format, kind = "strip", "chunks"',
        'format, kind = "strip", "tiles"',
        "index is of chunks",
    ),
    "tickets are large": ('head = b"STRP" +', 'head = bytes(70_000) + b"STRP" +', "inline on average"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_broken_plug_ins_are_told(breakage: str, tmp_path: Path) -> None:
    old, new, told = BREAKAGES[breakage]
    assert MODULE.count(old) == 1
    broken = MODULE.replace(old, new)
    if breakage == "plans differ":
        broken = broken.replace("class Bands(", "COUNTER = []\n\n\nclass Bands(")
    if breakage == "tables depend on shares":
        broken = broken.replace('{"n": np.array([n])}', '{"n": np.array([n] * len(scans))}')
    with installed(tmp_path, broken), pytest.raises(FormatProblem, match=told):
        check_format("strip", SAMPLE, read=cells)
