"""Hold a plug-in's parts against each other: descriptor, indexer and decoder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slicery_service.errors import InvalidRequest
from slicery_service.planning.strategies import UNIVERSAL
from slicery_workers.testing.expect import (
    FormatProblem,
    as_json,
    expect,
    expect_described,
    expect_same,
)
from slicery_workers.testing.memory import MemoryObject
from slicery_workers.testing.sample import PlugIn, Sample
from slicery_workers.testing.table_plug_in import TablePlugIn
from slicery_workers.testing.variants import damaged

BLOCKS = (1, 7, 4096)
HEAD_BYTES = 64 << 10
MOST_PARSED = 1000


def check_description(plug_in: PlugIn | TablePlugIn, options: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a format says of itself; return the options as a registration keeps them."""
    form, name = plug_in.form, plug_in.name
    for part, own in (("descriptor", form.name), ("indexer", plug_in.indexer.format)):
        expect(own == name, f"the {part} calls the format {own!r}, its entry point {name!r}")
    units = form.unit, plug_in.decoder.unit
    expect(units[0] == units[1], f"the descriptor calls a record {units[0]!r}, the decoder {units[1]!r}")
    for strategy, model in form.strategies.items():
        expect(strategy not in UNIVERSAL, f"the strategy {strategy} has the name of a universal one")
        expect("name" in model.model_fields, f"the strategy {strategy} lacks the member `name`")
        expect_described(f"strategy {strategy}", model)
    expect_described("the options", form.options)
    if form.selection is not None:
        expect_described("the selection", form.selection)
    try:
        kept = form.validate_options(dict(options))
    except InvalidRequest as exc:
        raise FormatProblem(f"the descriptor refuses the options {options}: {exc.detail}") from exc
    expect(
        json.loads(as_json(kept, "what is kept of the options")) == kept, f"JSON changes the options {kept}"
    )
    return kept


def check_detection(plug_in: PlugIn | TablePlugIn, texts: Sequence[bytes], *, detected: bool) -> None:
    """See that the first bytes of anything can be looked at, and those of the sample be recognised."""
    for what, text in [("no bytes at all", b""), *damaged(texts[0])]:
        try:
            plug_in.form.looks_like(text)
        except Exception as exc:
            raise FormatProblem(f"looks_like crashes on {what}: {exc!r}") from exc
    for text in filter(None, texts):
        is_known = not detected or plug_in.form.looks_like(text[:HEAD_BYTES])
        expect(is_known, "looks_like does not recognise the sample; if it cannot, give detected=False")


def check_decoder(sample: Sample) -> None:
    """Hold the decoder's methods against each other and against the index, for each object."""
    for number, found in enumerate(sample.dataset.objects):
        _check_object(sample, found, sample.decoder_options(number))


def _check_object(sample: Sample, own: MemoryObject, options: Mapping[str, Any]) -> None:
    decoder, header, n_records = sample.plug_in.decoder, own.index.preamble, own.index.n_records
    text = own.data[len(header) :]
    spans = _all(decoder.spans([text], options), "the decoder's spans")
    expect_same([b"".join(spans)], [text], "the decoder's spans, joined")
    records = _all(decoder.records([text], options, header), "the decoder's records")
    for what, n_found in (("spans", len(spans)), ("records", len(records))):
        expect(
            n_found == n_records,
            f"the indexer counts {n_records:,} records, the decoder's {what} are {n_found:,}",
        )
    if not header:  # which a record by itself does not have
        parsed = _all((decoder.parse(span, options) for span in spans[:MOST_PARSED]), "records parsed")
        expect_same(parsed, records[:MOST_PARSED], "the records, parsed one by one")
    for size in BLOCKS:
        blocks = [text[at : at + size] for at in range(0, len(text), size)]
        what = f"when they come in blocks of {size} bytes"
        found = _all(decoder.records(blocks, options, header), f"the records {what}")
        expect_same(found, records, f"the records {what}")
        expect_same(_all(decoder.spans(blocks, options), f"the spans {what}"), spans, f"the spans {what}")


def _all(items: Iterable[Any], what: str) -> list[Any]:
    try:
        return list(items)
    except Exception as exc:
        raise FormatProblem(f"{what}: the decoder fails on the sample with {exc!r}") from exc
