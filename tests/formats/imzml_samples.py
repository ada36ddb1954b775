"""Generated imzML, with what must come out of it, and what pyimzml makes of a pair of files."""

from __future__ import annotations

import hashlib
import random
import uuid
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pyimzml.ImzMLParser import ImzMLParser
from pyimzml.ImzMLWriter import ImzMLWriter

Array = np.ndarray[Any, Any]
Spectrum = tuple[tuple[int, ...], Array, Array]

TERMS = {
    "float32": "MS:1000521", "float64": "MS:1000523", "int8": "IMS:1100000", "int16": "IMS:1100001",
    "int32": "MS:1000519", "int64": "MS:1000522",
}  # fmt: skip
OLD_TERMS = {"int32": "IMS:1000141", "int64": "IMS:1000142"}


@dataclass(frozen=True)
class Pair:
    """An imzML and its ibd as bytes, and the spectra in them."""

    name: str
    imzml: bytes
    ibd: bytes
    spectra: Sequence[Spectrum]

    def __repr__(self) -> str:
        return self.name

    @property
    def contents(self) -> dict[str, bytes]:
        """The objects of a dataset, in their order."""
        return {f"{self.name}.imzML": self.imzml, f"{self.name}.ibd": self.ibd}

    @property
    def items(self) -> list[bytes]:
        """What tells each spectrum from others."""
        return [item(*each) for each in self.spectra]


def item(coordinates: Sequence[int], mz: Array, intensity: Array) -> bytes:
    """Return a spectrum's coordinates, with z, and the bytes of its arrays."""
    x, y, *z = coordinates
    return np.array([x, y, *(z or [1])], "<i8").tobytes() + mz.tobytes() + intensity.tobytes()


def by_pyimzml(imzml: bytes, ibd: bytes) -> list[Spectrum]:
    """Read a pair of files with pyimzml, which knows no compression."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of terms whose names have changed
        stem = Path(folder) / "run"
        stem.with_suffix(".imzML").write_bytes(imzml)
        stem.with_suffix(".ibd").write_bytes(ibd)
        with ImzMLParser(str(stem.with_suffix(".imzML"))) as parser:
            return [
                (tuple(int(each) for each in place), *parser.getspectrum(i))
                for i, place in enumerate(parser.coordinates)
            ]


def written_by_pyimzml(
    name: str,
    spectra: Sequence[Spectrum],
    *,
    mode: str,
    mz: Any = np.float64,
    intensity: Any = np.float32,
    **more: Any,
) -> Pair:
    """Let pyimzml write a pair."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        with ImzMLWriter(str(path), mz_dtype=mz, intensity_dtype=intensity, mode=mode, **more) as writer:
            for place, masses, values in spectra:
                writer.addSpectrum(masses, values, place)
        files = [path.with_suffix(suffix).read_bytes() for suffix in (".imzML", ".ibd")]
    first = spectra[0][1]
    truth = [
        (place, np.asarray(first if mode == "continuous" else masses, mz), np.asarray(values, intensity))
        for place, masses, values in spectra
    ]
    return Pair(name, files[0], files[1], truth)


