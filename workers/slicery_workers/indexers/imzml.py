"""imzML: pairs of objects, an .imzML whose XML says where spectra are, and an .ibd that holds them (imzML 1.1).

A share is a pair; its scan folds the places of all spectra, and draws the picture. The tables are described in
`slicery_service.planning.imzml`.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.imzml_table import Places
from slicery_service.errors import MalformedRecord
from slicery_service.table_index import Array
from slicery_service.wrapping.imzml import fold
from slicery_workers.indexers import imzml_spectra
from slicery_workers.indexers.imzml_header import Header
from slicery_workers.indexers.imzml_image import MOST_SUMMED_BYTES, draw, summed
from slicery_workers.indexers.imzml_places import places_of
from slicery_workers.indexers.imzml_spectra import Scanned
from slicery_workers.kernels import imzml as kernel
from slicery_workers.tables import Found, ObjectTables, Picture, Share, SourceObject, TableIndexer

UUID_BYTES = 16
_HINT = "Put the ibd that was written with the imzML beside it, under the same name."


class ImzmlIndexer(TableIndexer):
    """Indexes pairs."""

    format = "imzml"
    kind = "chunks"

    def divide(
        self, objects: Sequence[SourceObject], options: Mapping[str, Any], most_bytes: int
    ) -> Sequence[Share]:
        """Return a share for each pair."""
        del options, most_bytes
        for number, each in enumerate(objects):
            wanted = ".ibd" if number % 2 else ".imzml"
            if not each.key.lower().endswith(wanted) or len(objects) % 2:
                raise MalformedRecord(
                    f"expected pairs of an .imzML and an .ibd, found {each.key!r} as object {number + 1} of "
                    f"{len(objects)}",
                    hint="Register the imzML or the ibd by its name, or a folder that holds nothing else.",
                )
        return [Share(number, 0, objects[number].size) for number in range(0, len(objects), 2)]

    def bytes_read(self, objects: Sequence[SourceObject], options: Mapping[str, Any]) -> int:
        """Count the imzML files, and the ibd files where their checksums are asked for."""
        return sum(each.size for each in (objects if options.get("checksum") else objects[::2]))

    def scan(
        self, objects: Sequence[SourceObject], share: Share, options: Mapping[str, Any]
    ) -> Mapping[str, Array]:
        """Read an imzML, check its ibd, fold the places of its spectra and draw its picture."""
        imzml, ibd = objects[share.object], objects[share.object + 1]
        with imzml.open() as reader:
            found = imzml_spectra.scan(reader)
        _check_identity(found.header, ibd)
        if options.get("checksum"):
            _check_sum(found.header, ibd)
        places, types = places_of(found, ibd.size)
        folded = fold(places, types)
        about = {
            "layout": folded.layout.to_json(),
            "starts": folded.starts,
            "stop": found.header.stop,
            "groups": found.groups,
        }
        title, values = _image(found, places, folded.layout.types, ibd)
        summary = _summary(found, places, folded.layout.types, ibd) | (
            {"checksum": found.header.checksum[0]}
            if options.get("checksum") and found.header.checksum
            else {}
        )
        return {
            "rows": folded.rows,
            "about": _json(about),
            "summary": _json(summary),
            "picture": np.frombuffer(draw(places, values) if values is not None else b"", np.uint8),
            "title": np.frombuffer(title.encode(), np.uint8),
        }

    def join(
        self,
        objects: Sequence[SourceObject],
        scans: Iterator[tuple[Share, Mapping[str, Array]]],
        options: Mapping[str, Any],
    ) -> Found:
        """Put the tables of all pairs together; the picture is that of the first one."""
        del options
        tables: list[ObjectTables] = []
        summaries: list[dict[str, Any]] = []
        pictures: dict[str, Picture] = {}
        for _, scanned in scans:
            rows = {name: scanned[name] for name in ("rows", "about")}
            tables += [ObjectTables(rows, len(scanned["rows"])), ObjectTables({}, 0)]
            summaries.append(json.loads(scanned["summary"].tobytes()))
            if not pictures and len(scanned["picture"]):
                title = scanned["title"].tobytes().decode()
                pictures["total-ion"] = Picture("image/png", scanned["picture"].tobytes(), title)
        summary = dict(summaries[0])
        if len(summaries) > 1:
            summary = {"pairs": [{"imzml": objects[2 * i].key, **each} for i, each in enumerate(summaries)]}
        return Found(tables, summary, pictures)


indexer = ImzmlIndexer()


def _check_identity(header: Header, ibd: SourceObject) -> None:
    """Hold the UUID that the imzML names against the ibd's first bytes, in either byte order of its fields."""
    if ibd.size < UUID_BYTES:
        raise MalformedRecord(
            f"expected an ibd that begins with a UUID of {UUID_BYTES} bytes, found {ibd.size} bytes in {ibd.key}",
            hint=_HINT,
        )
    found = ibd.read(0, UUID_BYTES)
    if header.uuid is not None and found not in (header.uuid.bytes, header.uuid.bytes_le):
        raise MalformedRecord(
            f"the imzML names the UUID {header.uuid}, and {ibd.key} begins at byte 0 with "
            f"{uuid.UUID(bytes=found)}: they do not belong together",
            hint=_HINT,
        )


