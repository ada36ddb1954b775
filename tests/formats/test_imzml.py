"""imzML under every layout and strategy: no spectrum lost, doubled or altered, as pyimzml and the generators see it."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from slicery.decoders.imzml_table import ArrayType, Layout, Places, SpectrumType, unpack
from slicery_service import formats
from slicery_service.byterange import ByteRange
from slicery_service.errors import InvalidRequest, InvalidStrategy, MalformedRecord
from slicery_service.planning.registry import planner_of
from slicery_service.planning.strategies import Count
from slicery_service.table_index import TableIndex
from slicery_service.wrapping.imzml import BRIDGED_BYTES, fold, ranges_of, starts_at
from slicery_workers.indexers import imzml_image, imzml_spectra
from slicery_workers.reader import BLOCK_BYTES, ObjectReader
from slicery_workers.registry import indexer_of
from slicery_workers.tables import Share, SourceObject, TableIndexer
from slicery_workers.testing import check_format
from slicery_workers.testing.tables import TableDataset

from . import manifest
from .imzml_samples import (
    LAYOUTS,
    OLD_TERMS,
    Pair,
    by_hand,
    by_pyimzml,
    item,
    spectra_of,
    written_by_pyimzml,
)

N_SLICES = (1, 2, 3, 7, 64, 200)
KNOWN_TO_PYIMZML = {"float32", "float64", "int32", "int64"}


def dataset(pair: Pair, options: Mapping[str, Any] | None = None) -> TableDataset:
    return TableDataset.of("imzml", pair.contents, options)


def items(
    held: TableDataset, strategy: Mapping[str, Any], selection: Mapping[str, Any] | None = None
) -> list[bytes]:
    """Return the spectra of all slices, and make sure that the plan tells how many each holds."""
    plan, found = held.plan(strategy, selection), []
    tickets = held.tickets(plan)
    for ticket in tickets:
        found.append(list(held.items(ticket)))
    assert len(tickets) == plan.n_slices
    assert [count for _, count in plan.records(0, plan.n_slices)] == [len(each) for each in found]
    return [each for slice_items in found for each in slice_items]


def check(pair: Pair, *, counts: Sequence[int] = N_SLICES) -> TableDataset:
    """Cut a pair in many ways; every time all of its spectra must come, once and in order."""
    held, wanted = dataset(pair), pair.items
    assert held.found.n_records == len(wanted)
    for n in counts:
        assert items(held, {"name": "count", "n": n}) == wanted
    for per_slice in (1, 2, max(1, len(wanted) // 3), len(wanted) + 9):
        assert items(held, {"name": "spectra", "per_slice": per_slice}) == wanted
        assert items(held, {"name": "records", "per_slice": per_slice}) == wanted
    for per_slice in (100, 5000, 1 << 40):
        assert items(held, {"name": "bytes", "per_slice": per_slice}) == wanted
    return held


@pytest.mark.parametrize("name", [each for each in manifest.files("imzml") if each.endswith(".imzML")])
def test_shared_files_arrive_exactly_once(name: str) -> None:
    path = manifest.FOLDER / name
    imzml, ibd = path.read_bytes(), path.with_suffix(".ibd").read_bytes()
    held = check(Pair(path.stem, imzml, ibd, by_pyimzml(imzml, ibd)))
    assert held.found.summary["instrument"] == "LTQ FT Ultra"
    assert held.found.summary["polarity"] == "negative"
    assert held.found.summary["pixel_size_um"] == [100.0, 100.0]


@pytest.mark.parametrize("mode", ["continuous", "processed", "auto"])
@pytest.mark.parametrize(
    ("mz", "intensity"), [(np.float64, np.float32), (np.float32, np.float64), (np.int32, np.int64)]
)
def test_what_pyimzml_writes_arrives_exactly_once(mode: str, mz: Any, intensity: Any) -> None:
    spectra = [each for each in spectra_of(60, same=mode == "continuous") if len(each[1])]
    pair = written_by_pyimzml("run", spectra, mode=mode, mz=mz, intensity=intensity, polarity="positive")
    assert [item(*each) for each in by_pyimzml(pair.imzml, pair.ibd)] == pair.items
    held = check(pair)
    assert held.found.summary["polarity"] == "positive"
    assert held.found.summary["types"] == [{"mz": np.dtype(mz).name, "intensity": np.dtype(intensity).name}]


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_may_lie_anywhere(layout: str, depth: int, same: bool) -> None:
    pair = by_hand("run", spectra_of(90, same=same, depth=depth), layout=layout)
    assert [item(*each) for each in by_pyimzml(pair.imzml, pair.ibd)] == pair.items
    held = check(pair)
    assert held.indexes[0].tables["rows"].shape[1] <= 16


@pytest.mark.parametrize("packed", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_may_be_compressed(layout: str, packed: tuple[bool, bool]) -> None:
    held = check(by_hand("run", spectra_of(70), layout=layout, packed=packed), counts=(1, 7, 200))
    assert held.indexes[0].tables["rows"].shape[1] <= 16


@pytest.mark.parametrize("mz", ["float64", "float32", "int16"])
@pytest.mark.parametrize("intensity", ["float32", "float64", "int8", "int16", "int32", "int64"])
def test_values_may_be_of_any_type(mz: str, intensity: str) -> None:
    spectra = spectra_of(40, dtypes=(mz, intensity))
    check(by_hand("run", spectra, layout="padded", terms=OLD_TERMS), counts=(3,))
    check(by_hand("run", spectra), counts=(7,))
    if {mz, intensity} <= KNOWN_TO_PYIMZML:
        pair = by_hand("run", spectra)
        assert [item(*each) for each in by_pyimzml(pair.imzml, pair.ibd)] == pair.items


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_spectra_are_cut_as_well(n: int) -> None:
    held = check(by_hand("run", spectra_of(n)))
    assert held.found.n_records == n


def odd(text: str) -> str:
    """Write the same XML oddly: prefixes, quotes, blanks, comments, CDATA and instructions full of tags."""
    text = re.sub(r"<(/?)([a-zA-Z])", r"<\1ims:\2", text).replace("xmlns=", "xmlns:ims=")
    text = re.sub(
        r'accession="([^"]*)" name="([^"]*)" value="([^"]*)"',
        r"""value = '\3'  name="a > b"\n accession='\1'""",
        text,
    )
    noise = '<!-- <spectrum> --- <cvParam accession="IMS:1000050" value="9"/> -->'
    noise += "<?pi <spectrum> ?><![CDATA[<spectrum>]]>"
    text = text.replace("<ims:scanList", f"{noise}<ims:scanList").replace(
        "<ims:binary/>", "<ims:binary></ims:binary\n>"
    )
    text = text.replace("</ims:spectrum>", "</ims:spectrum >\r\n<!---->").replace(
        "<ims:run", "<!-- <spectrumList> --><ims:run"
    )
    return text.replace("</ims:mzML>", "</ims:mzML>\n<!-- the end -->").replace("some name", "n\xe4me")


@pytest.mark.parametrize("block", [97, 1009, 1 << 20])
def test_xml_may_be_written_oddly_and_is_read_in_any_blocks(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imzml_spectra, "BLOCK_BYTES", block)
    monkeypatch.setattr(imzml_spectra, "_ROWS", 7)
    spectra = spectra_of(50, depth=1)
    plain, pair = by_hand("run", spectra), by_hand("run", spectra, style=odd)
    assert len(pair.imzml) > len(plain.imzml)
    check(pair, counts=(1, 7))
    found, expected = dataset(pair), dataset(plain)
    assert (found.indexes[0].tables["rows"] == expected.indexes[0].tables["rows"]).all()
    for stray in ("\n<indexedmzML><mzML", "\ufeff<?xml"):
        text = pair.imzml.decode("latin-1")
        old = "<ims:mzML" if "mzML" in stray else "<?xml"
        new = stray.replace("<mzML", "<ims:mzML") if "mzML" in stray else stray
        imzml = text.replace(old, new, 1).replace("ISO-8859-1", "UTF-8", 1).encode()
        check(replace(pair, imzml=imzml), counts=(2,))


def test_groups_may_hold_coordinates_and_what_they_say_is_overruled_in_order() -> None:
    pair = by_hand("run", spectra_of(20))
    z = '<referenceableParamGroup id="scan"><cvParam accession="IMS:1000052" value=" 4 "/></referenceableParamGroup>'
    imzml = pair.imzml.replace(b'<referenceableParamGroup id="scan"/>', z.encode())
    held = dataset(replace(pair, imzml=imzml))
    assert held.found.summary["pixels"]["z"] == [4, 4]
    (ticket,) = held.tickets(held.plan({"name": "count", "n": 1}))
    assert set(held.load(ticket).coordinates[:, 2].tolist()) == {4}


def test_several_pairs_are_one_dataset() -> None:
    pairs = [
        by_hand("a", spectra_of(30), layout="shuffled"),
        by_hand("b", spectra_of(20, same=True, dtypes=("float32", "int16")), layout="shared", seed=2),
        by_hand("c", spectra_of(0), seed=4),
        by_hand("d", spectra_of(15, seed=3), packed=(True, True), seed=3),
    ]
    held = TableDataset.of("imzml", {key: data for pair in pairs for key, data in pair.contents.items()})
    wanted = [each for pair in pairs for each in pair.items]
    for n in N_SLICES:
        assert items(held, {"name": "count", "n": n}) == wanted
    selected = items(held, {"name": "spectra", "per_slice": 4}, {"spectra": [25, 60]})
    assert selected == wanted[25:60]
    assert [each["imzml"] for each in held.found.summary["pairs"]] == [
        "a.imzML",
        "b.imzML",
        "c.imzML",
        "d.imzML",
    ]


@pytest.mark.parametrize(
    ("selection", "inside"),
    [
        ({"bbox": [2, 4, 5, 6]}, lambda n, x, y, z: 2 <= x <= 5 and 4 <= y <= 6),
        ({"bbox": [3, 3, 3, 3]}, lambda n, x, y, z: (x, y) == (3, 3)),
        ({"bbox": [1, 1, 2, 9, 9, 2]}, lambda n, x, y, z: z == 2 and y <= 9),
        ({"bbox": [-5, -5, 0, 0]}, lambda n, x, y, z: False),
        ({"spectra": [10, 90]}, lambda n, x, y, z: 10 <= n < 90),
        ({"spectra": [5, 5]}, lambda n, x, y, z: False),
        ({"bbox": [2, 1, 9, 9], "spectra": [20, 140]}, lambda n, x, y, z: x >= 2 and y <= 9 and 20 <= n < 140),
        ({}, lambda n, x, y, z: True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("layout", ["processed", "shared", "scattered"])
def test_selections_hold_just_what_they_name(
    layout: str, selection: dict[str, Any], inside: Callable[[int, int, int, int], bool]
) -> None:
    pair = by_hand("run", spectra_of(150, depth=1), layout=layout)
    held = dataset(pair)
    numbers = [n for n, (place, *_) in enumerate(pair.spectra) if inside(n, *place)]
    for n in N_SLICES:
        assert items(held, {"name": "count", "n": n}, selection) == [pair.items[number] for number in numbers]
    plan = held.plan({"name": "spectra", "per_slice": 4}, selection)
    firsts = [first for first, count in plan.records(0, plan.n_slices) if count]
    assert firsts == numbers[::4]


@pytest.mark.parametrize(
    "selection",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": [5, 1, 4, 9]},
        {"spectra": [4]},
        {"spectra": [7, 6]},
        {"spectra": [0, 151]},
        {"mz": 5},
    ],
)
def test_selections_that_mean_nothing_are_refused(selection: dict[str, Any]) -> None:
    held = dataset(by_hand("run", spectra_of(150)))
    with pytest.raises(InvalidRequest):
        held.plan({"name": "count", "n": 2}, selection)


def test_too_many_slices_are_refused() -> None:
    held = dataset(by_hand("run", spectra_of(50)))
    for strategy in (
        {"name": "count", "n": 11},
        {"name": "spectra", "per_slice": 1},
        {"name": "bytes", "per_slice": 1},
    ):
        with pytest.raises(InvalidStrategy):
            held.plan(strategy, most=10)


def fetched(held: TableDataset, n: int) -> list[list[tuple[int, int]]]:
    """Return which bytes of the ibd each of n slices fetches."""
    tickets = map(json.loads, held.tickets(held.plan({"name": "count", "n": n})))
    ranges = [
        [
            re.findall(r"\d+", part["headers"]["Range"])
            for part in ticket["files"][0]["parts"]
            if "headers" in part
        ]
        for ticket in tickets
    ]
    return [[(int(first), int(last) + 1) for first, last in each] for each in ranges]


def test_slices_of_a_processed_file_tile_it() -> None:
    pair = by_hand("run", spectra_of(200, most=200))
    slices = fetched(dataset(pair), 7)
    assert [len(each) for each in slices] == [1] * 7
    for ((_, stop),), ((start, _),) in pairwise(slices):
        assert stop - 8 <= start <= stop
    sizes = [stop - start for ((start, stop),) in slices]
    assert max(sizes) < 1.3 * min(sizes)


def test_a_shared_array_is_fetched_once_a_slice() -> None:
    pair = by_hand("run", spectra_of(64, same=True, most=20_000), layout="shared")
    masses, own = 160_000, 80_000
    for ranges in fetched(dataset(pair), 8):
        assert sum(stop - start for start, stop in ranges) <= masses + 9 * own + 16
        assert len(ranges) <= 2


def test_small_gaps_are_bridged_and_large_ones_are_not() -> None:
    kind = [SpectrumType(ArrayType("<f8", zlib=False), ArrayType("<f4", zlib=False))]
    for gap, n_ranges in ((BRIDGED_BYTES - 16, 1), (BRIDGED_BYTES + 16, 3)):
        at = 16 + np.arange(3, dtype=np.int64) * (1200 + gap)
        whole, same = np.full(3, 100, np.int64), np.ones(3, np.int64)
        places = Places(same, same, same, same * 0, whole, at, whole * 8, at + 800, whole * 4)
        assert len(ranges_of(places, np.array([0, 3]), 1 << 40).starts) == n_ranges
        assert fold(places, kind).rows.shape == (3, 0)


def test_arrays_that_are_aligned_stay_so() -> None:
    pair = by_hand("run", spectra_of(64, same=True, most=33), layout="shared")
    held = dataset(pair)
    for ticket in held.tickets(held.plan({"name": "count", "n": 5})):
        assert all(mz.flags.aligned and intensity.flags.aligned for _, mz, intensity in held.load(ticket))


offsets = st.integers(0, 1 << 45)
coordinates = st.integers(-(1 << 31), 1 << 31)
lengths = st.integers(0, 1 << 33)
places_lists = st.lists(
    st.tuples(*[coordinates] * 3, st.integers(0, 1), lengths, *[offsets] * 4),
    max_size=20,
)


@given(places_lists, st.booleans(), st.data())
def test_places_fold_and_unfold(rows: list[tuple[int, ...]], packed: bool, data: st.DataObject) -> None:
    columns = np.array(rows, np.int64).reshape(-1, 9).T
    plain, other = ArrayType("<f8", zlib=False), ArrayType("<i2", zlib=packed)
    types = [SpectrumType(plain, plain), SpectrumType(other, plain)]
    places = Places(*columns)
    if not packed:
        sizes = np.array([[8, 8], [2, 8]])[places.type]
        places = replace(
            places, mz_bytes=places.length * sizes[:, 0], intensity_bytes=places.length * sizes[:, 1]
        )
    folded = fold(places, types)
    first = data.draw(st.integers(0, max(0, len(places) - 1)))
    starts = starts_at(folded, places, np.array([first]))
    found = unpack(folded.rows[first:], folded.layout, *(int(each[0]) for each in starts))
    for name in Places.__slots__:
        assert getattr(found, name).tolist() == getattr(places, name)[first:].tolist()


near = st.integers(0, 1 << 22)


@given(st.lists(st.tuples(near, st.integers(0, 5000), near), min_size=1, max_size=30), st.integers(1, 8))
def test_ranges_hold_all_arrays_of_their_slices_and_no_more_than_bridges(
    rows: list[tuple[int, int, int]], n: int
) -> None:
    mz, length, intensity = np.array(rows, np.int64).T
    zero, size = length * 0, 1 << 23
    places = Places(zero, zero, zero, zero, length, mz, length * 8, intensity, length * 4)
    bounds = np.arange(n + 1) * len(rows) // n
    ranges = ranges_of(places, bounds, size)
    for number in range(n):
        own = ranges.slices == number
        starts, stops = ranges.starts[own], ranges.stops[own]
        assert (starts[1:] > stops[:-1] + BRIDGED_BYTES).all()
        assert not (starts % 8).any()
        wanted = [
            (offset, offset + n_bytes)
            for i in range(bounds[number], bounds[number + 1])
            for offset, n_bytes in ((mz[i], length[i] * 8), (intensity[i], length[i] * 4))
            if n_bytes
        ]
        for start, stop in wanted:
            assert ((starts <= start) & (stops >= stop)).any()
        assert bool(wanted) == own.any()


class Fake(SourceObject):
    """An ibd of any size that begins with a UUID, and an imzML of any text."""

    def __init__(self, key: str, data: bytes, size: int | None = None) -> None:
        self.key, self.size, self._data = key, len(data) if size is None else size, data

    def read(self, start: int, stop: int) -> bytes:
        return self._data[start:stop].ljust(stop - start, b"\0")

    @contextmanager
    def open(self, stop: int | None = None) -> Iterator[ObjectReader]:
        with ObjectReader(self._blocks, self.size, ahead_stop=stop) as reader:
            yield reader

    def _blocks(self, wanted: ByteRange) -> Iterator[bytes]:
        for at in range(wanted.start, wanted.stop, BLOCK_BYTES):
            yield self.read(at, min(at + BLOCK_BYTES, wanted.stop))


@pytest.mark.parametrize("wraps", [False, True])
def test_offsets_may_lie_behind_4_gib_and_wrapped_ones_are_put_right(wraps: bool) -> None:
    pair = by_hand("run", spectra_of(40, same=True), layout="processed")
    far = [n * (300 << 20) + 16 for n in range(80)]
    rest = iter(far)

    def moved(found: re.Match[bytes]) -> bytes:
        offset = next(rest)
        return b"%s%d" % (found[1], (offset + (1 << 31)) % (1 << 32) - (1 << 31) if wraps else offset)

    imzml = re.sub(rb'(IMS:1000102" name="some name" value=")\d+', moved, pair.imzml)
    objects = [Fake("run.imzML", imzml), Fake("run.ibd", pair.ibd[:16], size=30 << 30)]
    indexer = indexer_of("imzml")
    assert isinstance(indexer, TableIndexer)
    found = indexer.scan(objects, Share(0, 0, len(imzml)), {})
    about = json.loads(found["about"].tobytes())
    places = unpack(found["rows"], Layout.from_json(about["layout"]), *about["starts"])
    assert places.mz_offset.tolist() == far[::2]
    assert places.intensity_offset.tolist() == far[1::2]


def swap(old: str, new: str, *, count: int = 1) -> Callable[[Pair], Pair]:
    """Return a change to the XML, which must find what it changes."""

    def change(pair: Pair) -> Pair:
        assert old.encode() in pair.imzml
        return replace(pair, imzml=pair.imzml.replace(old.encode(), new.encode("latin-1"), count))

    return change


def cut(n_bytes: int) -> Callable[[Pair], Pair]:
    """Return a change that leaves away the ibd's end."""
    return lambda pair: replace(pair, ibd=pair.ibd[:-n_bytes])


