"""CSV: a record is a row, as a dictionary from the columns' names to typed values.

Names come from the header row, or from option `names`; a file without either has f0, f1, … Types come from option
`types`, found while indexing, so that they are the same in every slice: runs of "int64", "double", "bool",
"date", "timestamp", "timestamp_utc" and "string", such as "int64,double?*3,string"; `?` marks columns with nulls.

Null is an empty field without quotes, in columns other than text also one within quotes, and a null word: those of
option `nulls`, in any column, or where that is absent NULL_WORDS in columns other than text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any

from slicery.decoders.csv_rows import Dialect, Row, dialect_of, end_of_rows, row_spans, whole_rows
from slicery.errors import DecodeError, InvalidTicket

if TYPE_CHECKING:
    import pyarrow as pa

NULL_WORDS = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A", "#NA")
BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
BOM = b"\xef\xbb\xbf"

Record = dict[str | None, Any]
Column = Sequence[str | None]


@dataclass(frozen=True)
class ColumnType:
    """The type of a column's values, and whether some are null."""

    name: str = "string"
    nullable: bool = True


@dataclass(frozen=True)
class Layout:
    """The columns of a file, and how its fields are read."""

    names: tuple[str, ...]
    types: tuple[ColumnType, ...]
    dialect: Dialect
    encoding: str
    nulls: tuple[str, ...] | None
    keeps_bad_rows: bool
    has_extra: bool

    @classmethod
    def of(cls, options: Mapping[str, Any], header: bytes = b"") -> Layout:
        """Read the options of a ticket, and the header row where there is one."""
        types = read_types(options["types"]) if "types" in options else ()
        form, encoding = dialect_of(options), options.get("encoding", "utf-8")
        names = tuple(options.get("names") or column_names(header, form, encoding))
        names = names or tuple(default_names(len(types)))
        types = types or tuple(ColumnType() for _ in names)
        if len(types) != len(names):
            raise InvalidTicket(f"expected types of {len(names)} columns, found {len(types)}")
        nulls = tuple(options["nulls"]) if "nulls" in options else None
        keeps = options.get("on_bad_row") == "keep"
        return cls(names, types, form, encoding, nulls, keeps, bool(options.get("extra")))

    @cached_property
    def converters(self) -> tuple[Callable[[Column], Sequence[Any]], ...]:
        """What turns the fields of each column into values."""
        words = frozenset(("", *(NULL_WORDS if self.nulls is None else self.nulls)))
        return tuple(_converter(each.name, words, self.nulls) for each in self.types)

    def records(self, rows: Sequence[Row], first: int) -> Iterator[Record]:
        """Turn rows into records; DecodeError names the number of a bad one, that of the first being `first`."""
        try:
            columns = list(zip(*rows, strict=True))
            if len(columns) != len(self.names):
                raise ValueError
            values = [convert(column) for convert, column in zip(self.converters, columns, strict=True)]
        except (ValueError, TypeError, KeyError):
            for number, row in enumerate(rows, first):
                yield self.record(row, number)
            return
        yield from map(dict, map(zip, repeat(self.names), zip(*values, strict=True)))

    def record(self, row: Row, number: int) -> Record:
        """Turn one row into a record; fields beyond the last column come under None, as `csv.DictReader` has it."""
        n_names = len(self.names)
        if len(row) != n_names and not self.keeps_bad_rows:
            raise DecodeError(f"record number {number}: expected {n_names} fields, found {len(row)}")
        padded = [*row[:n_names], *[None] * (n_names - len(row))]
        record: Record = {}
        for name, kind, convert, field in zip(self.names, self.types, self.converters, padded, strict=True):
            try:
                (record[name],) = convert((field,))
            except (ValueError, TypeError, KeyError) as exc:
                raise DecodeError(
                    f"record number {number}: expected {kind.name} in column {name!r}, found {str(field)[:40]!r}"
                ) from exc
        if len(row) > n_names:
            record[None] = [field or "" for field in row[n_names:]]
        return record