def _check_sum(header: Header, ibd: SourceObject) -> None:
    """Hold the checksum that the imzML names against the ibd."""
    if header.checksum is None:
        raise MalformedRecord(
            "expected a checksum of the ibd in the imzML (IMS:1000090, IMS:1000091), found none",
            hint="Register the dataset without the option checksum.",
        )
    name, wanted = header.checksum
    found = hashlib.new(name, usedforsecurity=False)
    with ibd.open() as reader:
        for block in reader.blocks(0, ibd.size):
            found.update(block)
    if found.hexdigest() != wanted:
        raise MalformedRecord(
            f"the imzML names the {name} {wanted[:100]!r} for its ibd, and {ibd.key} has {found.hexdigest()!r}",
            hint="Copy the ibd again, or register the dataset without the option checksum.",
        )


def _image(
    found: Scanned, places: Places, types: Any, ibd: SourceObject
) -> tuple[str, NDArray[np.float64] | None]:
    """Return what is to be drawn of each pixel, and what it is."""
    if len(places) and (found.tics >= 0).all():
        return "Total ion current", found.tics.astype(np.float64)
    if len(places) and ibd.size <= MOST_SUMMED_BYTES:
        return "Total ion current", summed(places, types, ibd)
    if len(places) and (places.length != places.length[0]).any():
        return "Values in each spectrum", places.length.astype(np.float64)
    return "", None


def _summary(found: Scanned, places: Places, types: Any, ibd: SourceObject) -> dict[str, Any]:
    """Return what the catalog shows."""
    header = found.header
    summary: dict[str, Any] = dict(header.facts)
    summary["uuid"] = str(header.uuid) if header.uuid else None
    for positive, negative, name, words in (
        (kernel.POSITIVE, kernel.NEGATIVE, "polarity", ("positive", "negative")),
        (kernel.CENTROID, kernel.PROFILE, "spectrum_type", ("centroid", "profile")),
    ):
        flags = [bool(found.flags & flag) for flag in (positive, negative)]
        if any(flags):
            summary[name] = "mixed" if all(flags) else words[flags.index(True)]
    summary["types"] = [{name: _written(kind) for name, kind in each._asdict().items()} for each in types]
    if len(places):
        axes = {"x": places.x, "y": places.y, "z": places.z}
        summary["pixels"] = {name: [int(values.min()), int(values.max())] for name, values in axes.items()}
        summary["values"] = {"total": int(places.length.sum()), "most": int(places.length.max())}
    mz_range = found.mz_range or _shared_range(places, types, ibd)
    if mz_range is not None:
        summary["mz_range"] = list(mz_range)
    return summary


def _shared_range(places: Places, types: Any, ibd: SourceObject) -> tuple[float, float] | None:
    """Return the m/z range where all spectra share one plain m/z array, and it is small."""
    if not len(places) or (places.mz_offset != places.mz_offset[0]).any() or places.type.any():
        return None
    n_bytes = int(places.mz_bytes[0])
    if types[0].mz.zlib or not 0 < n_bytes <= 16 << 20:
        return None
    values = np.frombuffer(ibd.read(start := int(places.mz_offset[0]), start + n_bytes), types[0].mz.dtype)
    low, high = float(values.min()), float(values.max())
    return (low, high) if np.isfinite([low, high]).all() else None


def _written(kind: Any) -> str:
    return f"{np.dtype(kind.dtype).name}{' zlib' if kind.zlib else ''}"


def _json(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value, separators=(",", ":")).encode(), np.uint8)