def spectra_of(
    n: int,
    *,
    seed: int = 1,
    most: int = 40,
    same: bool = False,
    depth: int = 0,
    dtypes: Sequence[str] = ("float64", "float32"),
) -> list[Spectrum]:
    """Return spectra of odd lengths, some of them empty unless all have the `same` masses, on a grid 7 wide."""
    rng = np.random.default_rng(seed)
    found: list[Spectrum] = []
    for number in range(n):
        length = most if same else int(rng.integers(0, most)) * (number % 5 != 3)
        place = (number % 7 + 1, number // 7 % 9 + 3, *([number // 63 + 1] if depth else []))
        masses = np.sort(rng.uniform(50, 127, length)).astype(dtypes[0])
        mz = found[0][1] if same and found else masses
        found.append((place, mz, (rng.gamma(2.0, 20.0, length)).clip(0, 127).astype(dtypes[1])))
    return found


def by_hand(
    name: str,
    spectra: Sequence[Spectrum],
    *,
    layout: str = "processed",
    packed: tuple[bool, bool] = (False, False),
    style: Callable[[str], str] = lambda text: text,
    terms: dict[str, str] = TERMS,
    content: str = "",
    tic: bool = True,
    seed: int = 1,
) -> Pair:
    """Write a pair whose ibd is laid out oddly; see LAYOUTS. `style` changes the text of the XML."""
    blob = bytearray(uuid.UUID(int=random.Random(seed).getrandbits(128)).bytes)
    places = LAYOUTS[layout](blob, [tuple(_stored(each, packed)) for each in spectra], seed)
    text = _document(spectra, places, packed, terms, bytes(blob), content, tic=tic)
    return Pair(name, style(text).encode("iso-8859-1"), bytes(blob), spectra)


def renamed(pair: Pair, name: str) -> Pair:
    """Return a pair under another name."""
    return replace(pair, name=name)


def _stored(spectrum: Spectrum, packed: tuple[bool, bool]) -> list[bytes]:
    return [
        zlib.compress(each.tobytes()) if is_packed else each.tobytes()
        for each, is_packed in zip(spectrum[1:], packed, strict=True)
    ]


Stored = Sequence[tuple[bytes, ...]]
Places = list[list[int]]


def _processed(blob: bytearray, arrays: Stored, seed: int) -> Places:
    """One array behind another."""
    del seed
    return [[_put(blob, each) for each in pair] for pair in arrays]


def _padded(blob: bytearray, arrays: Stored, seed: int) -> Places:
    """With bytes between arrays, as many as chance has it."""
    rng = random.Random(seed)
    places = []
    for pair in arrays:
        place = []
        for each in pair:
            blob += rng.randbytes(rng.randrange(40))
            place.append(_put(blob, each))
        places.append(place)
    return places


def _blocks(blob: bytearray, arrays: Stored, seed: int) -> Places:
    """First all intensities, then all masses."""
    del seed
    intensities = [_put(blob, each) for _, each in arrays]
    return [[_put(blob, mz), place] for (mz, _), place in zip(arrays, intensities, strict=True)]


def _shuffled(blob: bytearray, arrays: Stored, seed: int) -> Places:
    """Spectra in any order."""
    order = list(range(len(arrays)))
    random.Random(seed).shuffle(order)
    found = {number: [_put(blob, each) for each in arrays[number]] for number in order}
    return [found[number] for number in range(len(arrays))]


def _scattered(blob: bytearray, arrays: Stored, seed: int) -> Places:
    """Arrays in any order."""
    order = [(number, i) for number in range(len(arrays)) for i in range(2)]
    random.Random(seed).shuffle(order)
    found = {(number, i): _put(blob, arrays[number][i]) for number, i in order}
    return [[found[number, 0], found[number, 1]] for number in range(len(arrays))]


def _shared(blob: bytearray, arrays: Stored, seed: int) -> Places:
    """What is equal is there once, wherever it was first: a continuous file, where all masses are equal."""
    del seed
    known: dict[bytes, int] = {}
    places = []
    for pair in arrays:
        for each in pair:
            if each not in known:
                known[each] = _put(blob, each)
        places.append([known[each] for each in pair])
    return places


def _put(blob: bytearray, data: bytes) -> int:
    blob += data
    return len(blob) - len(data)


LAYOUTS: dict[str, Callable[[bytearray, Stored, int], Places]] = {
    "processed": _processed,
    "padded": _padded,
    "blocks": _blocks,
    "shuffled": _shuffled,
    "scattered": _scattered,
    "shared": _shared,
}


def _document(
    spectra: Sequence[Spectrum],
    places: Places,
    packed: tuple[bool, bool],
    terms: dict[str, str],
    ibd: bytes,
    content: str,
    *,
    tic: bool,
) -> str:
    sha1 = hashlib.sha1(ibd, usedforsecurity=False).hexdigest()
    kinds = [each.dtype.name for each in spectra[0][1:]] if spectra else ["float64", "float32"]
    groups = "".join(
        f'<referenceableParamGroup id="{name}">{_cv(term)}{_cv("MS:1000574" if is_packed else "MS:1000576")}'
        f"{_cv(terms.get(kind) or TERMS[kind])}</referenceableParamGroup>\n"
        for name, term, is_packed, kind in zip(
            ("masses", "counts"), ("MS:1000514", "MS:1000515"), packed, kinds, strict=True
        )
    )
    body = "".join(
        _spectrum(number, *each, places[number], packed, tic=tic) for number, each in enumerate(spectra)
    )
    size = _cv("IMS:1000046", "0.05", ' unitAccession="UO:0000016"')
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1"><cvList count="1"><cv id="IMS"/></cvList>
<fileDescription><fileContent>{_cv("IMS:1000080", str(uuid.UUID(bytes=ibd[:16])))}{_cv("IMS:1000091", sha1)}
{_cv("IMS:1000031")}{content}</fileContent></fileDescription>
<referenceableParamGroupList count="3">{groups}<referenceableParamGroup id="scan"/></referenceableParamGroupList>
<scanSettingsList count="1"><scanSettings id="s">{size}</scanSettings></scanSettingsList>
<instrumentConfigurationList count="1"><instrumentConfiguration id="i">{_cv("MS:1000449", name="LTQ")}
</instrumentConfiguration></instrumentConfigurationList>
<run id="r"><spectrumList count="{len(spectra)}" defaultDataProcessingRef="d">
{body}</spectrumList></run></mzML>
"""


def _spectrum(
    number: int,
    place: Sequence[int],
    mz: Array,
    intensity: Array,
    offsets: Sequence[int],
    packed: tuple[bool, bool],
    *,
    tic: bool,
) -> str:
    position = "".join(_cv(f"IMS:100005{axis}", str(each)) for axis, each in enumerate(place))
    current = _cv("MS:1000285", str(float(intensity.sum(dtype=float)))) if tic else ""
    arrays = "".join(
        f'<binaryDataArray encodedLength="0"><referenceableParamGroupRef ref="{name}"/>'
        f"{_cv('IMS:1000102', str(offset))}{_cv('IMS:1000103', str(len(values)))}"
        + _cv("IMS:1000104", str(len(zlib.compress(values.tobytes()) if is_packed else values.tobytes())))
        + "<binary/></binaryDataArray>"
        for name, offset, values, is_packed in zip(
            ("masses", "counts"), offsets, (mz, intensity), packed, strict=True
        )
    )
    return (
        f'<spectrum id="s{number}" index="{number}" defaultArrayLength="0">{current}<scanList count="1"><scan>'
        f'<referenceableParamGroupRef ref="scan"/>{position}</scan></scanList><binaryDataArrayList count="2">{arrays}'
        "</binaryDataArrayList></spectrum>\n"
    )


_NAMES = {
    "MS:1000514": "m/z array", "MS:1000515": "intensity array", "MS:1000521": "32-bit float",
    "MS:1000523": "64-bit float", "MS:1000519": "32-bit integer", "MS:1000522": "64-bit integer",
}  # fmt: skip
"""By which pyimzml knows them."""


def _cv(accession: str, value: str = "", more: str = "", name: str = "") -> str:
    name = name or _NAMES.get(accession, "some name")
    return f'<cvParam cvRef="{accession.split(":")[0]}" accession="{accession}" name="{name}" value="{value}"{more}/>'
