"""VCF: a record is a line, as a VcfRecord, whose columns are parsed when they are asked for (VCF 4.5 §1.6).

The header tells the types of INFO and FORMAT fields and the names of the samples. A record of a slice whose header
is not at hand has strings, and its samples are numbered from "0".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

from slicery.decoders.text import is_blank, split_lines, whole_lines, with_blanks
from slicery.decoders.vcf_regions import overlapping
from slicery.errors import DecodeError, InvalidTicket
from slicery.ticket import Region, Step

CHROM, POS, ID, REF, ALT, QUAL, FILTER, INFO, FORMAT = range(9)
N_FIXED = 8
MISSING = "."

_DECLARATION = re.compile(
    r"^##(INFO|FORMAT)=<(?=.*?\bID=([^,>]+))(?=.*?\bNumber=([^,>]+))(?=.*?\bType=([^,>]+))", re.M
)
Converted = TypeVar("Converted")
Value = Any
"""int, float, str, True for a flag, None where it is missing; a tuple where the header allows for several."""


class VcfHeader:
    """The header that all records of a slice share."""

    def __init__(self, text: str = "") -> None:
        self.text = text

    def __reduce__(self) -> tuple[type[VcfHeader], tuple[str]]:
        return VcfHeader, (self.text,)

    @cached_property
    def samples(self) -> tuple[str, ...]:
        """The names of the samples."""
        last = self.text.rstrip("\r\n").rpartition("\n")[2]
        return tuple(last.split("\t")[FORMAT + 1 :])

    @cached_property
    def _fields(self) -> dict[tuple[str, str], tuple[str, str]]:
        return {
            (kind, name): (number, type_) for kind, name, number, type_ in _DECLARATION.findall(self.text)
        }

    def value(self, kind: str, name: str, text: str) -> Value:
        """Turn the text of an INFO or FORMAT field into its value."""
        number, type_ = self._fields.get((kind, name), ("1", "String"))
        convert = _CONVERSIONS.get(type_, str)
        if number == "1":
            return _value(text, convert)
        return tuple(_value(each, convert) for each in text.split(","))


class VcfRecord:
    """A record. `line` is its text without the line end; positions count from 1, as in the file."""

    __slots__ = ("_columns", "header", "line")

    def __init__(self, line: str, header: VcfHeader) -> None:
        self.line = line
        self.header = header
        self._columns: list[str] | None = None

    @property
    def columns(self) -> list[str]:
        """The fixed columns as text, the format, and all samples as one text; DecodeError where there are too few."""
        if self._columns is None:
            columns = self.line.split("\t", FORMAT + 1)
            if len(columns) < N_FIXED:
                raise DecodeError(
                    f"expected a VCF record of 8 columns or more, found {len(columns)} in {self.line[:40]!r}"
                )
            self._columns = columns
        return self._columns

    @property
    def chrom(self) -> str:
        """The contig."""
        return self.columns[CHROM]

    @property
    def pos(self) -> int:
        """The position of the first base of REF, from 1; 0 is the telomere."""
        return int(self.columns[POS])

    @property
    def id(self) -> str | None:
        """The identifiers, with semicolons between them."""
        return _value(self.columns[ID], str)

    @property
    def ref(self) -> str:
        """The reference's bases."""
        return self.columns[REF]

    @property
    def alt(self) -> tuple[str, ...]:
        """The other alleles."""
        return _several(self.columns[ALT], ",")

    @property
    def qual(self) -> float | None:
        """The quality."""
        return _value(self.columns[QUAL], float)

    @property
    def filter(self) -> tuple[str, ...]:
        """The filters that failed, or PASS; empty where none was applied."""
        return _several(self.columns[FILTER], ";")

    @property
    def info(self) -> dict[str, Value]:
        """The INFO fields by name."""
        fields = (field.partition("=") for field in _several(self.columns[INFO], ";") if field)
        return {
            name: self.header.value("INFO", name, text) if equals else True for name, equals, text in fields
        }

    @property
    def format(self) -> tuple[str, ...]:
        """The names of what each sample has."""
        return tuple(self.columns[FORMAT].split(":")) if len(self.columns) > FORMAT else ()

    @property
    def samples(self) -> dict[str, dict[str, Value]]:
        """By the name of each sample, what it has; None for what its line leaves out."""
        texts = self.columns[FORMAT + 1].split("\t") if len(self.columns) > FORMAT + 1 else []
        names = self.header.samples or tuple(map(str, range(len(texts))))
        return {name: self._sample(text) for name, text in zip(names, texts, strict=False)}

    def _sample(self, text: str) -> dict[str, Value]:
        names, values = self.format, text.split(":")
        found = {
            name: self.header.value("FORMAT", name, each) for name, each in zip(names, values, strict=False)
        }
        return found if len(found) == len(names) else dict.fromkeys(names) | found

    def __repr__(self) -> str:
        return f"VcfRecord({self.line[:60]!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VcfRecord) and self.line == other.line

    def __hash__(self) -> int:
        return hash(self.line)

    def __reduce__(self) -> tuple[type[VcfRecord], tuple[str, VcfHeader]]:
        return VcfRecord, (self.line, self.header)


class VcfDecoder:
    """Bytes to records."""

    unit = "record"

    def records(
        self,
        blocks: Iterable[bytes],
        options: Mapping[str, Any],  # noqa: ARG002 VCF has no options
        header: bytes = b"",
    ) -> Iterator[VcfRecord]:
        """Yield the records."""
        shared = VcfHeader(_text(header))
        for run in whole_lines(blocks):
            for line in _text(run).removesuffix("\r").replace("\r\n", "\n").split("\n"):
                if line:
                    yield VcfRecord(line, shared)

    def spans(self, blocks: Iterable[bytes], options: Mapping[str, Any]) -> Iterator[bytes]:  # noqa: ARG002 VCF has no options
        """Yield each record's line; empty lines belong to the record before them."""
        return with_blanks(split_lines(blocks), is_blank)

    def parse(self, raw: bytes, options: Mapping[str, Any]) -> VcfRecord:  # noqa: ARG002 VCF has no options
        """Turn a line into the record."""
        return VcfRecord(_text(raw).rstrip("\r\n"), VcfHeader())

    def select(
        self,
        spans: Iterable[bytes],
        step: Step,
        options: Mapping[str, Any],  # noqa: ARG002 VCF has no options
        header: bytes,
    ) -> Iterator[bytes]:
        """Yield the lines of the records that overlap a region."""
        if not isinstance(step, Region):
            raise InvalidTicket(f"expected the step region with VCF records, found {step.op}")
        return overlapping(spans, step, header)


decoder = VcfDecoder()


def _value(text: str, convert: Callable[[str], Converted]) -> Converted | None:
    """Convert a value."""
    if text == MISSING:
        return None
    return convert(text)


def _integer(text: str) -> int | str:
    return int(text) if text.removeprefix("-").isdigit() else text


def _float(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


_CONVERSIONS: dict[str, Callable[[str], Any]] = {"Integer": _integer, "Float": _float}
"""What the header calls a number and is none stays text."""


def _several(text: str, separator: str) -> tuple[str, ...]:
    return () if text == MISSING else tuple(text.split(separator))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
