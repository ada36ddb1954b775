"""Stream the XML of an imzML: the header to lxml, the spectra through a kernel, a block at a time.

lxml's events alone take four times as long as the kernel takes in all, and reading their attributes as much again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.errors import MalformedRecord
from slicery_workers.indexers import imzml_header
from slicery_workers.indexers.imzml_header import Header
from slicery_workers.kernels import imzml as kernel
from slicery_workers.kernels.xml import TAG_SIZE
from slicery_workers.reader import ObjectReader

BLOCK_BYTES = 4 << 20
MOST_TAG_BYTES = 16 << 20
"""Bytes that a tag, and what stands before it, may take."""
MOST_HEADER_BYTES = 64 << 20
_ROWS = 1 << 14
_READ_SHARE = 4
"""Blocks of a quarter of a reader's memory are enough: the places of millions of spectra need the rest."""
_SHOWN = 40

_HINT = "Export the imzML again, or check that it was copied whole."
_NAMES = {
    kernel.IMS + 1000050: "position x",
    kernel.IMS + 1000051: "position y",
    kernel.IMS + 1000052: "position z",
    kernel.IMS + 1000102: "external offset",
    kernel.IMS + 1000103: "external array length",
    kernel.IMS + 1000104: "external encoded length",
}
_TERMS = {
    kernel.POSITIVE: "MS:1000130",
    kernel.NEGATIVE: "MS:1000129",
    kernel.CENTROID: "MS:1000127",
    kernel.PROFILE: "MS:1000128",
    kernel.MS1: "MS:1000579",
    kernel.LEVEL_1: "MS:1000511",
}
"""The terms of spectra that slices keep."""
Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class Scanned:
    """What the XML says: the header, and of all spectra columns by name, int64 (spectra,) each unless narrower.

    `at` are the places of the spectra in the XML; `tics` (float64) are negative where there is none; `flags` are those
    of the kernel; `groups` what all spectra and all scans refer to, and `terms`, some that all spectra have.
    """

    header: Header
    columns: dict[str, NDArray[Any]]
    tics: NDArray[np.float32]
    flags: int
    mz_range: tuple[float, float] | None
    groups: Mapping[str, list[str]]


def scan(reader: ObjectReader) -> Scanned:
    """Read all of an imzML; MalformedRecord where it breaks the format."""
    reader.lessen(_READ_SHARE)
    return _Scan(reader).run()


COLUMNS = (
    "x", "y", "z",
    "mz_type", "mz_compression", "mz_offset", "mz_length", "mz_encoded",
    "intensity_type", "intensity_compression", "intensity_offset", "intensity_length", "intensity_encoded",
    "at",
)  # fmt: skip