NAMED = '" name="some name" value="'


def value(term: str, old: str, new: str) -> Callable[[Pair], Pair]:
    """Return a change to the beginning of a term's first value."""
    return swap(f"{term}{NAMED}{old}", f"{term}{NAMED}{new}")


REFUSED: dict[str, tuple[Callable[[Pair], Pair], str]] = {
    "another ibd": (
        lambda pair: replace(pair, ibd=bytes(16) + pair.ibd[16:]),
        "names the UUID .* at byte 0 .* do not belong",
    ),
    "an ibd of few bytes": (lambda pair: replace(pair, ibd=pair.ibd[:9]), "with a UUID .* found 9 bytes"),
    "no UUID at all": (value("IMS:1000080", "", "x"), "a UUID of 32 hexadecimal digits"),
    "a truncated ibd": (
        cut(5),
        r"spectrum \d+ at byte \d+: expected its intensity array within the ibd.*ends at byte \d+",
    ),
    "an offset below 0": (value("IMS:1000102", "16", "-16"), "its m/z array within"),
    "truncated XML": (
        lambda pair: replace(pair, imzml=pair.imzml[: len(pair.imzml) * 2 // 3]),
        "the XML ends at byte .* truncated",
    ),
    "no end": (swap("</mzML>", ""), "the XML ends at byte .* truncated"),
    "no list": (lambda pair: replace(pair, imzml=pair.imzml.split(b"<run")[0] + b"</mzML>"), "truncated"),
    "more spectra": (
        swap('spectrumList count="30"', 'spectrumList count="31"'),
        "expected 31 spectra.*before byte.*found 30",
    ),
    "numpress": (
        swap("MS:1000576", "MS:1002312"),
        "spectrum 0 at byte .* m/z array is of the compression MS:1002312",
    ),
    "zstd": (swap("MS:1000576", "IMS:1005003"), "the compression IMS:1005003"),
    "text": (swap("MS:1000523", "MS:1001479"), "m/z array is of the type MS:1001479"),
    "no type": (swap("MS:1000521", "MS:1000040"), "spectrum 0 at byte .* lacks the type of its intensity"),
    "no position": (swap("IMS:1000051", "IMS:1000059"), r"spectrum 0 at byte \d+ lacks position x or y"),
    "no offset": (swap("IMS:1000102", "IMS:1000109"), r"spectrum 0 at byte \d+ lacks an external offset"),
    "no array": (swap('Ref ref="counts"', 'Ref ref="scan"'), "lacks its intensity array"),
    "no number": (value("IMS:1000103", "", "a"), "a whole number as external array length, found 'a"),
    "no group": (swap('ref="masses"', 'ref="no"'), "refers to the group 'no'"),
    "two lengths": (value("IMS:1000103", "", "1"), "of one length, found 1"),
    "a tag": (swap('<scanList count="1"', "<scanList count=1"), "expected a tag at byte"),
    "a header": (swap("<cvList", "<cvLost"), "well-formed XML before the first spectrum"),
    "a document type": (swap("<mzML", "<!DOCTYPE mzML><mzML"), "no declaration at byte"),
    "UTF-16": (lambda pair: replace(pair, imzml=pair.imzml.decode("latin-1").encode("utf-16")), "UTF-8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_malformed_is_refused_with_its_place(name: str) -> None:
    change, message = REFUSED[name]
    with pytest.raises(MalformedRecord, match=message) as raised:
        dataset(change(by_hand("run", spectra_of(30))))
    assert raised.value.hint


def test_compressed_arrays_need_an_encoded_length() -> None:
    pair = by_hand("run", spectra_of(9), packed=(True, True))
    none = re.sub(
        rb'IMS:1000104" name="some name" value="\d+', b'IMS:1000104" name="some name" value="0', pair.imzml
    )
    for imzml in (none, pair.imzml.replace(b"IMS:1000104", b"IMS:1000999")):
        with pytest.raises(MalformedRecord, match=r"spectrum 0 .* external encoded length"):
            dataset(replace(pair, imzml=imzml))


@pytest.mark.parametrize(
    "keys", [["a.ibd"], ["a.imzML"], ["a.ibd", "a.imzML"], ["a.imzML", "a.ibd", "b.txt"]]
)
def test_objects_that_are_no_pairs_are_refused(keys: list[str]) -> None:
    pair = by_hand("a", spectra_of(5))
    with pytest.raises(MalformedRecord, match=r"expected pairs of an \.imzML and an \.ibd"):
        TableDataset.of("imzml", dict.fromkeys(keys, pair.imzml))


@pytest.mark.parametrize(
    ("term", "digits"), [("IMS:1000090", "md5"), ("IMS:1000091", "sha1"), ("IMS:1000092", "sha256")]
)
def test_the_checksum_is_checked_when_asked_for(term: str, digits: str) -> None:
    pair = by_hand("run", spectra_of(30))
    spoilt = replace(pair, ibd=pair.ibd[:-1] + b"\x7f")
    text = re.sub(rb'accession="IMS:1000091" name="some name" value="\w+"', b"@", pair.imzml)
    value = hashlib.new(digits, pair.ibd).hexdigest().upper().encode()
    imzml = text.replace(b"@", b'accession="%s" value="%s"' % (term.encode(), value))
    pair, spoilt = replace(pair, imzml=imzml), replace(spoilt, imzml=imzml)
    assert dataset(pair, {"checksum": True}).found.summary["checksum"] == digits
    dataset(spoilt)
    with pytest.raises(MalformedRecord, match=f"names the {digits} .* run.ibd has"):
        dataset(spoilt, {"checksum": True})
    with pytest.raises(MalformedRecord, match="expected a checksum"):
        dataset(replace(pair, imzml=text.replace(b"@", b'accession="IMS:1"')), {"checksum": True})


def test_the_uuid_may_be_in_either_byte_order_and_in_any_form() -> None:
    pair = by_hand("run", spectra_of(5))
    own = uuid.UUID(bytes=pair.ibd[:16])
    for text in (own.hex.upper(), f"{{{own}}}", own.urn):
        assert dataset(swap(str(own), text)(pair)).found.summary["uuid"] == str(own)
    dataset(replace(pair, ibd=own.bytes_le + pair.ibd[16:]))


def test_the_catalog_knows_the_image() -> None:
    held = dataset(by_hand("run", spectra_of(100, same=True), layout="shared"))
    summary = held.found.summary
    assert summary["pixels"] == {"x": [1, 7], "y": [3, 11], "z": [1, 1]}
    assert summary["pixel_size_um"] == [50.0, 50.0]
    assert (summary["instrument"], summary["mode"]) == ("LTQ", "processed")
    assert summary["mz_range"] == [
        held.contents and float(np.frombuffer(held.contents[1], "<f8", 40, 16)[i]) for i in (0, -1)
    ]
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize("layout", ["processed", "padded", "shuffled"])
@pytest.mark.parametrize("packed", [(False, False), (False, True)])
def test_the_picture_is_the_same_with_and_without_currents_in_the_imzml(
    layout: str, packed: tuple[bool, bool]
) -> None:
    spectra = spectra_of(63, most=300)
    told, summed = (
        dataset(by_hand("run", spectra, layout=layout, packed=packed, tic=tic)).found.pictures["total-ion"]
        for tic in (True, False)
    )
    assert told.title == summed.title == "Total ion current"
    images = [Image.open(io.BytesIO(each.content)).convert("RGBA") for each in (told, summed)]
    assert images[0].size == (7 * 35, 9 * 35)
    assert np.abs(np.asarray(images[0], int) - np.asarray(images[1], int)).max() <= 8
    bright = max(range(63), key=lambda n: spectra[n][2].sum(dtype=float))
    (x, y), *_ = spectra[bright]
    assert images[0].getpixel(((x - 1) * 35 + 9, (y - 3) * 35 + 9)) == (255, 120, 40, 255)


def test_pixels_that_are_not_there_are_transparent_and_large_images_stay_small() -> None:
    places = dataset_places(700, 900)
    content = imzml_image.draw(places, np.random.default_rng(1).gamma(1.0, 1.0, len(places)))
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    assert len(content) <= 256 << 10
    assert max(image.size) <= 512
    assert image.getpixel((0, 0)) == (0, 0, 0, 0)


def dataset_places(width: int, height: int) -> Places:
    """Return the places of all pixels but those of one corner."""
    y, x = np.divmod(np.arange(width * height, dtype=np.int64), width)
    keep = (x > 9) | (y > 9)
    zero = np.zeros(int(keep.sum()), np.int64)
    return Places(x[keep], y[keep], *[zero] * 7)


def test_a_large_ibd_is_not_read_for_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slicery_workers.indexers.imzml.MOST_SUMMED_BYTES", 1000)
    held = dataset(by_hand("run", spectra_of(63, most=300), tic=False))
    assert held.found.pictures["total-ion"].title == "Values in each spectrum"
    assert held.sources[1].n_bytes == 16
    assert not dataset(by_hand("run", spectra_of(63, same=True), tic=False)).found.pictures


@pytest.mark.parametrize(
    "key", ["a/run.imzML", "a/run.ibd", "a/run.IMZML", "a/run.Ibd", "a/run.imzml", "a/RUN.IBD"]
)
def test_a_pair_is_known_by_either_name(key: str) -> None:
    form = formats.get("imzml")
    assert form.companions is not None
    imzml, ibd = form.companions(key)
    stem = key[: key.rindex(".")]
    assert key in (imzml[0], ibd[0])
    assert {f"{stem}.imzML", f"{stem}.imzml"} <= set(imzml)
    assert {f"{stem}.ibd", f"{stem}.IBD"} <= set(ibd)
    assert form.companions("a/run.mzML") == ()
    assert formats.detect(key, by_hand("run", spectra_of(3)).imzml[:65536]).format == "imzml"
    assert formats.detect("run.xml", by_hand("run", spectra_of(3)).imzml[:65536]).format == "imzml"


@pytest.mark.parametrize("layout", ["processed", "shared", "scattered"])
@pytest.mark.parametrize("packed", [(False, False), (True, True)])
def test_slices_are_written_as_imzml(layout: str, packed: tuple[bool, bool], tmp_path: Path) -> None:
    pair = by_hand("run", spectra_of(60, same=layout == "shared", depth=1), layout=layout, packed=packed)
    held = dataset(pair)
    found: list[bytes] = []
    for number, ticket in enumerate(held.tickets(held.plan({"name": "count", "n": 4}))):
        paths = held.load(ticket).to_file(tmp_path / f"part.{number}")
        assert [path.name for path in paths] == [f"part.{number}.imzML", f"part.{number}.ibd"]
        imzml, ibd = (path.read_bytes() for path in paths)
        part = Pair("part", imzml, ibd, ())
        again = dataset(part, {"checksum": True})
        found += items(again, {"name": "count", "n": 2})
        assert again.found.summary["instrument"] == "LTQ"
        assert again.found.summary["uuid"] != held.found.summary["uuid"]
        assert again.found.summary["mode"] == ("continuous" if layout == "shared" else "processed")
        if packed == (False, False):
            assert [item(*each) for each in by_pyimzml(imzml, ibd)] == list(held.items(ticket))
    assert found == pair.items


def test_slices_of_pyimzml_keep_polarity_and_scan(tmp_path: Path) -> None:
    pair = written_by_pyimzml("run", spectra_of(12, same=True), mode="continuous", polarity="negative")
    held = dataset(pair)
    (ticket,) = held.tickets(held.plan({"name": "count", "n": 1}))
    imzml, _ = held.load(ticket).to_file(tmp_path / "out.imzML")
    text = imzml.read_text()
    assert text.count('<referenceableParamGroupRef ref="spectrum1"') == text.count('Ref ref="scan1"') == 12
    assert "pyimzml exporter" in text
    assert "top down" in text
    assert held.load(ticket).is_continuous


def test_several_pairs_are_written_as_one(tmp_path: Path) -> None:
    pairs = [
        by_hand("a", spectra_of(10)),
        by_hand("b", spectra_of(8, dtypes=("float32", "int16")), packed=(True, False), seed=2),
    ]
    held = TableDataset.of("imzml", {key: data for pair in pairs for key, data in pair.contents.items()})
    (ticket,) = held.tickets(held.plan({"name": "count", "n": 1}))
    imzml, ibd = (path.read_bytes() for path in held.load(ticket).to_file(tmp_path / "both"))
    assert (
        items(dataset(Pair("both", imzml, ibd, ())), {"name": "count", "n": 3})
        == pairs[0].items + pairs[1].items
    )


LARGE = """
import sys
sys.path[:0] = [{tests!r}]
from formats.peak import peak_bytes
from formats.test_imzml import LargeXml, Fake
from slicery_workers.registry import indexer_of
from slicery_workers.tables import Share
from slicery_service.table_index import pack, unpack
imzml = LargeXml({size})
objects = [imzml, Fake("run.ibd", bytes(16), size=1 << 50)]
indexer, share = indexer_of("imzml"), Share(0, 0, imzml.size)
draft = pack(indexer.scan(objects, share, {{}}))
found = indexer.join(objects, iter([(share, unpack(draft))]), {{}})
print(found.n_records, imzml.n_spectra, imzml.size, peak_bytes())
"""


class LargeXml(Fake):
    """XML of any size, made up as it is read."""

    def __init__(self, size: int) -> None:
        pair = by_hand("run", spectra_of(1, most=2))
        head, rest = pair.imzml.split(b"<spectrum ")
        body, tail = rest.split(b"</spectrum>")
        head = head.replace(b'IMS:1000080"', b'IMS:1"')
        usual = b'<cvParam cvRef="MS" accession="MS:1000504" name="base peak m/z" value="123.456789"/>\n' * 8
        body = b"<spectrum " + body + usual + b"</spectrum>"
        self._width = len(body) + 20
        self.n_spectra = size // self._width
        self._head = head.replace(b'spectrumList count="1"', b'spectrumList count="%d"' % self.n_spectra)
        before, self._after = re.split(rb'(?<=IMS:1000050" name="some name" value=")\d+', body, maxsplit=1)
        self._before, self._tail = before, tail
        super().__init__("run.imzML", b"", len(self._head) + self.n_spectra * self._width + len(tail))

    def read(self, start: int, stop: int) -> bytes:
        first = max(0, (start - len(self._head)) // self._width)
        last = min(self.n_spectra, -(-(stop - len(self._head)) // self._width))
        fill = self._width - len(self._before) - len(self._after)
        text = b"".join(
            b"%s%0*d%s" % (self._before, fill, n % 999 + 1, self._after)
            for n in range(first, max(first, last))
        )
        at = len(self._head) + first * self._width
        if start < len(self._head):
            text, at = self._head + text, 0
        if stop > self.size - len(self._tail):
            text += self._tail
        return text[start - at : stop - at]


@pytest.mark.exhaustive
def test_xml_of_2_gb_takes_constant_memory() -> None:
    script = LARGE.format(tests=str(Path(__file__).parents[1]), size=2_100_000_000)
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    n_records, n_spectra, size, peak = map(int, done.stdout.split())
    assert n_records == n_spectra > 1_000_000
    assert size > 2_000_000_000
    assert peak < 500e6


def test_the_format_passes_the_acceptance_test() -> None:
    def read(contents: Mapping[str, bytes]) -> list[bytes]:
        return [item(*each) for each in by_pyimzml(*contents.values())]

    pair = by_hand("run", spectra_of(40, depth=1), layout="padded")
    checked = check_format("imzml", pair.contents, read=read)
    assert checked.n_records == 40
    assert set(checked.strategies) == {"bytes", "count", "records", "spectra"}
    assert not checked.untried


def _says(*accessions: str) -> Callable[[str], str]:
    """Put terms into every spectrum but the first, which lacks the last of them."""
    params = [f'<cvParam cvRef="MS" accession="{each}" name="n" value=""/>' for each in accessions]

    def style(text: str) -> str:
        said = text.replace("<scanList", "".join(params) + "<scanList")
        return said.replace(params[-1], "", 1)

    return style


def test_written_spectra_keep_what_all_of_them_say(tmp_path: Path) -> None:
    pair = by_hand("run", spectra_of(12), style=_says("MS:1000130", "MS:1000128", "MS:1000579"))
    held = dataset(pair)
    assert held.found.summary["polarity"] == "positive"
    ticket = held.tickets(held.plan({"name": "spectra", "per_slice": 4}))[1]
    imzml, ibd = held.load(ticket).to_file(tmp_path / "part")
    assert [item(*each) for each in by_pyimzml(imzml.read_bytes(), ibd.read_bytes())] == pair.items[4:8]
    text = imzml.read_text()
    counts = [text.count(f'accession="{each}"') for each in ("MS:1000130", "MS:1000128", "MS:1000579")]
    assert counts == [4, 4, 0]
    assert text.count('accession="IMS:1000046"') == text.count('accession="MS:1000449"') == 1


def test_what_groups_say_is_not_written_twice(tmp_path: Path) -> None:
    said = _says("MS:1000129", "MS:1000511")
    in_group = (
        '<referenceableParamGroup id="scan"><cvParam accession="MS:1000129" name="n" value=""/>'
        "</referenceableParamGroup>"
    )
    pair = by_hand(
        "run",
        spectra_of(5),
        style=lambda text: said(text).replace('<referenceableParamGroup id="scan"/>', in_group),
    )
    held = dataset(pair)
    imzml, _ = held.load(held.tickets(held.plan({"name": "count", "n": 1}))[0]).to_file(tmp_path / "all")
    assert imzml.read_text().count("MS:1000129") == 1


@pytest.mark.parametrize("order", ["processed", "continuous", "scattered"])
def test_tickets_of_many_spectra_are_small(order: str) -> None:
    n, rng = 260_000, np.random.default_rng(1)
    length = np.full(n, 8000) if order == "continuous" else rng.integers(0, 60_000, n)
    number, n_bytes = np.arange(n), length * 4
    mz = 16 + 2 * (np.cumsum(n_bytes) - n_bytes)
    if order == "scattered":
        mz = rng.permutation(mz)
    intensity = 16 + 32_000 + number * 32_000 if order == "continuous" else mz + n_bytes
    mz = np.full(n, 16) if order == "continuous" else mz
    plain = SpectrumType(ArrayType("<f4", False), ArrayType("<f4", False))
    zeros = np.zeros(n, np.int64)
    places = Places(
        number % 510 + 1, number // 510 + 1, zeros + 1, zeros, length, mz, n_bytes, intensity, n_bytes
    )
    folded = fold(places, [plain])
    about = {
        "layout": folded.layout.to_json(),
        "starts": folded.starts,
        "stop": 5000,
        "groups": {"spectrum": [], "scan": []},
    }
    tables = {"rows": folded.rows, "about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    indexes = (TableIndex(1 << 30, n, tables), TableIndex(1 << 40, 0, {}))
    plan = planner_of("imzml")(Count(n=10_000), None, indexes, 10_000, {})
    files = [each[0] for each in plan.files(0, 10_000)]
    inline = sum(len(part) for file in files for part in file.body if isinstance(part, bytes))
    assert inline <= 16 * n + 10_000 * 40 + 16 * sum(len(file.body) - 1 for file in files)
    a_part = 700  # a signed URL and its headers
    tickets = [
        1200 + sum(len(part) * 4 // 3 if isinstance(part, bytes) else a_part for part in file.body) + a_part
        for file in files
    ]
    if order != "scattered":
        assert inline <= 16 * n
        assert sum(tickets) / len(tickets) <= 8000
