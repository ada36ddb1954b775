"""The imzML decoder: what it makes of a slice's files, and of files that are not what they should be."""

from __future__ import annotations

import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicery.decoders.imzml import Header, Spectra, decoder
from slicery.errors import DecodeError
from slicery.loading import FileContent, FileDecoder
from slicery.ticket import Arrays

HEADER = b"""<?xml version="1.0" encoding="ISO-8859-1"?>
<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1"><!-- kept --><fileDescription><fileContent>
<cvParam cvRef="IMS" accession="IMS:1000090" name="ibd MD5" value="00"/></fileContent></fileDescription>
<sampleList count="1"><sample id="mouse"/></sampleList>
<run id="r"><spectrumList count="99" defaultDataProcessingRef="p">"""
MZ = np.array([100.5, 200.25, 300.125], "<f8")
COUNTS = [np.array([1, 2, 3], "<i2"), np.array([4, 5, 6], "<i2")]
TYPES = [{"mz": {"dtype": "<f8", "zlib": False}, "intensity": {"dtype": "<i2", "zlib": False}}]
COLUMNS = [["x", 1, 5, 1], ["y", 0, 7, 1], ["z", 0, 1, 1], ["type", 0, 0, 1], ["length", 0, 3, 1]]
OPTIONS = {
    "part": "spectra",
    "order": "separate",
    "columns": [*COLUMNS, ["mz_gap", 0, -24, 1], ["intensity_gap", 0, 0, 1]],
    "types": TYPES,
}
TABLE = struct.pack("<IIqqQQ", 2, 1, 40, 40, 16, 40) + b"\0\3" + bytes(6)
DATA = TABLE + MZ.tobytes() + COUNTS[0].tobytes() + COUNTS[1].tobytes() + bytes(4)


def spectra_file(data: bytes = DATA, **options: Any) -> FileContent:
    return FileContent("run.slice0.ibd", data, (Arrays("imzml", {**OPTIONS, **options}),))


def header_file(data: bytes = HEADER) -> FileContent:
    groups = {"spectrum": ["s&"], "scan": []}
    return FileContent("run.slice0.imzML", data, (Arrays("imzml", {"part": "header", "groups": groups}),))


def load(*files: FileContent) -> Spectra:
    loaded = decoder.load(files)
    assert isinstance(loaded.value, Spectra)
    assert loaded.n_records == len(loaded.value)
    return loaded.value


def test_spectra_are_a_sequence_of_coordinates_and_arrays() -> None:
    spectra = load(spectra_file(), header_file())
    assert isinstance(decoder, FileDecoder)
    assert (len(spectra), spectra.is_continuous, repr(spectra)) == (2, True, "<Spectra: 2>")
    assert spectra.coordinates.tolist() == [[5, 7, 1], [8, 7, 1]]
    assert spectra.lengths.tolist() == [3, 3]
    for number, ((x, y, z), mz, intensity) in enumerate(spectra):
        assert (x, y, z) == ((5, 8)[number], 7, 1)
        assert (mz.dtype.name, intensity.dtype.name) == ("float64", "int16")
        assert mz.tolist() == MZ.tolist()
        assert intensity.tolist() == COUNTS[number].tolist()
        with pytest.raises(ValueError, match="read-only"):
            intensity[0] = 1
    assert spectra[-1][0] == spectra[1][0] == spectra[0:2][1][0] == (8, 7, 1)
    with pytest.raises(IndexError):
        spectra.mz(2)


def test_items_are_coordinates_and_values() -> None:
    first, second = decoder.items(load(spectra_file()))
    assert first == struct.pack("<qqq", 5, 7, 1) + MZ.tobytes() + COUNTS[0].tobytes()
    assert second == struct.pack("<qqq", 8, 7, 1) + MZ.tobytes() + COUNTS[1].tobytes()


def test_a_slice_without_spectra_is_empty() -> None:
    empty = spectra_file(struct.pack("<IIqq", 0, 0, 0, 0))
    spectra = load(empty, header_file())
    assert list(spectra) == []
    assert not spectra.is_continuous
    assert spectra.coordinates.shape == (0, 3)