@dataclass
class _Scan:
    """The state of a scan."""

    reader: ObjectReader
    header: Header | None = None
    chunks: dict[str, list[NDArray[Any]]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    tics: list[NDArray[np.float32]] = field(default_factory=list)

    def run(self) -> Scanned:
        """Go over all blocks."""
        self._groups = imzml_header.packed({})
        self._tag = np.zeros(TAG_SIZE, np.int64)
        self._state = np.zeros(kernel.STATE, np.int64)
        self._reals = np.array([-1, np.inf, -np.inf])
        self._rows = np.empty((_ROWS, kernel.N_COLUMNS), np.int64)
        self._row_tics = np.empty(_ROWS)
        rest, base, head = b"", 0, []
        for start in range(0, self.reader.size, BLOCK_BYTES):
            block = self.reader.pread(start, start + BLOCK_BYTES)
            if start == 0:
                _check_encoding(block[:200])
            if self.header is None:
                head.append(block)
            text = rest + block
            at = self._scan(text, base, head)
            if self._state[kernel.STATUS] == kernel.CLOSED:
                return self._found()
            rest, base = text[at:], base + at
            if len(rest) > MOST_TAG_BYTES or (self.header is None and base > MOST_HEADER_BYTES):
                raise self._problem(
                    f"expected a tag or a list of spectra within 16 MiB of byte {base}, found none"
                )
        raise self._problem(
            f"the XML ends at byte {self.reader.size}, before the end of mzML: it is truncated"
        )

    def _scan(self, text: bytes, base: int, head: list[bytes]) -> int:
        """Scan a block; return up to where."""
        block, at, state = np.frombuffer(text, np.uint8), 0, self._state
        while True:
            at, n_rows = kernel.scan_spectra(
                block, at, base, self._groups, self._tag, state, self._reals, self._rows, self._row_tics
            )
            self._keep(n_rows)
            match int(state[kernel.STATUS]):
                case kernel.FOUND_LIST:
                    self.header = imzml_header.parse(b"".join(head)[: base + at])
                    self._groups = imzml_header.packed(self.header.groups)
                case kernel.FULL:
                    pass
                case kernel.MORE | kernel.CLOSED:
                    return int(at)
                case status:
                    raise self._refused(status, text, base)

    def _keep(self, n_rows: int) -> None:
        """Put rows by, in types as narrow as they allow."""
        if n_rows:
            columns = self._rows[:n_rows].T
            for name, each in zip(COLUMNS, columns, strict=True):
                self.chunks[name].append(_narrowed(each))
            self.tics.append(self._row_tics[:n_rows].astype(np.float32))

    def _found(self) -> Scanned:
        header, state = self.header, self._state
        if header is None:
            raise self._problem("expected a list of spectra before the end of mzML, found none")
        found, wanted = int(state[kernel.N_SPECTRA]), int(state[kernel.WANTED])
        if wanted not in (-1, found):
            raise self._problem(
                f"expected {wanted} spectra, as the spectrumList before byte {header.stop} says, found {found}"
            )
        columns = {name: _joined(self.chunks.pop(name)) for name in COLUMNS}
        tics = np.concatenate(self.tics or [np.empty(0, np.float32)])
        low, high = float(self._reals[kernel.LOWEST]), float(self._reals[kernel.HIGHEST])
        mz_range = (low, high) if np.isfinite([low, high]).all() else None
        common = {**self._common_groups(header), "terms": self._common_terms()}
        return Scanned(header, columns, tics, int(state[kernel.FLAGS]), mz_range, common)

    def _common_groups(self, header: Header) -> dict[str, list[str]]:
        """Return what all spectra and all their scans refer to; nothing where they differ."""
        state, names = self._state, header.group_names
        if state[kernel.REFS_DIFFER] or not state[kernel.N_SPECTRA]:
            return {"spectrum": [], "scan": []}
        refs = state[kernel.REFS : kernel.REFS + int(state[kernel.N_FIRST_REFS])].tolist()
        return {
            name: [names[each // 2] for each in refs if each % 2 == i]
            for i, name in enumerate(("spectrum", "scan"))
        }

    def _common_terms(self) -> list[str]:
        flags = int(self._state[kernel.COMMON_FLAGS])
        return [accession for flag, accession in _TERMS.items() if flags & flag]

    def _refused(self, status: int, text: bytes, base: int) -> MalformedRecord:
        """Say why the kernel stopped."""
        state = self._state
        a, b = int(state[kernel.PLACE_A]), int(state[kernel.PLACE_B])
        if status == kernel.DOCTYPE:
            return self._problem(
                f"expected no declaration at byte {base + a}, found {_shown(text[a : a + _SHOWN])}"
            )
        if status == kernel.BAD_TAG:
            return self._problem(f"expected a tag at byte {base + a}, found {_shown(text[a : a + _SHOWN])}")
        if status == kernel.UNKNOWN_GROUP:
            return self._problem(
                f"{self._spectrum()} refers to the group {_shown(text[a:b])} of parameters, which the header lacks"
            )
        if status == kernel.BAD_NUMBER:
            name = _NAMES.get(int(state[kernel.TERM]), "a term")
            return self._problem(
                f"{self._spectrum()}: expected a whole number as {name}, found {_shown(text[a:b])}"
            )
        return self._problem(f"{self._spectrum()} lacks {self._lacking()}")

    def _spectrum(self) -> str:
        return f"spectrum {self._state[kernel.N_SPECTRA]} at byte {self._state[kernel.SPECTRUM_AT]}"

    def _lacking(self) -> str:
        """Name what an incomplete spectrum has not."""
        state = self._state
        if state[kernel.HAS] != 3:
            return "position x or y (IMS:1000050, IMS:1000051)"
        for place, name in ((kernel.MZ, "m/z"), (kernel.INTENSITY, "intensity")):
            if not state[place + kernel.A_HAS]:
                return f"its {name} array in the ibd: an external offset and array length (IMS:1000102, IMS:1000103)"
            if not state[place + kernel.A_TYPE]:
                return f"the type of its {name} array, such as 32-bit float"
        return "an external offset or array length (IMS:1000102, IMS:1000103)"

    def _problem(self, detail: str) -> MalformedRecord:
        return MalformedRecord(detail, hint=_HINT)


def _narrowed(column: NDArray[np.int64]) -> NDArray[Any]:
    """Return a column in as few bits as it takes; where all values are one, that one takes place for all."""
    low, high = int(column.min()), int(column.max())
    if low == high:
        return np.broadcast_to(np.int64(low), column.shape)
    for dtype in (np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return column.astype(dtype)
    return column.copy()


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Put the parts of a column together, in as few bits as all of them take."""
    if not parts:
        return np.empty(0, np.int64)
    if all(part.strides == (0,) and part[0] == parts[0][0] for part in parts):
        return np.broadcast_to(parts[0][0], (sum(map(len, parts)),))
    low, high = min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
    narrow = np.iinfo(np.int32).min <= low and high <= np.iinfo(np.int32).max
    return np.concatenate(parts, dtype=np.int32 if narrow else np.int64, casting="unsafe")


def _check_encoding(head: bytes) -> None:
    """Refuse encodings in which tags are not ASCII."""
    declared = re.search(
        rb"""^\s*<\?xml[^>]*encoding\s*=\s*["']([\w.-]+)""", head.removeprefix(b"\xef\xbb\xbf")
    )
    name = declared[1].decode().lower() if declared else ""
    if (
        head.startswith((b"\xff\xfe", b"\xfe\xff"))
        or b"\0" in head
        or name.startswith(("utf-16", "ucs", "utf-32"))
    ):
        raise MalformedRecord(
            "expected XML in UTF-8, ISO-8859-1 or another encoding like ASCII, found one of two bytes or more a letter",
            hint="Store the imzML as UTF-8.",
        )


def _shown(text: bytes) -> str:
    return repr(text[:_SHOWN].decode("latin-1"))
