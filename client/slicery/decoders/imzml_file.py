"""Write spectra as imzML and ibd: arrays as they were stored, and the header of the imzML they are from.

The header keeps what it says of sample, instrument and scan. New are the UUID, the checksum, the mode, and the groups
that describe arrays; and of each spectrum only what is known here is written: its pixel, its total ion current, the
groups that all spectra of the dataset refer to, polarity and the like where all spectra have the same, and where its
arrays are.
"""

from __future__ import annotations

import hashlib
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import quoteattr

import numpy as np

from slicery.decoders.imzml_table import ArrayType
from slicery.errors import DecodeError
from slicery.files import write_file

if TYPE_CHECKING:
    from slicery.decoders.imzml import Header, Spectra

NAMESPACE = "http://psi.hupo.org/ms/mzml"
SUFFIXES = (".imzml", ".ibd")
UUID_BYTES = 16

_UUID, _MD5, _SHA1, _SHA256 = "IMS:1000080", "IMS:1000090", "IMS:1000091", "IMS:1000092"
_CONTINUOUS, _PROCESSED = "IMS:1000030", "IMS:1000031"
_MZ_ARRAY, _INTENSITY_ARRAY = "MS:1000514", "MS:1000515"
_REPLACED = {_UUID, _MD5, _SHA1, _SHA256, _CONTINUOUS, _PROCESSED}
_NAMES = {
    _UUID: "universally unique identifier",
    _SHA1: "ibd SHA-1",
    _CONTINUOUS: "continuous",
    _PROCESSED: "processed",
    _MZ_ARRAY: "m/z array",
    _INTENSITY_ARRAY: "intensity array",
    "MS:1000574": "zlib compression",
    "MS:1000576": "no compression",
    "IMS:1000101": "external data",
}
_TERMS = {
    "MS:1000127": "centroid spectrum",
    "MS:1000128": "profile spectrum",
    "MS:1000129": "negative scan",
    "MS:1000130": "positive scan",
    "MS:1000511": "ms level",
    "MS:1000579": "MS1 spectrum",
}
"""Terms that all spectra of a dataset may have, beside the groups that they refer to."""
_TYPES = {
    "<f2": ("MS:1000520", "16-bit float"),
    "<f4": ("MS:1000521", "32-bit float"),
    "<f8": ("MS:1000523", "64-bit float"),
    "|i1": ("IMS:1100000", "8-bit integer"),
    "<i2": ("IMS:1100001", "16-bit integer"),
    "<i4": ("MS:1000519", "32-bit integer"),
    "<i8": ("MS:1000522", "64-bit integer"),
}
_UNITS = {
    _MZ_ARRAY: {"unitCvRef": "MS", "unitAccession": "MS:1000040", "unitName": "m/z"},
    _INTENSITY_ARRAY: {
        "unitCvRef": "MS",
        "unitAccession": "MS:1000131",
        "unitName": "number of detector counts",
    },
}
_MINIMAL = f"""<mzML xmlns="{NAMESPACE}" version="1.1"><cvList count="3">
<cv id="MS" fullName="Proteomics Standards Initiative Mass Spectrometry Ontology"
 URI="https://raw.githubusercontent.com/HUPO-PSI/psi-ms-CV/master/psi-ms.obo"/>
<cv id="IMS" fullName="Mass Spectrometry Imaging Ontology"
 URI="https://raw.githubusercontent.com/imzML/imzML/master/imagingMS.obo"/>
<cv id="UO" fullName="Units of Measurement Ontology" URI="http://ontologies.berkeleybop.org/uo.obo"/></cvList>
<fileDescription><fileContent/></fileDescription><run id="run"><spectrumList/></run></mzML>"""


class Written(NamedTuple):
    """Where a spectrum's arrays were written: offset and number of bytes of each."""

    mz: tuple[int, int]
    intensity: tuple[int, int]


def write_pair(spectra: Spectra, path: Path) -> list[Path]:
    """Write both files beside each other, the ibd first; return the paths of imzML and ibd."""
    stem = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
    imzml, ibd = stem.with_name(stem.name + ".imzML"), stem.with_name(stem.name + ".ibd")
    tree = _tree(spectra.header)
    for place in ("fileDescription/fileContent", "run/spectrumList"):  # before anything is written
        _found(tree, place)
    identity, sha1, places = uuid.uuid4(), hashlib.sha1(usedforsecurity=False), list[Written]()
    write_file(ibd, _hashed(_arrays(spectra, identity, places), sha1))
    _describe(tree, spectra, identity, sha1.hexdigest())
    write_file(imzml, _document(tree, spectra, places))
    return [imzml, ibd]


