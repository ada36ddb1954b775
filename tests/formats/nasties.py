"""What goes wrong with files of lines, written around a format's own lines: the same for every such format."""

from __future__ import annotations

from collections.abc import Sequence

from samples import Sample

STRETCHES = (1, 2, 3, 5, 7, 31, 977)
"""Lengths of stretches, in bytes: the first ones cut every CRLF and every character of several bytes in two."""

LONG_LINE_BYTES = 50_000_000


def nasties(
    lines: Sequence[bytes], *, header: Sequence[bytes] = (), blank_lines: bool = True
) -> list[Sample]:
    """Return files of these lines, given without their ends: some records, each of one line or more.

    `header` are lines before the first record; `blank_lines` says whether the format allows blank ones.
    """
    everything = [*header, *lines]
    found = {
        "plain": _joined(everything, b"\n"),
        "crlf": _joined(everything, b"\r\n"),
        "no-final-newline": b"\n".join(everything),
        "crlf-no-final-newline": b"\r\n".join(everything),
        "return-at-the-end": b"\r\n".join(everything) + b"\r",
        "header-alone": _joined(header, b"\n"),
        "header-alone-no-newline": b"\n".join(header),
    }
    if blank_lines:
        start = _joined(header, b"\n")
        found |= {
            "blank-lines": start + b"\n\n" + _joined(lines, b"\n\n\n") + b"\n",
            "blank-lines-crlf": start + b"\r\n" + _joined(lines, b"\r\n\r\n"),
            "spaces-between": start + b" \n" + _joined(lines, b"\n \t\n\r\n"),
            "blank-lines-alone": start + b"\n \n\r\n\n" * 40,
        }
    return [Sample(name, content) for name, content in found.items()]


def long_line(before: bytes, unit: bytes, after: bytes, *, size: int = LONG_LINE_BYTES) -> bytes:
    """Return a line of `size` bytes or a little less: `unit` over and over, between `before` and `after`."""
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def _joined(lines: Sequence[bytes], end: bytes) -> bytes:
    return b"".join(line + end for line in lines)
