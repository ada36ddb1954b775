"""Cut a sample by every strategy and selection, under every compression, and in stretches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from slicery_workers.testing.examples import Example, bodies_of
from slicery_workers.testing.expect import FormatProblem, expect, expect_same, expect_within
from slicery_workers.testing.memory import MemoryDataset, MemoryObject, index_object
from slicery_workers.testing.sample import ONE_SLICE, Sample
from slicery_workers.testing.variants import COMPRESSIONS, compressed

COUNTS = (1, 2, 3, 7, 64)
NEAR = {"mark_bytes": 1, "block_bytes": 37}
"""Every record has a mark, and a plain object's scanner gets small blocks."""
STRETCHES = (1, 2, 3, 7, 61, 997, 20_011)
MOST_STRETCHES = 400
MOST_FINE_RECORDS = 300
"""Samples of more records are cut into more slices than records only where that is cheap: without compression."""
_SMALL = 240


@dataclass
class Tried:
    """What was tried: names of strategies and of members of selections, and the stretches that could be joined."""

    strategies: set[str] = field(default_factory=set)
    selections: set[str] = field(default_factory=set)
    stretches: set[int] = field(default_factory=set)


def check_partitions(sample: Sample, examples: Sequence[Example], tried: Tried) -> None:
    """Cut the sample under every compression, with marks as they usually lie, and with one at every record."""
    for compression in COMPRESSIONS:
        contents = [compressed(text, compression) for text in sample.texts]
        for near in ({}, NEAR):
            what = f"the sample as {compression}"
            dataset = sample.indexed(contents, what, **near)
            for found, plain in zip(dataset.objects, sample.dataset.objects, strict=True):
                _check_index(sample, found, plain, what)
            for example in _requests(sample, examples, fine=compression == "none"):
                _check_partition(sample, dataset, example, what, tried, given=example in examples)


def check_stretches(sample: Sample, tried: Tried) -> None:
    """Index the sample, and its first few records, in stretches of many sizes."""
    if sample.is_paired:  # mates are always read from their beginnings
        return
    for text in {sample.texts[0], _first_records(sample)}:
        plain = index_object(text, sample.plug_in.indexer, sample.options)
        for size in {*STRETCHES, len(text) // 3 + 1, len(text) // 2 + 1}:
            if size < len(text) <= size * MOST_STRETCHES:
                for compression in ("none", "bgzf of small blocks"):
                    _check_stretch(sample, plain, size, compression, tried)


def _requests(sample: Sample, examples: Sequence[Example], *, fine: bool) -> Iterator[Example]:
    n_records, size = len(sample.whole), sum(map(len, sample.texts))
    counts = (*COUNTS, n_records + 5) if fine or n_records <= MOST_FINE_RECORDS else COUNTS
    yield from (Example({"name": "count", "n": n}) for n in counts)
    for per_slice in sorted({n_records // 200 + 1, 13, n_records // 3 + 1}):
        yield Example({"name": "records", "per_slice": per_slice})
    for per_slice in sorted({size // 40 + 1, size // 3 + 1, size + 1}):
        yield Example({"name": "bytes", "per_slice": per_slice})
    yield from examples
    given = {example.strategy["name"] for example in examples if example.selection is None}
    form = sample.plug_in.form
    for name, model in form.strategies.items():
        if name not in given:
            yield from (Example({**body, "name": name}) for body in bodies_of(model))
    if form.selection is not None and not any(example.selection for example in examples):
        for body in filter(None, bodies_of(form.selection)):
            yield from (Example({"name": "count", "n": n}, body) for n in (1, 3))


def _check_partition(
    sample: Sample, dataset: MemoryDataset, example: Example, what: str, tried: Tried, *, given: bool
) -> None:
    request = f"{what}, cut by {example}"
    found = sample.slices(dataset, example.strategy, example.selection, request)
    if found is None:
        expect(not given, f"{request}: the planner refuses it")
        return
    tried.strategies.add(example.strategy["name"])
    tried.selections.update(example.selection or ())
    joined = [record for records in found for record in records]
    if example.check is not None:
        if example.check(found, sample.whole) is False:
            raise FormatProblem(f"{request}: the records of the slices fail the example's check")
    elif example.selection is not None:
        expect_within(joined, sample.whole, request)
    else:
        expect_same(joined, sample.whole, f"{request}: the records of all slices")


def _check_index(sample: Sample, found: MemoryObject, plain: MemoryObject, what: str) -> None:
    """Hold an index against that of the plain sample: the same records, wherever they lie."""
    own, other = found.indexed, plain.indexed
    names = sample.plug_in.form.decoder_options  # what else a summary holds is for people
    told = [{name: each.summary[name] for name in names if name in each.summary} for each in (own, other)]
    for word, value, wanted in (
        ("records", own.n_records, other.n_records),
        ("bytes of text", own.text_size, other.text_size),
        ("as header", own.preamble, other.preamble),
        ("for the decoder", *told),
    ):
        expect(value == wanted, f"{what}: the indexer finds {value!r} {word}, in the plain sample {wanted!r}")
    starts = found.index.marks[: own.n_records, 1]
    expect(bool((starts[1:] > starts[:-1]).all()), f"{what}: the offsets of records do not ascend")


def _first_records(sample: Sample) -> bytes:
    """Return the sample's first few records, for stretches of a byte or two."""
    header, options = sample.dataset.objects[0].index.preamble, sample.decoder_options(0)
    first = header
    for span in sample.plug_in.decoder.spans([sample.texts[0][len(header) :]], options):
        if len(first) + len(span) > _SMALL and len(first) > len(header):
            break
        first += span
    return first


def _check_stretch(sample: Sample, plain: MemoryObject, size: int, compression: str, tried: Tried) -> None:
    what = f"{len(plain.data):,} bytes of the sample as {compression}, in stretches of {size:,} bytes"
    contents = [compressed(plain.data, compression)]
    dataset = sample.indexed(contents, what, stretch=size, **NEAR)
    (found,) = dataset.objects
    _check_index(sample, found, plain, what)
    if found.joined and compression == "none":
        tried.stretches.add(size)
    by_itself = sample.indexed([plain.data], what)
    (whole,) = sample.slices(by_itself, ONE_SLICE, None, what) or [[]]
    for strategy in ({"name": "count", "n": 3}, {"name": "records", "per_slice": 5}):
        slices = sample.slices(dataset, strategy, None, what) or []
        joined = [record for records in slices for record in records]
        expect_same(joined, whole, f"{what}, cut by {strategy}: the records of all slices")
