"""The header of an imzML: what comes before its first spectrum, read by lxml (imzML 1.1, mzML 1.1)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from lxml import etree

from slicery_service.errors import MalformedRecord
from slicery_workers.kernels.imzml import IMS, Groups

UUID, MD5, SHA1, SHA256 = "IMS:1000080", "IMS:1000090", "IMS:1000091", "IMS:1000092"
CONTINUOUS, PROCESSED = "IMS:1000030", "IMS:1000031"
_PIXELS = ("IMS:1000042", "IMS:1000043")
_PIXEL_SIZES = ("IMS:1000046", "IMS:1000047")
_CHECKSUMS = {MD5: "md5", SHA1: "sha1", SHA256: "sha256"}
_MICROMETRES = {"UO:0000015": 1e4, "UO:0000016": 1e3, "UO:0000017": 1.0, "UO:0000018": 1e-3}

_HINT = "Export the imzML again."

Param = tuple[str, str]
"""Accession and value of a cvParam."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says of the dataset; `stop` is where it ends, behind the tag of the list of spectra."""

    stop: int
    groups: Mapping[str, tuple[Param, ...]]
    uuid: uuid.UUID | None
    checksum: tuple[str, str] | None
    facts: Mapping[str, Any]

    @property
    def group_names(self) -> list[str]:
        """The names of the groups of parameters, in their order."""
        return list(self.groups)


def parse(data: bytes) -> Header:
    """Read a header; MalformedRecord where it is not well-formed, or no imzML."""
    root = _root(data)
    content = root.find("{*}fileDescription/{*}fileContent")
    groups = {
        str(group.get("id")): tuple(_params(group))
        for group in root.iterfind("{*}referenceableParamGroupList/{*}referenceableParamGroup")
    }
    params = dict(_resolved(content, groups)) if content is not None else {}
    return Header(len(data), groups, _uuid(params), _checksum(params), _facts(root, params, groups))


def packed(groups: Mapping[str, tuple[Param, ...]]) -> Groups:
    """Return groups as the kernel takes them."""
    params = [param for each in groups.values() for param in each]
    names, name_edges = _joined(name.encode() for name in groups)
    values, value_edges = _joined(value.encode() for _, value in params)
    terms = np.array([_term(accession) for accession, _ in params], np.int64)
    term_edges = np.cumsum([0, *map(len, groups.values())]).astype(np.int64)
    return Groups(names, name_edges, terms, term_edges, values, value_edges)


def _root(data: bytes) -> Any:
    parser = etree.XMLPullParser(
        events=("start",), resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        parser.feed(data)
        found = [element for _, element in parser.read_events()]
    except etree.XMLSyntaxError as exc:
        raise MalformedRecord(
            f"expected well-formed XML before the first spectrum, found at line {exc.position[0]}: {exc.msg}",
            hint=_HINT,
        ) from exc
    roots = [element for element in found if etree.QName(element).localname == "mzML"]
    if not roots:
        raise MalformedRecord("expected the element mzML before the list of spectra, found none", hint=_HINT)
    return roots[0]


def _params(element: Any) -> Iterable[Param]:
    """Yield the cvParams right below an element."""
    for param in element.iterfind("{*}cvParam"):
        yield str(param.get("accession", "")), str(param.get("value", ""))


def _resolved(element: Any, groups: Mapping[str, tuple[Param, ...]]) -> Iterable[Param]:
    """Yield the cvParams of an element, and those of the groups that it refers to."""
    yield from _params(element)
    for ref in element.iterfind("{*}referenceableParamGroupRef"):
        yield from groups.get(str(ref.get("ref")), ())


def _uuid(params: Mapping[str, str]) -> uuid.UUID | None:
    text = params.get(UUID, "").strip()
    if not text:
        return None
    digits = re.sub(r"[{}\-\s]|^0[xX]|^urn:uuid:", "", text)
    if re.fullmatch(r"[0-9a-fA-F]{32}", digits) is None:
        raise MalformedRecord(
            f"expected a UUID of 32 hexadecimal digits in {UUID}, found {text[:60]!r}", hint=_HINT
        )
    return uuid.UUID(digits)


def _checksum(params: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the strongest checksum of the ibd: the name of its hash, and its digits."""
    for term in (SHA256, SHA1, MD5):
        if params.get(term, "").strip():
            return _CHECKSUMS[term], params[term].strip().lower()
    return None


def _facts(root: Any, params: Mapping[str, str], groups: Mapping[str, tuple[Param, ...]]) -> dict[str, Any]:
    """Return what the catalog shows of the header."""
    facts: dict[str, Any] = {}
    if CONTINUOUS in params or PROCESSED in params:
        facts["mode"] = "continuous" if CONTINUOUS in params else "processed"
    settings = root.find("{*}scanSettingsList/{*}scanSettings")
    if settings is not None:
        of_settings = dict(_resolved(settings, groups))
        sizes = [_whole(of_settings.get(term, "")) for term in _PIXELS]
        if all(sizes):
            facts["image_size"] = sizes
        if (size := _pixel_size(settings)) is not None:
            facts["pixel_size_um"] = size
    instrument = root.find("{*}instrumentConfigurationList/{*}instrumentConfiguration")
    if instrument is not None:
        names = {
            "instrument": _name(instrument, "."),
            "ionisation": _name(instrument, ".//{*}source"),
            "analyser": _name(instrument, ".//{*}analyzer"),
        }
        facts.update({name: value for name, value in names.items() if value})
    return facts


def _pixel_size(settings: Any) -> list[float] | None:
    """Return how wide and high pixels are, in micrometres; one number stands for both."""
    found = []
    for term in _PIXEL_SIZES:
        for param in settings.iterfind("{*}cvParam"):
            if param.get("accession") == term and (size := _positive(param.get("value", ""))):
                found.append(round(size * _MICROMETRES.get(param.get("unitAccession", ""), 1.0), 6))
                break
    return (found * 2)[:2] or None


def _name(element: Any, path: str) -> str | None:
    """Return the name of the first term without a value, which says what an instrument or a part of it is."""
    for part in element.iterfind(path):
        for param in part.iterfind("{*}cvParam"):
            if not param.get("value") and param.get("name"):
                return str(param.get("name"))[:100]
    return None


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e12 else None


def _whole(text: str) -> int | None:
    value = _positive(text)
    return None if value is None else int(value)


def _term(accession: str) -> int:
    vocabulary, _, number = accession.partition(":")
    if vocabulary not in ("MS", "IMS") or not number.isdigit() or len(number) > 9:
        return 0
    return int(number) + (IMS if vocabulary == "IMS" else 0)


def _joined(texts: Iterable[bytes]) -> tuple[Any, Any]:
    parts = list(texts)
    edges = np.cumsum([0, *map(len, parts)]).astype(np.int64)
    return np.frombuffer(b"".join(parts), np.uint8), edges