def _hashed(blocks: Iterable[bytes], sha1: hashlib._Hash) -> Iterator[bytes]:
    for block in blocks:
        sha1.update(block)
        yield block


def _arrays(spectra: Spectra, identity: uuid.UUID, places: list[Written]) -> Iterator[bytes]:
    """Yield the ibd, and note where arrays are; those that share bytes go on sharing them."""
    yield identity.bytes
    at, known = UUID_BYTES, dict[tuple[int, int, int], int]()
    for number, run in enumerate(spectra.runs):
        columns = (run.mz_at, run.intensity_at)
        for (*positions,), stored in zip(
            zip(*(column.tolist() for column in columns), strict=True), run.stored(), strict=True
        ):
            offsets = []
            for position, data in zip(positions, stored, strict=True):
                key = (number, position, len(data))
                if data and key not in known:
                    known[key] = at
                    at += len(data)
                    yield bytes(data)
                offsets.append((known.get(key, at), len(data)))
            places.append(Written(*offsets))


def _tree(header: Header) -> ET.Element:
    """Parse the header, closed behind the tag of the list of spectra, into an element mzML without namespaces."""
    data = header.data or _MINIMAL.encode()
    if b"<!DOCTYPE" in data:
        raise DecodeError("the header of the imzML has a document type, which imzML does not")
    prefix = rb"(?:[\w.-]+:)?"
    tags = re.findall(rb"<(" + prefix + rb"(?:indexedmzML|mzML|run|spectrumList))(?=[\s>/])", data)
    closed = tags[:-1] if data.rstrip().endswith(b"/>") else tags
    end = b"".join(b"</%s>" % tag for tag in reversed(closed)) if header.data else b""
    try:
        root = ET.fromstring(data + end)  # noqa: S314 - it has no document type, so no entities
    except ET.ParseError as exc:
        raise DecodeError(f"the header of the imzML is not well-formed: {exc}") from exc
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    found = root if root.tag == "mzML" else _found(root, "mzML")
    found.set("xmlns", NAMESPACE)
    return found


def _found(parent: ET.Element, path: str) -> ET.Element:
    """Return an element below another; DecodeError where there is none."""
    found = parent.find(path)
    if found is None:
        raise DecodeError(f"the header of the imzML lacks {path}")
    return found


def _describe(tree: ET.Element, spectra: Spectra, identity: uuid.UUID, sha1: str) -> None:
    """Put into the header what is new."""
    for parent in tree.iter():
        for param in [each for each in parent.findall("cvParam") if each.get("accession") in _REPLACED]:
            parent.remove(param)
    content = _found(tree, "fileDescription/fileContent")
    _param(content, _UUID, "{" + str(identity).upper() + "}")
    _param(content, _SHA1, sha1.upper())
    _param(content, _CONTINUOUS if spectra.is_continuous else _PROCESSED)
    groups = tree.find("referenceableParamGroupList")
    if groups is None:
        groups = ET.Element("referenceableParamGroupList")
        tree.insert(list(tree).index(_found(tree, "fileDescription")) + 1, groups)
    for group in list(groups):
        if any(each.get("accession") in (_MZ_ARRAY, _INTENSITY_ARRAY) for each in group):
            groups.remove(group)
    for name, accession, kind in _array_groups(spectra):
        groups.append(_group(name, accession, kind))
    groups.set("count", str(len(groups)))


def _array_groups(spectra: Spectra) -> list[tuple[str, str, ArrayType]]:
    """Return of each type of array its group's name, the term, and the type."""
    types = list(dict.fromkeys(each for run in spectra.runs for each in run.layout.types))
    found = []
    for number, each in enumerate(types):
        label = str(number + 1) if number else ""
        found.append((f"mzArray{label}", _MZ_ARRAY, each.mz))
        found.append((f"intensityArray{label}", _INTENSITY_ARRAY, each.intensity))
    return found


def _group(name: str, accession: str, kind: ArrayType) -> ET.Element:
    group = ET.Element("referenceableParamGroup", id=name)
    _param(group, "MS:1000574" if kind.zlib else "MS:1000576")
    _param(group, accession, **_UNITS[accession])
    _param(group, "IMS:1000101", "true")
    term, title = _TYPES[np.dtype(kind.dtype).str]
    ET.SubElement(group, "cvParam", cvRef=term.partition(":")[0], accession=term, name=title, value="")
    return group


