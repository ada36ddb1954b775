"""Tables of a slice's files as one Arrow table, or as a data frame of pandas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from slicery.errors import MissingExtra

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def joined(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the rows of several tables of one schema as one table."""
    first, *others = tables
    if not others:
        return first
    import pyarrow as pa

    return pa.concat_tables([first, *others])


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Turn a table into a data frame whose columns' types depend on the schema alone.

    Integers and truth values that may be null become pandas' nullable types: without them they would be doubles or
    objects in the slices that have a null, and not in the others. Dates stay `datetime.date`.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as exc:
        raise MissingExtra(
            "data frames need pandas, which is not installed: pip install 'slicery[pandas]'"
        ) from exc
    import pyarrow as pa

    text = pd.Series(["text"]).dtype
    # From pandas 3 on texts have a type of their own, which a column of nulls alone would not get.
    always = {pa.string(): text} if isinstance(text, pd.StringDtype) else {}
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), **always}
    columns: dict[str, Any] = {
        field.name: column.to_pandas(types_mapper=(nullable if field.nullable else always).get)
        for field, column in zip(table.schema, table.columns, strict=True)
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)), columns=table.column_names)
