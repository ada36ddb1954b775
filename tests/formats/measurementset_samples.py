"""MeasurementSets written with python-casacore: each storage manager, several spectral windows, irregular baselines."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from casacore import tables as ct

N_ANTENNAS = 5
T0 = 4_913_145_000.0
WINDOWS = (6, 3)
"""Channels of each spectral window."""
N_CORR = 2

STANDARD: dict[str, Any] = {}
COLUMN = {
    "*1": {
        "TYPE": "TiledColumnStMan",
        "NAME": "Bulk",
        "COLUMNS": ["DATA", "FLAG", "COUNTS"],
        "SPEC": {"DEFAULTTILESHAPE": [2, 4, 7]},
    },
    "*2": {
        "TYPE": "TiledColumnStMan",
        "NAME": "Uvw",
        "COLUMNS": ["UVW"],
        "SPEC": {"DEFAULTTILESHAPE": [2, 5]},
    },
    "*3": {
        "TYPE": "IncrementalStMan",
        "NAME": "Inc",
        "COLUMNS": ["TIME", "SCAN_NUMBER", "FLAG_ROW", "LABEL"],
    },
}


def bulk(kind: str, tile: Sequence[int], *columns: str) -> dict[str, Any]:
    """Return a manager of a kind for each of some columns."""
    return {
        f"*{number}": {
            "TYPE": kind,
            "NAME": f"Tiled{name}",
            "COLUMNS": [name],
            "SPEC": {"DEFAULTTILESHAPE": tile},
        }
        for number, name in enumerate(columns, 1)
    }


SHAPE = bulk("TiledShapeStMan", [2, 4, 5], "DATA", "FLAG", "COUNTS")
CELL = bulk("TiledCellStMan", [2, 2], "DATA", "FLAG", "COUNTS")
MEMORY = {
    "*1": {"TYPE": "MemoryStMan", "NAME": "Mem", "COLUMNS": ["GAIN", "LABEL", "COUNTS"], "SPEC": {}},
}
KEYS = {
    "*1": {
        "TYPE": "TiledColumnStMan",
        "NAME": "Keys",
        "COLUMNS": ["ANTENNA1", "ANTENNA2"],
        "SPEC": {"DEFAULTTILESHAPE": [16]},
    }
}
KEYS_HYPER = {"Keys": {"HCndim": 1, "HCdatanames": ["ANTENNA1", "ANTENNA2"]}}
BULK_HYPER = {"Bulk": {"HCndim": 3, "HCdatanames": ["DATA", "FLAG", "COUNTS"]}}


def write(
    path: Path,
    managers: Mapping[str, Any] = STANDARD,
    *,
    n_times: int = 9,
    windows: Sequence[int] = WINDOWS,
    fixed: bool = False,
    reverse: bool = False,
    extra: Mapping[str, Any] = STANDARD,
    hyper: Mapping[str, Any] = STANDARD,
    seed: int = 1,
) -> Path:
    """Write a MeasurementSet of `n_times` timestamps, each with other baselines, in all spectral windows.

    Cells of bulk columns have one shape where `fixed`; with `reverse`, rows are filled from the last to the first.
    `extra` are more columns, which stay empty, and `hyper` definitions of hypercolumns.
    """
    rng = np.random.default_rng(seed)
    table = ct.default_ms(
        str(path), {**_description(windows, fixed, extra), **_hypercolumns(hyper)}, dict(managers)
    )
    rows = _rows(rng, n_times, len(windows))
    table.addrows(len(rows))
    order = range(len(rows) - 1, -1, -1) if reverse else range(len(rows))
    for row in order:
        _fill(table, row, rows[row], windows, rng, fixed)
    _fill_subtables(path, windows)
    table.close()
    return path


def contents(path: Path) -> dict[str, bytes]:
    """Return a folder's files as objects, in the order of their keys; empty ones are no objects."""
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder) / name
            if data := file.read_bytes():
                found[str(Path(path.name) / file.relative_to(path))] = data
    return dict(sorted(found.items(), key=lambda item: item[0].encode()))


def copied(path: Path, target: Path, **options: Any) -> Path:
    """Copy a table deep, as another byte order for example."""
    with ct.table(str(path), ack=False) as table:
        table.copy(str(target), deep=True, valuecopy=True, **options).close()
    return target


