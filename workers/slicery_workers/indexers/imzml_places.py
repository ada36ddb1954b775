"""From what the XML of an imzML says of its spectra to places in the ibd, checked one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.imzml_table import ArrayType, Places, SpectrumType
from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.imzml_spectra import Scanned
from slicery_workers.kernels.imzml import IMS

UUID_BYTES = 16
Int64Array = NDArray[np.int64]

_DTYPES = {
    1000519: "<i4", 1000520: "<f2", 1000521: "<f4", 1000522: "<i8", 1000523: "<f8",
    IMS + 1000141: "<i4", IMS + 1000142: "<i8", IMS + 1100000: "|i1", IMS + 1100001: "<i2",
}  # fmt: skip
_ZLIB = 1000574
_COMPRESSIONS = {0: False, _ZLIB: True}
_WRAPPED_OFFSET = 1 << 32

_HINT = "Export the imzML with plain or zlib-compressed arrays of numbers."
_TRUNCATED_HINT = "Copy the ibd again; it is truncated, or another run's."


def places_of(found: Scanned, ibd_size: int) -> tuple[Places, list[SpectrumType]]:
    """Return places of all spectra, and the types of their arrays.

    Raises MalformedRecord where an array is of a type or compression that cannot be read, where a spectrum's arrays
    are not of one length, and where one is not within the ibd. Columns that are done with are taken out of `found`, as
    millions of spectra need memory.
    """
    columns = found.columns
    kind, types = _types(found)
    length = columns.pop("mz_length").astype(np.int64)
    other = columns.pop("intensity_length")
    _require(length == other, found, lambda i: (
        f"expected m/z and intensity arrays of one length, found {length[i]} and {other[i]} values"
    ))  # fmt: skip
    _require(length >= 0, found, lambda i: f"expected a length of 0 or more, found {length[i]}")
    sizes = [_sizes(found, name, kind, types, length) for name in ("mz", "intensity")]
    offsets = [_unwrapped(columns.pop(f"{name}_offset")) for name in ("mz", "intensity")]
    for name, offset, size in zip(("m/z", "intensity"), offsets, sizes, strict=True):
        _require_within(found, name, offset, size, ibd_size)
    mz, intensity = _anywhere(offsets, sizes)
    del offsets
    x, y, z = (columns.pop(name).astype(np.int64) for name in ("x", "y", "z"))
    return Places(x, y, z, kind, length, mz, sizes[0], intensity, sizes[1]), types


def _types(found: Scanned) -> tuple[Int64Array, list[SpectrumType]]:
    """Return which of the types each spectrum has, and the types."""
    names = ("mz_type", "mz_compression", "intensity_type", "intensity_compression")
    columns = [found.columns[name] for name in names]
    if not len(columns[0]):
        return np.empty(0, np.int64), []
    if all((column == column[0]).all() for column in columns):
        return np.broadcast_to(np.int64(0), columns[0].shape), [
            _type([int(column[0]) for column in columns], found, 0)
        ]
    keys = np.stack(columns, axis=1).astype(np.int64)
    distinct, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    types = [_type(key, found, number) for key, number in zip(distinct.tolist(), first.tolist(), strict=True)]
    return which.reshape(-1).astype(np.int64), types


def _type(key: list[int], found: Scanned, number: int) -> SpectrumType:
    arrays = []
    for name, (kind, compression) in zip(("m/z", "intensity"), (key[:2], key[2:]), strict=True):
        for word, term, known in (("type", kind, _DTYPES), ("compression", compression, _COMPRESSIONS)):
            if term not in known:
                raise _malformed(
                    found,
                    number,
                    f"its {name} array is of the {word} {_accession(term)}, which cannot be read",
                    _HINT,
                )
        arrays.append(ArrayType(_DTYPES[kind], _COMPRESSIONS[compression]))
    return SpectrumType(*arrays)


def _sizes(
    found: Scanned, name: str, kind: Int64Array, types: list[SpectrumType], length: Int64Array
) -> Int64Array:
    """Return how many bytes arrays take in the ibd; only of compressed ones the imzML is asked."""
    of_types: list[ArrayType] = [getattr(each, name) for each in types]
    if not of_types:
        return length
    encoded = found.columns.pop(f"{name}_encoded")
    if len(types) == 1 and not of_types[0].zlib:
        return length * of_types[0].size
    sizes = length * np.array([each.size for each in of_types], np.int64)[kind]
    packed = np.array([each.zlib for each in of_types], bool)[kind]
    encoded = encoded.astype(np.int64)
    _require(~packed | (encoded > 0) | ((encoded == 0) & (length == 0)), found, lambda i: (
        f"expected an external encoded length (IMS:1000104) of its compressed {name} array, found "
        f"{'none' if encoded[i] < 0 else encoded[i]}"
    ))  # fmt: skip
    return np.where(packed, encoded, sizes)


def _require_within(found: Scanned, name: str, offset: Int64Array, size: Int64Array, ibd_size: int) -> None:
    _require(
        (size == 0) | ((offset >= 0) & (offset <= ibd_size - size)),
        found,
        lambda i: (
            f"expected its {name} array within the ibd, found it at bytes {offset[i]} to {offset[i] + size[i]}, and "
            f"the ibd ends at byte {ibd_size}"
        ),
        _TRUNCATED_HINT,
    )


def _unwrapped(offsets: NDArray[Any]) -> Int64Array:
    """Return offsets of which some were written in 32 bits with a sign, and so wrapped around at 2 GiB.

    Each time that they turn negative is one more 4 GiB, as long as they ascend.
    """
    offsets = offsets.astype(np.int64)
    if not (offsets < 0).any():
        return offsets
    turns = np.zeros(len(offsets), np.int64)
    turns[1:] = (offsets[1:] < 0) & (offsets[:-1] >= 0)
    return offsets + np.cumsum(turns) * _WRAPPED_OFFSET


def _anywhere(offsets: list[Int64Array], sizes: list[Int64Array]) -> tuple[Int64Array, Int64Array]:
    """Give arrays without bytes the place behind the array before, as their offset means nothing."""
    if sizes[0].all() and sizes[1].all():
        return offsets[0], offsets[1]
    offset, size = (np.stack(each, axis=1).reshape(-1) for each in (offsets, sizes))
    last = np.maximum.accumulate(np.where(size > 0, np.arange(len(size)), -1))
    behind = np.where(last >= 0, (offset + size)[last], UUID_BYTES)
    offset = np.where(size > 0, offset, behind)
    return offset[0::2].copy(), offset[1::2].copy()


def _require(good: Any, found: Scanned, say: Any, hint: str = _HINT) -> None:
    """Raise MalformedRecord for the first spectrum that is not good."""
    if not good.all():
        number = int(np.flatnonzero(~good)[0])
        raise _malformed(found, number, say(number), hint)


def _malformed(found: Scanned, number: int, detail: str, hint: str) -> MalformedRecord:
    return MalformedRecord(f"spectrum {number} at byte {found.columns['at'][number]}: {detail}", hint=hint)


def _accession(term: int) -> str:
    return f"IMS:{term - IMS}" if term >= IMS else f"MS:{term}"
