"""JSON Lines (https://jsonlines.org): a record is a line's JSON value, as Python's json reads it: a dict for an object.

Lines end with LF or CRLF; blank ones are passed over, and so is a byte order mark at the beginning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slicery.decoders.text import split_lines, with_blanks
from slicery.errors import DecodeError

_BLANK = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"

_decode = json.JSONDecoder().decode


class JsonlDecoder:
    """Bytes to JSON values."""

    unit = "value"

    def records(
        self,
        blocks: Iterable[bytes],
        options: Mapping[str, Any],  # noqa: ARG002 JSON has none
        header: bytes = b"",  # noqa: ARG002 nor a header
    ) -> Iterator[Any]:
        """Yield the value of each line; DecodeError names the number of one that is not JSON, from 0."""
        values = (line for line in split_lines(blocks) if not _is_blank(line))
        return (_value(line, number) for number, line in enumerate(values))

    def spans(self, blocks: Iterable[bytes], options: Mapping[str, Any]) -> Iterator[bytes]:  # noqa: ARG002 JSON has none
        """Yield each value's line; blank ones belong to the value before them, at the start to the first."""
        return with_blanks(split_lines(blocks), _is_blank)

    def parse(self, raw: bytes, options: Mapping[str, Any]) -> Any:  # noqa: ARG002 JSON has none
        """Turn one line into its value."""
        return _value(raw, 0)


decoder = JsonlDecoder()


def _is_blank(line: bytes) -> bool:
    return not line.removeprefix(_MARK).strip(_BLANK)


def _value(line: bytes, number: int) -> Any:
    try:
        return _decode(line.removeprefix(_MARK).decode())
    except RecursionError as exc:
        raise DecodeError(
            f"record number {number}: the value is nested deeper than Python's json reads"
        ) from exc
    except ValueError as exc:
        raise DecodeError(f"record number {number}: the line is not JSON: {exc}") from exc