def write_data_manager(path: Path) -> Path:
    """Write a MeasurementSet whose bulk columns are under TiledDataStMan."""
    write(path, {"*1": COLUMN["*1"]}, fixed=True, hyper=BULK_HYPER)
    with ct.table(str(path), ack=False) as table:
        n_rows = int(table.nrows())
        (number,) = (int(info["SEQNR"]) for info in table.getdminfo().values() if info["NAME"] == "Bulk")
    as_data_manager(path, number, n_rows)
    return path


def write_odd(path: Path) -> Path:
    """Write columns that few have: flag categories, texts in two axes, cells of any number of axes, unsigned numbers.

    Columns that are often there are not, rows were removed, and TIME has no order.
    """
    extra = ct.maketabdesc([
        ct.makearrcoldesc("FLAG_CATEGORY", False, ndim=3, valuetype="bool"),
        ct.makearrcoldesc("TEXTS", "", ndim=2, valuetype="string"),
        ct.makearrcoldesc("ANY", 0.0, ndim=-1, valuetype="double"),
        ct.makearrcoldesc("UNSIGNED", 0, ndim=1, shape=[3], valuetype="uint", options=5),
    ])  # fmt: skip
    managers = {"*1": {"TYPE": "StandardStMan", "NAME": "Odd", "COLUMNS": ["TEXTS", "ANY"], "SPEC": {}}}
    write(path, managers, n_times=6, extra=extra)
    rng = np.random.default_rng(5)
    with ct.table(str(path), readonly=False, ack=False) as table:
        for row in range(table.nrows()):
            table.putcell("UNSIGNED", row, rng.integers(0, 1 << 32, 3).astype(np.uint32))
            if row % 2:
                table.putcell("TEXTS", row, np.array([["a", "ü\n"], ["", "x" * row]]))
                table.putcell("ANY", row, rng.random((2, 1, 3)[: 1 + row % 3]))
            if row % 3:
                table.putcell("FLAG_CATEGORY", row, rng.random((1, 2, 3)) < 0.5)
        table.putcol("TIME", rng.permutation(table.getcol("TIME")))
        table.removerows(list(range(3, table.nrows(), 4)))
        table.removecols(["SCAN_NUMBER", "EXPOSURE"])
    return path


def as_data_manager(path: Path, number: int, n_rows: int) -> None:
    """Turn a table's TiledColumnStMan of a number into a TiledDataStMan, which no Python interface can fill.

    The tiles are the same; the headers differ in the manager's name and in a map of rows
    (casacore/tables/DataMan/TiledDataStMan.cc).
    """
    new = b"TiledDataStMan"
    rename_manager(path, number, "TiledColumnStMan", "TiledDataStMan")
    header = (path / f"table.f{number}").read_bytes()
    base = header[header.index(b"TiledStMan", 20) - 8 :]
    half = n_rows // 2  # two intervals of rows, one behind the other in the cube
    maps = _block([0, half], "Q") + _block([0, 0], "I") + _block([0, half], "I")
    body = struct.pack(">I", len(new)) + new + struct.pack(">I", 2) + base + struct.pack(">Q", n_rows) + maps
    written = struct.pack(">II", 0xBEBEBEBE, len(body) + 4) + body
    (path / f"table.f{number}").write_bytes(written)


def rename_manager(path: Path, number: int, old: str, new: str) -> None:
    """Write another type of storage manager into a table's description."""
    main = bytearray((path / "table.dat").read_bytes())
    before, after = (
        struct.pack(">I", len(kind)) + kind.encode() + struct.pack(">I", number) for kind in (old, new)
    )
    at = main.rindex(before)
    main[at : at + len(before)] = after
    struct.pack_into(">I", main, 4, struct.unpack_from(">I", main, 4)[0] + len(new) - len(old))
    (path / "table.dat").write_bytes(main)


def _block(values: Sequence[int], kind: str) -> bytes:
    body = struct.pack(">I", 5) + b"Block" + struct.pack(">II", 1, len(values))
    body += struct.pack(f">{len(values)}{kind}", *values)
    return struct.pack(">I", len(body) + 4) + body


def _description(windows: Sequence[int], fixed: bool, extra: Mapping[str, Any]) -> Any:
    shape = [windows[0], N_CORR] if fixed else []
    description = ct.required_ms_desc("MAIN")
    for name in ("FLAG", "FLAG_CATEGORY"):
        description.pop(name, None)
    array = ct.makearrcoldesc
    columns = [
        array("DATA", 0j, ndim=2, shape=shape, valuetype="complex", keywords={"UNIT": "Jy"}),
        array("FLAG", False, ndim=2, shape=shape, valuetype="bool"),
        array("COUNTS", 0, ndim=2, shape=shape, valuetype="short"),
        array("NAMES", "", ndim=1, valuetype="string"),
        ct.makescacoldesc("LABEL", "", valuetype="string"),
        ct.makescacoldesc("BYTE", 0, valuetype="uchar"),
        ct.makescacoldesc("GAIN", 0j, valuetype="dcomplex"),
    ]
    description.update(ct.maketabdesc(columns))
    description.update(extra)
    return description


