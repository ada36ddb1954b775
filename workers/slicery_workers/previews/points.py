"""Previews of point clouds: points of a few slices, and what their attributes are like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery import loading
from slicery.ticket import RecordSpan, Ticket, TicketFile
from slicery_service.wrapping.parts import SliceFile
from slicery_service.wrapping.point_header import CLASSES
from slicery_workers.previews import statistics
from slicery_workers.previews.content import Column, Content
from slicery_workers.previews.sampling import Indexed, Place, Sample, Source, Spent

N_PLACES = 4
PER_PLACE = 2000
MOST_ROWS = 100
SLICE_BYTES = 192 << 10
"""Bytes that a slice of the sample shall have; compressed chunks cannot be divided."""
MOST_SLICES = 20_000

COORDINATES = ("x", "y", "z")
LEFT_OUT = {"X", "Y", "Z", "bit_fields", "raw_classification", "classification_flags"}
COUNTED = ("classification", "return_number", "number_of_returns", "point_source_id", "scanner_channel")
MEASURED = ("z", "intensity", "gps_time", "scan_angle", "scan_angle_rank", "red", "green", "blue", "nir")
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)

Values = dict[str, NDArray[Any]]


def preview(dataset: Indexed) -> Content:
    """Preview points: those that slices give, with scaled coordinates."""
    found, clouds = _sample(dataset)
    if not clouds:
        return Content([], [], [], found)
    names = list(clouds[0])
    first = [clouds[0][name][:MOST_ROWS].tolist() for name in names]
    columns = [Column(name, _type_of(clouds[0][name])) for name in names]
    joined = {
        name: np.concatenate([each[name] for each in clouds])
        for name in names
        if all(name in each for each in clouds)
    }
    return Content(columns, list(zip(*first, strict=True)), _statistics(joined, found.of), found)


def _sample(dataset: Indexed) -> tuple[Sample, list[Values]]:
    size = sum(dataset.sizes)
    n_slices = min(MOST_SLICES, max(N_PLACES, size // SLICE_BYTES))
    plan, source = dataset.plan(n_slices), Source(dataset.fetch, dataset.sizes)
    clouds, places, problem = [], [], None
    for number in sorted({at * n_slices // N_PLACES for at in range(N_PLACES)}):
        n_records = plan.records(number, number + 1)[0][1]
        try:
            cloud = _loaded(dataset, dataset.files(plan, number), n_records, Place(source))
        except Spent:
            problem = "its smallest slices are larger than what previews read"
            continue
        kept = {name: values[:PER_PLACE] for name, values in cloud.items()}
        if len(kept["x"]):
            clouds.append(kept)
            places.append(list(range(len(kept["x"]))))
    return Sample(places, source.n_bytes, dataset.n_records, None if clouds else problem), clouds


def _loaded(dataset: Indexed, files: Sequence[SliceFile], n_records: int, place: Place) -> Values:
    form = dataset.form
    steps = files[0].decode
    named = tuple(
        TicketFile(f"object{file.object}{form.slice_suffix or ''}", form.media_type, (), file.decode)
        for file in files
    )
    span = RecordSpan(form.unit, 0, n_records)
    ticket = Ticket("p_preview", 0, 1, "d_preview", 1, form.name, "none", span, named, steps, _NEVER)
    cloud = loading.load(ticket, lambda ordinal: b"".join(place.blocks(files[ordinal])))
    dimensions = [name for name in cloud.point_format.dimension_names if name not in LEFT_OUT]
    places = [min(12, max(0, math.ceil(-math.log10(scale)))) for scale in cloud.header.scales]
    found: Values = {
        name: np.asarray(getattr(cloud, name), np.float64).round(digits)
        for name, digits in zip(COORDINATES, places, strict=True)
    }
    for name in dimensions:
        values = np.asarray(cloud[name])
        if values.ndim == 1:
            found[name] = values
    return found


def _type_of(values: NDArray[Any]) -> str:
    return "double" if values.dtype.kind == "f" else "int64"


def _statistics(values: Values, of: str) -> list[dict[str, Any]]:
    told = []
    for name in MEASURED:
        if name in values and np.ptp(values[name]) > 0:
            drawn = statistics.histogram(values[name], whole=values[name].dtype.kind != "f")
            told += statistics.named(name, name.replace("_", " "), of, drawn, measure="points")
    for name in COUNTED:
        if name in values and np.ptp(values[name]) > 0:
            listed = [
                CLASSES.get(each, str(each)) if name == "classification" else str(each)
                for each in values[name].tolist()
            ]
            told += statistics.named(
                name, name.replace("_", " "), of, statistics.counts(listed), measure="points"
            )
    return told
