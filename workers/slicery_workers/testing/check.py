"""The acceptance test of record formats: what must hold for every format, tried on a sample of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicery_workers.testing.examples import Example
from slicery_workers.testing.partitions import Tried, check_partitions, check_stretches
from slicery_workers.testing.plugin import check_decoder, check_description, check_detection
from slicery_workers.testing.refusals import check_refusals
from slicery_workers.testing.sample import ReadText, Sample, load
from slicery_workers.testing.variants import uncompressed

Content = bytes | str | Path


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check_format` has tried.

    `stretches` are the sizes in bytes at which stretches could be joined; where there are none, an object of this
    format is always read by one task. `untried` are strategies and selections for which no request could be made up
    from their JSON Schemas: give `examples` for them.
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
    sample: Content | Sequence[Content],
    *,
    options: Mapping[str, Any] | None = None,
    read: ReadText | None = None,
    view: Callable[[Any], Any] = lambda record: record,
    examples: Sequence[Example] = (),
    detected: bool = True,
) -> Checked:
    """Try a format, built in or installed, on a sample: bytes, the path of a file, or a list of them as one dataset.

    The sample may be compressed. It had better hold some dozens of records, of the odd kinds too, and be small, as it
    is cut into as many slices as it has records, and more.

    `options` are those of a registration. `read` is an independent reader of an object's text; without it, the
    format's own decoder on the whole sample is the judge of the slices. `view` makes of a record what `read` gives.
    `examples` are requests to try besides those that the format's JSON Schemas suggest. `detected` says that the
    format should recognise the sample from its first bytes.

    Raises FormatProblem at the first thing that does not hold.
    """
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


def _contents(sample: Content | Sequence[Content]) -> list[bytes]:
    match sample:
        case bytes():
            return [sample]
        case str() | Path():
            return [Path(sample).read_bytes()]
    return [content for each in sample for content in _contents(each)]