def _hypercolumns(hyper: Mapping[str, Any]) -> dict[str, Any]:
    return {"_define_hypercolumn_": dict(hyper)} if hyper else {}


def _rows(rng: np.random.Generator, n_times: int, n_windows: int) -> list[dict[str, Any]]:
    pairs = [(i, j) for i in range(N_ANTENNAS) for j in range(i, N_ANTENNAS)]
    rows = []
    for time in range(n_times):
        chosen = sorted(rng.choice(len(pairs), size=int(rng.integers(1, len(pairs))), replace=False).tolist())
        for pair in chosen:
            for window in range(n_windows):
                first, second = pairs[pair]
                rows.append({"time": time, "first": first, "second": second, "window": window})
    return rows


def _fill(
    table: Any,
    row: int,
    told: Mapping[str, int],
    windows: Sequence[int],
    rng: np.random.Generator,
    fixed: bool,
) -> None:
    shape = (windows[0] if fixed else windows[told["window"]], N_CORR)
    scalars = {
        "TIME": T0 + 10.0 * told["time"],
        "TIME_CENTROID": T0 + 10.0 * told["time"] + 0.25,
        "ANTENNA1": told["first"],
        "ANTENNA2": told["second"],
        "DATA_DESC_ID": told["window"],
        "FIELD_ID": told["time"] // 4 % 2,
        "SCAN_NUMBER": 1 + told["time"] // 3,
        "FLAG_ROW": bool(rng.integers(2)),
        "INTERVAL": 10.0,
        "EXPOSURE": 9.5,
        "LABEL": f"Zeile {row} ä" if row % 3 else "",
        "BYTE": row % 251,
        "GAIN": complex(row, -row),
    }
    for name, value in scalars.items():
        table.putcell(name, row, value)
    table.putcell("UVW", row, rng.normal(size=3) * 1000)
    table.putcell("WEIGHT", row, rng.random(N_CORR).astype(np.float32))
    table.putcell("SIGMA", row, rng.random(N_CORR).astype(np.float32))
    if row % 4 == 1:
        table.putcell("NAMES", row, [f"n{row}", "", "ü"][: 1 + row % 3])
    if row % 11 == 5 and not fixed:
        return  # a row without data
    noise = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    noise[rng.random(shape) < 0.05] = complex("nan")
    table.putcell("DATA", row, noise.astype(np.complex64))
    table.putcell("FLAG", row, rng.random(shape) < 0.3)
    table.putcell("COUNTS", row, rng.integers(-30000, 30000, shape).astype(np.int16))


def _fill_subtables(path: Path, windows: Sequence[int]) -> None:
    with ct.table(f"{path}::ANTENNA", readonly=False, ack=False) as antennas:
        antennas.addrows(N_ANTENNAS)
        antennas.putcol("NAME", [f"ANT{number}" for number in range(N_ANTENNAS)])
    with ct.table(f"{path}::FIELD", readonly=False, ack=False) as fields:
        fields.addrows(2)
        fields.putcol("NAME", ["3C286", "target"])
        for row in range(2):
            fields.putcell("PHASE_DIR", row, np.array([[0.1 + row, -0.5]]))
    with ct.table(f"{path}::SPECTRAL_WINDOW", readonly=False, ack=False) as spectral:
        spectral.addrows(len(windows))
        for row, n_channels in enumerate(windows):
            spectral.putcell("NUM_CHAN", row, n_channels)
            spectral.putcell("NAME", row, f"SPW{row}")
            spectral.putcell("CHAN_FREQ", row, 1.4e9 + 1e6 * np.arange(n_channels) + 1e8 * row)
    with ct.table(f"{path}::DATA_DESCRIPTION", readonly=False, ack=False) as descriptions:
        descriptions.addrows(len(windows))
        descriptions.putcol("SPECTRAL_WINDOW_ID", np.arange(len(windows), dtype=np.int32))
    with ct.table(f"{path}::OBSERVATION", readonly=False, ack=False) as observation:
        observation.addrows(1)
        observation.putcell("TELESCOPE_NAME", 0, "VLA")
        observation.putcell("OBSERVER", 0, "Jansky")
