"""CSV: rows of fields, with a header row or without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from slicery_service.descriptors.dialect import looks_like_rows
from slicery_service.formats import Format

ColumnType = Literal["bool", "int64", "double", "date", "timestamp", "timestamp_utc", "string"]

NAMES_OF_BYTES = {"\\t": "\t", "tab": "\t"}
LONGEST_NULL = 64
"""Bytes of a null word."""


def _byte_or_none(value: Any) -> Any:
    """Say no byte by an empty text, as None means that the option was not given."""
    return "" if value is None else value


def _delimiter(value: Any) -> Any:
    value = NAMES_OF_BYTES.get(value, value) if isinstance(value, str) else value
    if isinstance(value, str) and (
        len(value) != 1 or not value.isascii() or value.isalnum() or value in '+-."\r\n\0'
    ):
        raise ValueError(
            "expected one ASCII character that is no part of a number, no letter, quote or line end"
        )
    return value


def _quote(value: Any) -> Any:
    if (
        isinstance(value, str)
        and value
        and (len(value) != 1 or not value.isascii() or not _is_punctuation(value))
    ):
        raise ValueError("expected one ASCII punctuation character, or null for none")
    return value


def _is_punctuation(value: str) -> bool:
    return value.isprintable() and not value.isalnum() and value not in "+-. "


def _null_word(value: str) -> str:
    if not value or len(value.encode()) > LONGEST_NULL or any(each in value for each in "\r\n\0"):
        raise ValueError(
            f"expected 1 to {LONGEST_NULL} bytes without line ends; the empty field is null anyway"
        )
    return value


Quote = Annotated[str, BeforeValidator(_byte_or_none), BeforeValidator(_quote)]


class CsvOptions(BaseModel):
    """Options of CSV."""

    model_config = ConfigDict(extra="forbid")

    delimiter: Annotated[str, BeforeValidator(_delimiter)] | None = Field(
        default=None, description="the character between fields, such as `;` or `\\t`; detected when absent"
    )
    quote: Quote = Field(default='"', description="the character around fields; null for none")
    escape: Quote = Field(
        default="",
        description="a character that takes away the next one's meaning; null for none; doubled quotes are understood",
    )
    header: bool | None = Field(
        default=None, description="whether the first row names the columns; detected when absent"
    )
    encoding: Literal["utf-8", "latin-1"] | None = Field(
        default=None, description="character encoding; detected while indexing when absent"
    )
    on_bad_row: Literal["error", "keep"] = Field(
        default="error",
        description="a row of too few or too many fields fails the job, or is kept",
    )
    nulls: list[Annotated[str, BeforeValidator(_null_word)]] | None = Field(
        default=None,
        max_length=100,
        description="words that stand for a missing value in every column; when absent, NA, NULL, nan and the like "
        "do in columns that are not text",
    )
    columns: list[str] | None = Field(
        default=None, min_length=1, description="the names of all columns, for a file without a header row"
    )
    types: dict[str, ColumnType] | None = Field(
        default=None, description="the types of some columns, by name; the others are inferred"
    )

    @model_validator(mode="after")
    def _differ(self) -> CsvOptions:
        marks = [mark for mark in (self.delimiter, self.quote, self.escape) if mark]
        if len(set(marks)) < len(marks):
            raise ValueError("delimiter, quote and escape must differ")
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            raise ValueError("the names of columns must differ")
        return self


def looks_like_csv(text: bytes) -> bool:
    """All rows have the same number of fields, two at least, with one of the usual separators."""
    return looks_like_rows(text)


def plain_options(options: Mapping[str, Any]) -> CsvOptions:
    """Return options that were kept as a dictionary, with the defaults of those that were not."""
    return CsvOptions.model_validate(dict(options))


CSV = Format(
    name="csv",
    kind="records",
    unit="row",
    description="Rows of fields: comma-, semicolon-, tab- or otherwise separated values",
    suffixes=(".csv", ".tsv", ".tab", ".psv"),
    media_type="text/csv",
    looks_like=looks_like_csv,
    options=CsvOptions,
    decoder_options=(
        "encoding",
        "delimiter",
        "quote",
        "escape",
        "nulls",
        "names",
        "types",
        "on_bad_row",
        "extra",
    ),
)
