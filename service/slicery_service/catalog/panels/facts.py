"""The panel of everything else in a summary: single values, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from slicery_service.catalog import words
from slicery_service.models import JsonObject
from slicery_service.search import NAMED

LEFT_OUT = {
    *NAMED,
    "types",
    "values",
    "footprint",
    "bounds",
    "lonlat_bounds",
    "crs",
    "z",
    "heights",
    "classes",
    "returns",
    "objects",
}
"""What other panels show."""
TOLD = {
    "vcf": {"sorted", "samples", "version", "n_contigs"},
    "fasta": {"residues", "longest"},
    "jsonl": {"sampled"},
    "copc": {"levels"},
}
"""And what the panels of one format show."""
ORDER = (
    "width", "height", "bands", "dtype", "nodata", "mask", "colors", "layout", "block", "overviews", "compression",
    "mode", "image_size", "pixels", "pixel_size_um", "mz_range", "spectrum_type", "polarity", "instrument",
    "telescope", "observers", "n_rows", "time_span", "n_times", "n_baselines", "antennas",
    "version", "point_format", "record_length", "scales", "offsets", "gps_times", "dialect",
)  # fmt: skip
"""What comes first; the store keeps no order of names."""
LABELS = {
    "dtype": "type", "n_rows": "rows", "n_times": "times", "n_baselines": "baselines", "n_channels": "channels",
    "mz_range": "m/z", "pixel_size_um": "pixel size, µm", "uuid": "UUID", "gps_times": "GPS times",
    "frequencies": "frequencies, MHz", "shapes": "shape",
}  # fmt: skip
LONGEST_TEXT = 200
MOST_ITEMS = 12
MHZ = 1e6
TIMES = " \N{MULTIPLICATION SIGN} "


def facts(view: JsonObject) -> Mapping[str, Any] | None:
    """Return the single values of a summary, and the options of the registration, as names and texts."""
    left_out = LEFT_OUT | TOLD.get(view["format"], set())
    chosen = {name: value for name, value in view["summary"].items() if name not in left_out}
    rows = [*_rows(dict(sorted(chosen.items(), key=_place))), *_arrays(view["summary"].get("types"))]
    options = list(_rows(view["options"]))
    return {"rows": rows, "options": options} if rows or options else None


def label_of(name: str) -> str:
    """Return the name of a value as people read it."""
    return LABELS.get(name, name.replace("_", " "))


def is_listed(value: Any) -> bool:
    """Tell whether a value is a list of objects, which stands in a table, or of nothing."""
    return isinstance(value, list) and all(each is None or isinstance(each, dict) for each in value)


def told_of(name: str, value: Any) -> str:
    """Write a value in words, as its name asks: sizes with a cross, ranges from and to."""
    tell = _TOLD_BY_NAME.get(name)
    return told(value) if tell is None or not isinstance(value, list) or not value else tell(value)


def told(value: Any) -> str:
    """Write a value of a summary in words."""
    if value is None:
        return words.DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list):
        shown = ", ".join(told(each) for each in value[:MOST_ITEMS])
        return shown + (f" and {len(value) - MOST_ITEMS:,} more" if len(value) > MOST_ITEMS else "")
    if isinstance(value, dict):
        return ", ".join(f"{name} {told(each)}" for name, each in list(value.items())[:MOST_ITEMS])
    text = str(value)
    return repr(text) if not text.strip() else text[:LONGEST_TEXT]


def _place(item: tuple[str, Any]) -> int:
    return ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)


def _rows(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict) and not prefix:
            yield from _rows(value, f"{name} ")
        elif value not in (None, "", []) and not is_listed(value):
            yield prefix + label_of(name), told_of(prefix + name, value)


def _arrays(types: Any) -> Iterator[tuple[str, str]]:
    """Yield the types of a spectrum's arrays, if all have the same; others stand in a table."""
    if isinstance(types, list) and len(types) == 1 and isinstance(types[0], dict):
        yield "arrays", told(types[0])


def _times(value: Sequence[Any]) -> str:
    return TIMES.join(map(told, value))


def _sizes(value: Sequence[Any]) -> str:
    shown = [_times(each) for each in value[:MOST_ITEMS] if isinstance(each, list)]
    return ", ".join(shown) + (f" and {len(value) - MOST_ITEMS:,} more" if len(value) > MOST_ITEMS else "")


def _span(value: Sequence[Any]) -> str:
    return told(value[0]) if len(set(map(str, value))) == 1 else f"{told(value[0])} to {told(value[-1])}"


def _megahertz(value: Sequence[Any]) -> str:
    return _span([each / MHZ for each in value if isinstance(each, int | float)] or [None])


def _digits(value: Sequence[Any]) -> str:
    return ", ".join(f"{each:.12g}" if isinstance(each, int | float) else told(each) for each in value)


_TOLD_BY_NAME: Mapping[str, Callable[[Sequence[Any]], str]] = {
    **dict.fromkeys(("block", "image_size", "pixel_size_um", "shape"), _times),
    **dict.fromkeys(("overviews", "shapes"), _sizes),
    **dict.fromkeys(("mz_range", "time_span", "gps_times", "pixels x", "pixels y", "pixels z"), _span),
    **dict.fromkeys(("transform", "offsets", "scales"), _digits),
    "frequencies": _megahertz,
}
