"""What is no text of the format, is cut short or damaged: refused in words, or read without contradiction."""

from __future__ import annotations

import re

from slicery.errors import DecodeError
from slicery_service.errors import IndexingError, MalformedRecord
from slicery_service.slicing import RecordFormat
from slicery_workers.summary import joined_summary
from slicery_workers.testing.expect import FormatProblem, expect
from slicery_workers.testing.memory import MemoryObject, index_object
from slicery_workers.testing.sample import Sample
from slicery_workers.testing.variants import broken_compression, cut_short, damaged

REFUSED = "a refusal"


def check_refusals(sample: Sample) -> None:
    """Index broken samples, in one piece and in stretches: nothing crashes, and both come to the same end."""
    text = sample.texts[0]
    for what, broken in [("no bytes at all", b""), *cut_short(text), *damaged(text)]:
        whole = _outcome(sample, broken, what, None)
        in_stretches = _outcome(sample, broken, what, len(broken) // 3 + 1)
        expect(
            whole == in_stretches, f"{what}: read in one piece it gives {whole}, in stretches {in_stretches}"
        )
    for what, broken in broken_compression(text):
        expect(_outcome(sample, broken, what, None) == REFUSED, f"{what} is not refused")


def _outcome(sample: Sample, data: bytes, what: str, stretch: int | None) -> str:
    try:
        found = index_object(data, sample.plug_in.indexer, sample.options, stretch=stretch)
    except IndexingError as exc:
        has_place = bool(re.search(r"\d", exc.detail)) or not isinstance(exc, MalformedRecord) or not data
        expect(has_place, f"{what} is refused without telling record, line or byte: {exc.detail!r}")
        return REFUSED
    except Exception as exc:
        raise FormatProblem(f"{what}: the indexer crashes with {exc!r}; raise MalformedRecord") from exc
    n_records = found.index.n_records
    n_decoded = _n_decoded(sample, found, what)
    expect(
        n_decoded == n_records,
        f"{what}: the indexer counts {n_records:,} records, the decoder gives {n_decoded:,}",
    )
    return f"{n_records:,} records"


def _n_decoded(sample: Sample, found: MemoryObject, what: str) -> int:
    """Return how many records the decoder gives: it must read what was indexed."""
    plug_in, header = sample.plug_in, found.index.preamble
    summary = joined_summary(plug_in.indexer, plug_in.form, [found.indexed.summary])
    options = RecordFormat.of(plug_in.name, plug_in.form.decoder_options, summary).options
    try:
        return sum(1 for _ in plug_in.decoder.records([found.data[len(header) :]], options, header))
    except DecodeError as exc:
        raise FormatProblem(f"{what}: it is indexed, and the decoder refuses it: {exc}") from exc
    except Exception as exc:
        raise FormatProblem(f"{what}: the decoder crashes with {exc!r}; raise DecodeError") from exc