def test_the_header_is_fetched_only_when_it_is_needed() -> None:
    fetched: list[int] = []

    def fetch() -> bytes:
        fetched.append(1)
        return HEADER

    file = FileContent("h", fetch, header_file().steps)
    spectra = load(spectra_file(), file)
    assert [intensity.sum() for _, _, intensity in spectra] == [6, 15]
    assert not fetched
    again = pickle.loads(pickle.dumps(spectra))
    assert fetched == [1]
    assert again.header.data == HEADER
    assert list(decoder.items(again)) == list(decoder.items(spectra))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (spectra_file(DATA[:20]), "the table of spectra is malformed"),
        (spectra_file(DATA[:45]), "expected 48 bytes and those of its ranges, found 45"),
        (spectra_file(DATA[:-1]), "expected 48 bytes and those of its ranges, found 87"),
        (spectra_file(order="random"), "malformed.*in one of the orders"),
        (spectra_file(types=[]), "the table of spectra is malformed"),
        (spectra_file(types=[{"mz": {"dtype": "no", "zlib": False}}]), "the table of spectra is malformed"),
        (spectra_file(columns=COLUMNS), "the table of spectra is malformed: KeyError"),
        (
            spectra_file(columns=[*COLUMNS, ["mz_gap", 0, 0, 1], ["intensity_gap", 0, 0, 1]]),
            "byte 40 of the ibd is not in",
        ),
        (spectra_file(part="pixels"), "expected the part spectra or header of arrays, found 'pixels'"),
        (FileContent("f", DATA, ()), "found None"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_refused(file: FileContent, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        load(file)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (b"no zlib at all", "cannot be decompressed"),
        (zlib.compress(MZ.tobytes() + b"1"), "expected an array of 24 bytes, found more"),
        (zlib.compress(MZ.tobytes()[:-8]), "expected an array of 24 bytes, found 16"),
        (zlib.compress(MZ.tobytes())[:-3], "expected an array of 24 bytes, found 24"),
    ],
)
def test_arrays_that_do_not_decompress_are_refused(stored: bytes, message: str) -> None:
    size = len(stored)
    columns = [*COLUMNS[1:], ["x", 0, 1, 1], ["mz_bytes", 0, size, 1], ["intensity_bytes", 0, 0, 1]]
    options = {
        "order": "absolute",
        "columns": [*columns, ["mz_gap", 0, 16, 1], ["intensity_gap", 0, 16, 1]],
        "types": [{"mz": {"dtype": "<f8", "zlib": True}, "intensity": TYPES[0]["intensity"]}],
    }
    data = struct.pack("<IIqqQQ", 1, 1, 0, 0, 16, size) + stored
    spectra = load(spectra_file(data, **options))
    with pytest.raises(DecodeError, match=message):
        spectra.mz(0)


@pytest.mark.parametrize("name", ["out", "out.imzML", "out.ibd", "out.IMZML"])
def test_written_files_keep_the_header(name: str, tmp_path: Path) -> None:
    imzml, ibd = decoder.write(load(spectra_file(), header_file()), tmp_path / name)
    assert (imzml, ibd) == (tmp_path / "out.imzML", tmp_path / "out.ibd")
    text = imzml.read_text(encoding="utf-8")
    assert ibd.read_bytes()[16:] == MZ.tobytes() + COUNTS[0].tobytes() + COUNTS[1].tobytes()
    assert '<sample id="mouse"' in text
    assert 'spectrumList count="2" defaultDataProcessingRef="p"' in text
    assert text.count('ref="s&amp;"') == 2
    assert "IMS:1000090" not in text
    assert "continuous" in text


def test_spectra_without_a_header_are_written_with_a_small_one(tmp_path: Path) -> None:
    imzml, _ = load(spectra_file()).to_file(tmp_path / "out")
    assert 'spectrumList count="2"' in imzml.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER[:200], "not well-formed"),
        (b"<mzML><run><spectrumList>", "lacks fileDescription/fileContent"),
        (b"<!DOCTYPE a><mzML><run><spectrumList>", "document type"),
    ],
)
def test_headers_that_are_none_are_refused(header: bytes, message: str, tmp_path: Path) -> None:
    spectra = Spectra(load(spectra_file()).runs, Header(header))
    with pytest.raises(DecodeError, match=message):
        spectra.to_file(tmp_path / "out")
    assert not list(tmp_path.iterdir())
