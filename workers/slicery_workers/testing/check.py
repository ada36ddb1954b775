"""The acceptance test of formats: what must hold for every one, tried on a sample of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicery_workers.testing.examples import Example
from slicery_workers.testing.expect import FormatProblem
from slicery_workers.testing.partitions import Tried, check_partitions, check_stretches
from slicery_workers.testing.plugin import check_decoder, check_description, check_detection
from slicery_workers.testing.refusals import check_refusals
from slicery_workers.testing.sample import Sample, load
from slicery_workers.testing.table_check import ReadItems, TableSample, check_sample, check_shares
from slicery_workers.testing.table_plug_in import TablePlugIn, load_tables
from slicery_workers.testing.table_refusals import check_table_refusals
from slicery_workers.testing.variants import uncompressed

Content = bytes | str | Path


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check_format` has tried.

    `stretches` are the sizes in bytes at which stretches could be joined, or shares of formats of tables; where there
    are none, an object of this format is always read by one task. `untried` are strategies and selections for which
    no request could be made up from their JSON Schemas: give `examples` for them.
    """

    format: str
    unit: str
    n_records: int
    n_slices: int
    stretches: tuple[int, ...]
    strategies: tuple[str, ...]
    selections: tuple[str, ...]
    untried: tuple[str, ...]


def check_format(
    name: str,
    sample: Content | Sequence[Content] | Mapping[str, Content],
    *,
    options: Mapping[str, Any] | None = None,
    read: Callable[[Any], Any] | None = None,
    view: Callable[[Any], Any] = lambda record: record,
    examples: Sequence[Example] = (),
    detected: bool = True,
    damaged: bool = True,
) -> Checked:
    """Try a format, built in or installed, on a sample: bytes, the path of a file, or a list of them as one dataset.

    The sample may be compressed. It had better hold some dozens of records, of the odd kinds too, and be small, as it
    is cut into as many slices as it has records, and more.

    `options` are those of a registration. `read` is an independent reader of an object's text; without it, the
    format's own decoder on the whole sample is the judge of the slices. `view` makes of a record what `read` gives.
    `examples` are requests to try besides those that the format's JSON Schemas suggest. `detected` says that the
    format should recognise the sample from its first bytes. `damaged` says that it is also tried on damaged samples,
    which takes that no library it reads with ends the whole process on them.

    Of a format of tables, the objects may be given by their keys, as keys can tell what they are. `read` then gets
    the bytes of all objects by their keys, and gives *items*, as the decoder does: bytes that tell each record from
    all others. `check` of an example gets items as well, and `view` is not used.

    Raises FormatProblem at the first thing that does not hold.
    """
    tables = load_tables(name)
    if tables is not None:
        return _check_tables(
            tables, _by_key(tables, sample), options or {}, read, examples, detected=detected, damaged=damaged
        )
    if isinstance(sample, Mapping):
        raise FormatProblem("the objects of a record format have no keys; give a list of them")
    plug_in = load(name)
    texts = [uncompressed(content) for content in _contents(sample)]
    kept = check_description(plug_in, options or {})
    check_detection(plug_in, texts, detected=detected)
    found, tried = Sample(plug_in, texts, kept), Tried()
    if read is not None:
        found.check_read(read, view)
    check_decoder(found)
    check_partitions(found, examples, tried)
    check_stretches(found, tried)
    if damaged:
        check_refusals(found)
    form = plug_in.form
    selectable = form.selection.model_fields if form.selection else ()
    return Checked(
        format=name,
        unit=form.unit_of(kept),
        n_records=len(found.whole),
        n_slices=found.n_slices,
        stretches=tuple(sorted(tried.stretches)),
        strategies=tuple(sorted(tried.strategies)),
        selections=tuple(sorted(tried.selections)),
        untried=tuple(sorted({*form.strategies, *selectable} - tried.strategies - tried.selections)),
    )


def _check_tables(
    plug_in: TablePlugIn,
    contents: Mapping[str, bytes],
    options: Mapping[str, Any],
    read: ReadItems | None,
    examples: Sequence[Example],
    *,
    detected: bool,
    damaged: bool,
) -> Checked:
    kept = check_description(plug_in, options)
    form = plug_in.form
    by_keys = form.looks_like_listing is not None and form.looks_like_listing(list(contents))
    check_detection(plug_in, list(contents.values())[:1], detected=detected and not by_keys)
    sample = TableSample(plug_in, contents, kept)
    check_sample(sample, read, examples)
    shares = tuple(check_shares(sample))
    if damaged:
        check_table_refusals(sample)
    selectable = form.selection.model_fields if form.selection else ()
    return Checked(
        format=plug_in.name,
        unit=form.unit_of(kept),
        n_records=sample.dataset.found.n_records,
        n_slices=sample.n_slices,
        stretches=tuple(sorted(shares)),
        strategies=tuple(sorted(sample.strategies)),
        selections=tuple(sorted(sample.selections)),
        untried=tuple(sorted({*form.strategies, *selectable} - sample.strategies - sample.selections)),
    )


def _by_key(
    plug_in: TablePlugIn, sample: Content | Sequence[Content] | Mapping[str, Content]
) -> dict[str, bytes]:
    """Return the objects by their keys: those given, or else the names of files, or made up."""
    if isinstance(sample, Mapping):
        return {key: _contents(each)[0] for key, each in sample.items()}
    each = [sample] if isinstance(sample, bytes | str | Path) else list(sample)
    suffix = plug_in.form.suffixes[0] if plug_in.form.suffixes else ""
    keys = [f"sample{n}{suffix}" if isinstance(own, bytes) else Path(own).name for n, own in enumerate(each)]
    return dict(zip(keys, (_contents(own)[0] for own in each), strict=True))


def _contents(sample: Content | Sequence[Content]) -> list[bytes]:
    match sample:
        case bytes():
            return [sample]
        case str() | Path():
            return [Path(sample).read_bytes()]
    return [content for each in sample for content in _contents(each)]
