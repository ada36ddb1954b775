"""Panels along sequences: the lengths of sequences, the density of variants along contigs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slicery_service.catalog import words
from slicery_service.catalog.panels import names
from slicery_service.catalog.panels.charts import Row
from slicery_service.models import JsonObject

Context = Mapping[str, Any]


def lengths(view: JsonObject) -> Context | None:
    """Return how long sequences are: N50 and sum, and bars of some."""
    found = _named(view, "contigs")
    if found is None:
        return None
    longest = max((each["length"] for each in found["contigs"]), default=0) or 1
    rows = [
        Row(each["name"], f"{each['length']:,}", 100 * each["length"] / longest) for each in found["contigs"]
    ]
    facts = [
        ("Sequences", f"{found['n_sequences']:,}"),
        ("Residues", f"{found['total']:,}"),
        ("N50", f"{found['n50']:,}" if found["n50"] is not None else f"at most {found['least_known']:,}"),
        ("Longest", f"{longest:,}"),
    ]
    return {
        "facts": facts,
        "title": found["title"],
        "rows": rows,
        "n_more": found["n_more"],
        "unit": "residues",
    }


def sequences(view: JsonObject) -> Context | None:
    """Return the first sequences as the summary names them, where no preview tells more."""
    return None if _named(view, "contigs") else names.sequences(view)


def contigs(view: JsonObject) -> Context | None:
    """Return the contigs as the summary names them, where no preview tells more."""
    return None if _named(view, "density") else names.contigs(view)


def density(view: JsonObject) -> Context | None:
    """Return the density along each contig, as a path in a box as wide as the longest has bins."""
    found = _named(view, "density")
    if found is None:
        return None
    contigs = found["contigs"]
    n_bins = max(len(each["counts"]) for each in contigs)
    most = max((max(each["counts"], default=0) for each in contigs), default=0) or 1
    rows = [
        {
            "name": each["name"],
            "records": words.count(each["records"]),
            "length": words.count(each["length"]),
            "width": len(each["counts"]),
            "path": _steps(each["counts"], most),
            "label": f"{each['name']}: {each['records']:,} records along {each['length']:,} bases",
        }
        for each in contigs
    ]
    summary = view["summary"]
    facts = [
        ("Samples", words.count(summary.get("samples"))),
        ("Contigs", words.count(summary.get("n_contigs"))),
    ]
    if "sorted" in summary:
        facts.append(("Sorted", "yes" if summary["sorted"] else "no"))
    facts.append(("Version", str(summary.get("version", words.DASH))))
    return {
        "facts": facts,
        "rows": rows,
        "n_bins": n_bins,
        "bin": words.count(found["bin"]),
        "n_more": found["n_more"],
    }


def _steps(counts: Sequence[float], most: float) -> str:
    """Return a path of steps in a box 20 high."""
    tops = (20 - max(20 * count / most, 0.8 if count >= 0.5 else 0) for count in counts)
    return "M0 20" + "".join(f"V{top:.3g}h1" for top in tops) + "V20z"


def _named(view: JsonObject, name: str) -> JsonObject | None:
    held = view["preview"]["statistics"]
    return next(
        (each for each in held if each["name"] == name and each["kind"] in ("lengths", "density")), None
    )