class CsvDecoder:
    """Bytes to rows."""

    unit = "row"

    def records(
        self, blocks: Iterable[bytes], options: Mapping[str, Any], header: bytes = b""
    ) -> Iterator[Record]:
        """Yield the rows; DecodeError names the number of a bad one, counted from 0."""
        layout = Layout.of(options, header)
        n_rows = 0
        for rows in read_rows(blocks, layout):
            yield from layout.records(rows, n_rows)
            n_rows += len(rows)

    def spans(self, blocks: Iterable[bytes], options: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield each row's bytes; empty lines belong to the row before them, at the start to the first."""
        return row_spans(blocks, dialect_of(options))

    def parse(self, raw: bytes, options: Mapping[str, Any]) -> Record:
        """Turn the bytes of one row into a record, with the names that the options give."""
        layout = Layout.of(options)
        rows = [row for rows in read_rows([raw], layout) for row in rows]
        if len(rows) != 1:
            raise DecodeError(f"expected one row, found {len(rows)}")
        return layout.record(rows[0], 0)

    def table(self, blocks: Iterable[bytes], options: Mapping[str, Any], header: bytes = b"") -> pa.Table:
        """Return the rows as an Arrow table, the same values as `records` gives."""
        from slicery.decoders.csv_table import read_table

        return read_table(blocks, Layout.of(options, header))


decoder = CsvDecoder()


def column_names(header: bytes, form: Dialect, encoding: str) -> list[str]:
    """Return the names in a header row, each once: a second `a` is `a.1`, as pandas has it; none without one."""
    rows = form.rows(_decoded(header.removeprefix(BOM), encoding))
    return unique_names([field or "" for field in rows[0]]) if rows else []


def default_names(n_columns: int) -> list[str]:
    """Return the names of columns that have none."""
    return [f"f{number}" for number in range(n_columns)]


def unique_names(names: Sequence[str]) -> list[str]:
    """Number the names that come again."""
    taken, seen = set(names), dict.fromkeys(names, 0)
    unique = []
    for name in names:
        found = name
        while seen[name] and found in taken:
            found = f"{name}.{seen[name]}"
            seen[name] += 1
        seen[name] = seen[name] or 1
        taken.add(found)
        unique.append(found)
    return unique


def read_types(text: str) -> tuple[ColumnType, ...]:
    """Read types as tickets hold them: runs, such as "int64,double?*3"."""
    types: list[ColumnType] = []
    for run in text.split(",") if text else ():
        name, _, times = run.partition("*")
        kind = ColumnType(name.removesuffix("?"), name.endswith("?"))
        if kind.name not in TYPES or (times and not times.isdecimal()):
            raise InvalidTicket(f"expected the type of a column, found {run!r}; upgrade the slicery client")
        types += [kind] * (int(times) if times else 1)
    return tuple(types)


def read_rows(blocks: Iterable[bytes], layout: Layout) -> Iterator[list[Row]]:
    """Yield rows as lists of fields, in runs."""
    n_rows = 0
    for run in whole_rows(blocks, layout.dialect):
        error = None
        try:
            text = run.decode(layout.encoding)
        except UnicodeDecodeError as exc:
            error, good = exc, run[: end_of_rows(run[: exc.start], layout.dialect)]
            text = good.decode(layout.encoding)
        found = layout.dialect.rows(text)
        n_rows += len(found)
        yield found
        if error:
            raise DecodeError(
                f"record number {n_rows}: the row is not {layout.encoding}: {error.reason}"
            ) from error


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _timestamp_utc(field: str) -> datetime:
    moment = datetime.fromisoformat(field)
    if moment.tzinfo is None:
        raise ValueError("expected an offset from UTC")
    return moment.astimezone(UTC)


TYPES: Mapping[str, Callable[[str], Any]] = {
    "string": str,
    "int64": int,
    "double": float,
    "bool": BOOLS.__getitem__,
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "timestamp_utc": _timestamp_utc,
}
"""What reads a field of each type."""


def _converter(
    name: str, words: frozenset[str], nulls: tuple[str, ...] | None
) -> Callable[[Column], Sequence[Any]]:
    if name == "string":
        return (
            (lambda column: column)
            if not nulls
            else (lambda column: [None if field in nulls else field for field in column])
        )
    read = TYPES[name]

    def convert(column: Column) -> Sequence[Any]:
        if None not in column and words.isdisjoint(column):
            return list(map(read, column))  # type: ignore[arg-type]  # none is None
        return [None if field is None or field in words else read(field) for field in column]

    return convert
