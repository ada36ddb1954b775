"""Write rows as a MeasurementSet, with python-casacore: columns as they are described, and all sub-tables."""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from slicery.decoders.measurementset_cells import Cells
from slicery.errors import DecodeError, MissingExtra

if TYPE_CHECKING:
    from slicery.decoders.measurementset import Visibilities

WRITTEN_AS = {
    "StandardStMan": "StandardStMan",
    "IncrementalStMan": "IncrementalStMan",
    "TiledColumnStMan": "TiledColumnStMan",
    "TiledShapeStMan": "TiledShapeStMan",
    "TiledCellStMan": "TiledShapeStMan",  # casacore fails to put columns of cells of several rows
    "TiledDataStMan": "TiledShapeStMan",  # its hypercubes are made by a program, not by writing cells
}
"""By a column's manager, the one that it is written with; all others become StandardStMan."""


def write(value: Visibilities, path: Path) -> Path:
    """Write a MeasurementSet as the folder `path`, which must not be there; it appears when it is whole."""
    try:
        from casacore import tables
    except ModuleNotFoundError as exc:
        raise MissingExtra(
            "writing a MeasurementSet needs python-casacore, which is not installed: pip install 'slicery[casacore]'"
        ) from exc
    if not path.parent.is_dir():
        raise FileNotFoundError(f"expected a folder {path.parent} to write into, found none")
    if (path.parent / "table.dat").exists():  # where a folder to write into was named
        raise FileExistsError(f"expected no file or folder {path.parent}, found a table")
    if path.exists():
        raise FileExistsError(f"expected no file or folder {path}, found one")
    head, files = _unpacked(value)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        empty, made = Path(folder) / "empty.ms", Path(folder) / "made.ms"
        for file, content in files.items():
            _place(empty, file).write_bytes(content)
        try:
            with _made(tables, empty, made, list(value.arrays), head) as table:
                table.addrows(len(value))
                for name, values in value.arrays.items():
                    _put(table, name, values)
        except RuntimeError as exc:
            raise DecodeError(f"casacore cannot write {path}: {exc}") from exc
        for name in {PurePosixPath(file).parts[0] for file in files if "/" in file}:
            shutil.rmtree(made / name, ignore_errors=True)
            shutil.copytree(empty / name, made / name)
        made.rename(path)
    return path


def _unpacked(value: Visibilities) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return how columns are stored, and the files: of the main table without rows, and of all sub-tables."""
    try:
        content = lzma.decompress(value.subtables())
        length = int.from_bytes(content[:4], "little")
        head = json.loads(content[4 : 4 + length])
    except (lzma.LZMAError, ValueError) as exc:
        raise DecodeError(f"the sub-tables of a MeasurementSet are damaged: {exc}") from exc
    files, at = {}, 4 + length
    for path, size in head["files"]:
        files[path] = content[at : at + size]
        at += size
    return head, {**files, **{path: bytes(read()) for path, read in value.later.items()}}


def _made(tables: Any, empty: Path, made: Path, columns: Sequence[str], head: Mapping[str, Any]) -> Any:
    """Copy the table without rows, whose columns are in memory, so that they are stored as in the whole one.

    Where casacore cannot make one of their managers so, all become StandardStMan.
    """
    infos = {}
    for number, (name, each) in enumerate(head["managers"].items(), 1):
        held = [column for column in each["columns"] if column in columns]
        kind = WRITTEN_AS.get(each["type"], "StandardStMan")
        spec = {}
        if kind.startswith("Tiled") and each["tile"] and each["type"] != "TiledCellStMan":
            spec = {"DEFAULTTILESHAPE": np.array(each["tile"], np.int32)}
        if held:
            infos[f"*{number}"] = {"TYPE": kind, "NAME": name, "SPEC": spec, "COLUMNS": held}
    standard = {"TYPE": "StandardStMan", "NAME": "StandardStMan", "SPEC": {}, "COLUMNS": list(columns)}
    with tables.table(str(empty), readonly=False, ack=False) as source:
        unwanted = [name for name in source.colnames() if name not in columns]
        if unwanted:
            source.removecols(unwanted)
        try:
            return _copied(tables, source, made, infos)
        except RuntimeError:
            shutil.rmtree(made, ignore_errors=True)
            return _copied(tables, source, made, {"*1": standard})


def _copied(tables: Any, source: Any, made: Path, infos: Mapping[str, Any]) -> Any:
    source.copy(str(made), deep=True, valuecopy=True, dminfo=infos).close()
    return tables.table(str(made), readonly=False, ack=False)


def _put(table: Any, name: str, values: Any) -> None:
    if not len(values):
        return
    if not isinstance(values, Cells):
        _put_run(table, name, 0, values)
        return
    for places, cells in values.groups:
        breaks = np.flatnonzero(np.diff(places) != 1) + 1
        for run, found in zip(np.split(places, breaks), np.split(cells, breaks), strict=True):
            _put_run(table, name, int(run[0]), found)


def _put_run(table: Any, name: str, first: int, values: Any) -> None:
    if values.dtype.kind == "U" and values.ndim == 1:
        table.putcol(name, values.tolist(), first, len(values))
    elif values.dtype.kind == "U":
        for number, cell in enumerate(values):
            table.putcell(name, first + number, cell)
    else:
        table.putcol(name, np.ascontiguousarray(values), first, len(values))


def _place(root: Path, file: str) -> Path:
    """Return where a file of a table goes, making its folder; DecodeError where that is outside."""
    steps = PurePosixPath(file)
    if steps.is_absolute() or ".." in steps.parts or not steps.parts:
        raise DecodeError(f"expected a file of a table, found {file!r}")
    target = root.joinpath(*steps.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
