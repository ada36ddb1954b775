"""Previews of text: its first lines, words or paragraphs, and how long those of a sample are."""

from __future__ import annotations

from slicery_workers.previews import statistics
from slicery_workers.previews.content import Column, Content
from slicery_workers.previews.sampling import Indexed, first_text, sample

MOST_ROWS = 100
MOST_CHARACTERS = 300
N_PLACES = 2
"""Few, as a text has little to tell and shall be quick."""


def preview(dataset: Indexed) -> Content:
    """Preview a text; of a record that is too long to be read, its beginning."""
    found = sample(dataset, n_places=N_PLACES)
    unit = dataset.form.unit_of(dataset.options)
    rows = [[each] for each in found.first(MOST_ROWS)]
    if not rows and dataset.n_records:
        encoding = str(dataset.summary.get("encoding", "utf-8"))
        rows = [[first_text(dataset, 4 * MOST_CHARACTERS).decode(encoding, "replace")]]
    lengths = statistics.log_histogram(map(len, found.records), whole=True)
    told = statistics.named("length", f"Length of a {unit}", found.of, lengths, measure="characters")
    return Content([Column(unit, "string", MOST_CHARACTERS)], rows, told, found)
