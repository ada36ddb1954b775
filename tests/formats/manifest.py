"""The sample files beside the repository, and what an independent reader has counted in them (MANIFEST.tsv)."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "shared" / "data"


@cache
def rows() -> dict[str, dict[str, str]]:
    """Return the rows of data files by path; none where the folder is not there."""
    path = FOLDER / "MANIFEST.tsv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file, delimiter="\t") if row["role"] == "data"}


def files(*formats: str) -> list[str]:
    """Return the paths of all files of these formats."""
    return [path for path, row in rows().items() if row["format"] in formats]


def gzip_files() -> list[str]:
    """Return the paths of all files under gzip or BGZF whose text is lines of some kind."""
    wanted = ("gzip", "csv", "jsonl", "vcf", "fasta", "mzml", "text")
    return [path for path in files(*wanted) if (FOLDER / path).read_bytes().startswith(b"\x1f\x8b")]


def facts(path: str) -> dict[str, str]:
    """Return the facts of a file, such as {"records": "2500"}."""
    pairs = (fact.partition("=") for fact in rows()[path]["facts"].split("; "))
    return {name.strip(): value for name, _, value in pairs}