def _param(parent: ET.Element, accession: str, value: str = "", **more: str) -> None:
    vocabulary = accession.partition(":")[0]
    names = {"cvRef": vocabulary, "accession": accession, "name": _NAMES[accession], "value": value}
    ET.SubElement(parent, "cvParam", {**names, **more})


def _document(tree: ET.Element, spectra: Spectra, places: list[Written]) -> Iterator[bytes]:
    """Yield the imzML: the header, spectrum by spectrum, and what closes it."""
    spectrum_list = _found(tree, "run/spectrumList")
    mark = uuid.uuid4().hex
    spectrum_list.set("count", str(len(spectra)))
    spectrum_list.text, spectrum_list.tail = mark, "\n"
    before, _, behind = ET.tostring(tree, encoding="unicode").partition(mark)
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n' + before.encode() + b"\n"
    template = _Template(spectra, _terms(tree, spectra.header))
    for number, written in enumerate(places):
        yield template.fill(number, written).encode()
    yield behind.encode() + b"\n"


def _terms(tree: ET.Element, header: Header) -> str:
    """Write the terms that all spectra have, but for those that their groups bring."""
    referred = {*header.groups.get("spectrum", ()), *header.groups.get("scan", ())}
    groups = [each for each in tree.iter("referenceableParamGroup") if each.get("id") in referred]
    brought = {param.get("accession") for group in groups for param in group.findall("cvParam")}
    return "".join(
        f'<cvParam cvRef="MS" accession="{each}" name="{_TERMS[each]}" value="{"1" if each == "MS:1000511" else ""}"/>'
        for each in header.groups.get("terms", ())
        if each in _TERMS and each not in brought
    )


class _Template:
    """Writes the element of each spectrum."""

    def __init__(self, spectra: Spectra, terms: str) -> None:
        self._spectra, self._terms = spectra, terms
        self._has_z = bool((spectra.coordinates[:, 2] != 1).any())
        types = list(dict.fromkeys(each for run in spectra.runs for each in run.layout.types))
        self._labels = [
            [str(types.index(each) or "") and str(types.index(each) + 1) for each in run.layout.types]
            for run in spectra.runs
        ]
        self._kinds = [
            self._labels[number][kind]
            for number, run in enumerate(spectra.runs)
            for kind in run.places.type.tolist()
        ]
        self._of_spectrum, self._of_scan = (
            "".join(f"<referenceableParamGroupRef ref={quoteattr(each)}/>" for each in groups)
            for groups in (spectra.header.groups.get(name, ()) for name in ("spectrum", "scan"))
        )

    def fill(self, number: int, written: Written) -> str:
        """Return the element of one spectrum."""
        x, y, z = self._spectra.coordinates[number].tolist()
        tic = float(np.sum(self._spectra.intensity(number), dtype=np.float64))
        length, label = int(self._spectra.lengths[number]), self._kinds[number]
        position = _ims(50, "position x", x) + _ims(51, "position y", y)
        if self._has_z:
            position += _ims(52, "position z", z)
        return (
            f'<spectrum id="spectrum={number + 1}" index="{number}" defaultArrayLength="0">{self._of_spectrum}'
            f"{self._terms}"
            f'<cvParam cvRef="MS" accession="MS:1000285" name="total ion current" value="{tic}"/>\n'
            '<scanList count="1"><cvParam cvRef="MS" accession="MS:1000795" name="no combination" value=""/>'
            f"<scan>{self._of_scan}{position}</scan></scanList>\n"
            f'<binaryDataArrayList count="2">{_external("mzArray" + label, length, *written.mz)}\n'
            f"{_external('intensityArray' + label, length, *written.intensity)}</binaryDataArrayList></spectrum>\n"
        )


def _external(group: str, length: int, offset: int, n_bytes: int) -> str:
    return (
        f'<binaryDataArray encodedLength="0"><referenceableParamGroupRef ref="{group}"/>'
        + _ims(103, "external array length", length)
        + _ims(102, "external offset", offset)
        + _ims(104, "external encoded length", n_bytes)
        + "<binary/></binaryDataArray>"
    )


def _ims(number: int, name: str, value: int) -> str:
    return f'<cvParam cvRef="IMS" accession="IMS:1000{number:03}" name="{name}" value="{value}"/>'
