"""What the catalog shows of FASTA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slicery_service.record_index import Tables
from slicery_service.sequences import totals_of, unpack
from slicery_workers.scanners import Summary

_NAMES = 10
"""Sequences that the summary names."""


def describe(tables: Tables) -> Summary:
    """Return what the catalog shows of an object."""
    (totals,) = totals_of(tables)
    sequences = unpack(tables.get("sequences", np.empty(0, np.uint8)))
    rows = range(min(_NAMES, len(sequences)))
    summary: dict[str, Any] = {
        "residues": int(totals["residues"]),
        "longest": int(totals["longest"]),
        "sequences": [
            {"name": _name(sequences.header(row)), "length": int(sequences.length[row])} for row in rows
        ],
    }
    if totals["bases"]:
        summary["line_residues"] = int(totals["bases"])
    if totals["complete_from"] > 1:
        summary["smallest_window"] = int(totals["complete_from"]) - 1
    return summary


def join_summaries(summaries: Sequence[Summary]) -> Summary:
    """Add up what is known of several objects; stretches say nothing."""
    known = [summary for summary in summaries if summary]
    if not known:
        return {}
    widths = {summary.get("line_residues") for summary in known}
    joined = {
        "residues": sum(summary["residues"] for summary in known),
        "longest": max(summary["longest"] for summary in known),
        "sequences": [each for summary in known for each in summary["sequences"]][:_NAMES],
    }
    if len(widths) == 1 and None not in widths:
        joined["line_residues"] = widths.pop()
    if windows := [summary["smallest_window"] for summary in known if "smallest_window" in summary]:
        joined["smallest_window"] = max(windows)
    return joined


def _name(header: bytes) -> str:
    words = header.split(None, 1)
    return words[0].decode("utf-8", "replace") if words else ""
