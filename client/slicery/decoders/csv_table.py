"""CSV as Arrow tables: the same values as records, read by Arrow.

Arrow knows fewer ways to write null and numbers. Where it stumbles over a column, that column is read as text and
turned into values afterwards; where it stumbles over a row, all rows are read one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from slicery.decoders.csv import BOOLS, NULL_WORDS, Layout, read_rows
from slicery.errors import MissingExtra

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv
except ModuleNotFoundError as exc:
    raise MissingExtra("tables need pyarrow, which is not installed: pip install 'slicery[csv]'") from exc

EXTRA = "_extra"
"""The column with the fields of rows that have too many."""

_BLOCK_BYTES = 8 << 20
_MOST_BLOCK_BYTES = (1 << 31) - 1

ARROW_TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamp_utc": pa.timestamp("us", "UTC"),
}


def read_table(blocks: Iterable[bytes], layout: Layout) -> pa.Table:
    """Return rows as a table with the columns of a layout, and `_extra` where rows may have too many fields."""
    schema = schema_of(layout)
    text = b"".join(blocks)
    if not layout.has_extra and text.strip(b"\r\n"):
        for as_text in (False, True):
            try:
                return _read_by_arrow(text, layout, schema, as_text=as_text)
            except pa.ArrowInvalid:
                continue
    return _read_by_rows(text, layout, schema)


def schema_of(layout: Layout) -> pa.Schema:
    """Return the schema that the tables of all slices have."""
    names = zip(layout.names, layout.types, strict=True)
    fields = [pa.field(name, ARROW_TYPES[kind.name], kind.nullable) for name, kind in names]
    if layout.has_extra:
        fields.append(pa.field(EXTRA, pa.list_(pa.string())))
    return pa.schema(fields)


def _read_by_arrow(text: bytes, layout: Layout, schema: pa.Schema, *, as_text: bool) -> pa.Table:
    """Read with Arrow; with `as_text`, columns are turned into their types afterwards."""
    types = [pa.string() if as_text else field.type for field in schema]
    words = NULL_WORDS if layout.nulls is None else layout.nulls
    are_typed = as_text or (
        layout.nulls is None and pa.string() in types
    )  # words are text in columns of text
    try:
        found = _parse(text, layout, types, () if are_typed else words, _BLOCK_BYTES)
    except pa.ArrowInvalid as exc:
        if "straddl" not in str(exc) or len(text) >= _MOST_BLOCK_BYTES:
            raise
        found = _parse(
            text, layout, types, () if are_typed else words, len(text) + 1
        )  # a row longer than a block
    columns = [
        _typed(column, field.type, words, in_texts=layout.nulls is not None)
        for column, field in zip(found.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _parse(
    text: bytes, layout: Layout, types: Sequence[pa.DataType], nulls: Sequence[str], block_bytes: int
) -> pa.Table:
    form, names = layout.dialect, [str(number) for number in range(len(types))]
    return csv.read_csv(
        pa.BufferReader(text),
        read_options=csv.ReadOptions(column_names=names, encoding=layout.encoding, block_size=block_bytes),
        parse_options=csv.ParseOptions(
            delimiter=form.delimiter,
            quote_char=form.quote or False,
            escape_char=form.escape or False,
            newlines_in_values=not form.is_simple(text),
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict(zip(names, types, strict=True)),
            null_values=["", *nulls],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=[word for word, truth in BOOLS.items() if truth],
            false_values=[word for word, truth in BOOLS.items() if not truth],
        ),
    )


def _typed(
    column: pa.ChunkedArray, kind: pa.DataType, words: Sequence[str], *, in_texts: bool
) -> pa.ChunkedArray:
    """Turn a column that was read as text into its type, with null where a word means it."""
    if not pa.types.is_string(column.type):
        return column
    is_text = pa.types.is_string(kind)
    missing = words if is_text else ("", *words)
    if missing and (in_texts or not is_text):
        is_missing = pc.is_in(column, value_set=pa.array(missing, pa.string()))
        column = pc.if_else(is_missing, pa.scalar(None, pa.string()), column)
    return column if is_text else column.cast(kind)


def _read_by_rows(text: bytes, layout: Layout, schema: pa.Schema) -> pa.Table:
    columns: list[list[Any]] = [[] for _ in schema]
    keys = [*layout.names, *[None] * layout.has_extra]
    n_rows = 0
    for rows in read_rows([text], layout):
        for record in layout.records(rows, n_rows):
            for key, column in zip(keys, columns, strict=True):
                column.append(record.get(key))
        n_rows += len(rows)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
