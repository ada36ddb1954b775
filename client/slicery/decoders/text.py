"""Text: a record is a line, a word or a paragraph, as `str`; option `boundary` says which (default "line").

line        ends with a line feed and nothing else: a carriage return before it stays, as `str.split("\\n")` has
            it. The record lacks its line feed. A file that ends with a line feed has no empty line after it.
word        a run of bytes that are not blank, as `bytes.split` has it
paragraph   lines up to the blank ones behind them; the record lacks these, and what is blank at its end

Blank are space, tab, line feed, vertical tab, form feed and carriage return, and no others. Option `encoding`
(default "utf-8") may be any whose line feed is the single byte 0x0A, which rules out UTF-16 and UTF-32.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from slicery.errors import DecodeError

DEFAULT_ENCODING = "utf-8"
BLANK = " \t\n\v\f\r"

_BLANK_BYTES = BLANK.encode()
_WORDS = re.compile(r"\S+", re.ASCII)  # without the flag, other spaces of Unicode would end words
_PIECES = re.compile(rb"\S+\s*|\s+")
_BLANK_LINES = re.compile(r"(?:[ \t\v\f\r]*\n)*")


class TextDecoder:
    """Bytes to lines, words or paragraphs."""

    unit = "line"

    def records(
        self,
        blocks: Iterable[bytes],
        options: Mapping[str, Any],
        header: bytes = b"",  # noqa: ARG002 text has none
    ) -> Iterator[str]:
        """Yield each record; DecodeError names the number of one that is not of the encoding, from 0."""
        encoding = _encoding(options)
        match _boundary(options):
            case "line":
                return _records(whole_lines(blocks), encoding, "line", _line_end, _split)
            case "word":
                return _records(_whole_words(blocks), encoding, "word", _word_end, _WORDS.findall)
            case unit:
                return _records(self.spans(blocks, options), encoding, unit, lambda _run, _at: 0, _paragraph)

    def spans(self, blocks: Iterable[bytes], options: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield each record's bytes, with the blank ones behind it; the first has those before it as well."""
        match _boundary(options):
            case "line":
                return split_lines(blocks)
            case "word":
                pieces = (piece for run in _whole_words(blocks) for piece in _PIECES.findall(run))
                return with_blanks(pieces, is_blank)
            case _:
                return with_blanks(_joined_lines(split_lines(blocks)), is_blank)

    def parse(self, raw: bytes, options: Mapping[str, Any]) -> str:
        """Decode one record and drop its line feed, or what is blank around it."""
        try:
            text = raw.decode(_encoding(options))
        except UnicodeDecodeError as exc:
            raise _undecodable(exc, _boundary(options), 0) from exc
        match _boundary(options):
            case "line":
                return text.removesuffix("\n")
            case "word":
                return text.strip(BLANK)
            case _:
                return "".join(_paragraph(text))

    def separator(self, options: Mapping[str, Any]) -> bytes:
        """Return what must stand between the records of two files that are joined."""
        return b"\n\n" if _boundary(options) == "paragraph" else b"\n"


decoder = TextDecoder()


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream anew so that each run of bytes ends with a line feed, save perhaps the last.

    A line that spans many blocks is copied once, not once per block.
    """
    return _cut_anew(blocks, lambda block: block.rfind(b"\n") + 1)


def split_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream into lines, each with its line feed, save perhaps the last."""
    for run in whole_lines(blocks):
        *found, rest = run.split(b"\n")
        for line in found:
            yield line + b"\n"
        if rest:
            yield rest


def with_blanks(pieces: Iterable[bytes], blank: Callable[[bytes], bool]) -> Iterator[bytes]:
    """Join to each piece the blank ones behind it, and to the first those before it; blank ones alone are none."""
    held: list[bytes] = []
    is_filled = False
    for piece in pieces:
        if not blank(piece):
            if is_filled:
                yield b"".join(held)
                held = []
            is_filled = True
        held.append(piece)
    if is_filled:
        yield b"".join(held)


def is_blank(piece: bytes) -> bool:
    """Tell whether bytes are all blank."""
    return piece.isspace()


def _cut_anew(blocks: Iterable[bytes], last_border: Callable[[bytes], int]) -> Iterator[bytes]:
    held: list[bytes] = []
    for block in blocks:
        cut = last_border(block)
        if cut:
            yield b"".join((*held, block[:cut]))
            held = []
        if cut < len(block):
            held.append(block[cut:])
    if held:
        yield b"".join(held)


def _whole_words(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream anew so that each run ends with a blank byte, save perhaps the last."""
    return _cut_anew(blocks, lambda block: _word_end(block, len(block)))


def _word_end(run: bytes, at: int) -> int:
    """Return where the last word ends, with one blank byte, before `at`."""
    return 1 + max(run.rfind(byte, 0, at) for byte in _BLANK_BYTES)


def _line_end(run: bytes, at: int) -> int:
    return run.rfind(b"\n", 0, at) + 1


def _joined_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines that are not blank and follow one another."""
    held: list[bytes] = []
    for line in lines:
        if not line.isspace():
            held.append(line)
            continue
        if held:
            yield b"".join(held)
            held = []
        yield line
    if held:
        yield b"".join(held)


def _records(
    runs: Iterable[bytes],
    encoding: str,
    unit: str,
    end: Callable[[bytes, int], int],
    split: Callable[[str], list[str]],
) -> Iterator[str]:
    """Decode runs of whole records and split them; `end` gives the end of the last whole one before a byte."""
    decode = codecs.getincrementaldecoder(encoding)().decode  # a byte order mark is one only at the start
    n_records = 0
    for run in runs:
        try:
            found = split(decode(run, run[-1] not in _BLANK_BYTES))
        except UnicodeDecodeError as exc:
            at = len(run) - len(exc.object) + exc.start
            good = split(run[: end(run, at)].decode(encoding))
            yield from good
            raise _undecodable(exc, unit, n_records + len(good)) from exc
        yield from found
        n_records += len(found)


def _encoding(options: Mapping[str, Any]) -> str:
    encoding = str(options.get("encoding", DEFAULT_ENCODING))
    try:
        width = len("\n\n".encode(encoding)) - len("\n".encode(encoding))
    except LookupError as exc:
        raise DecodeError(f"the encoding {encoding!r} is not one that Python knows") from exc
    if width != 1:
        raise DecodeError(f"expected an encoding whose line feed is one byte, found {encoding!r}")
    return encoding


def _boundary(options: Mapping[str, Any]) -> str:
    boundary = str(options.get("boundary", "line"))
    if boundary not in ("line", "word", "paragraph"):
        raise DecodeError(f"expected the boundary line, word or paragraph, found {boundary!r}")
    return boundary


def _split(text: str) -> list[str]:
    found = text.split("\n")
    if not found[-1]:
        found.pop()
    return found


def _paragraph(text: str) -> list[str]:
    """Return the paragraph that a text is; none where all of it is blank."""
    start = _BLANK_LINES.match(text)
    stripped = text[start.end() if start else 0 :].rstrip(BLANK)
    return [stripped] if stripped else []


def _undecodable(exc: UnicodeDecodeError, unit: str, number: int) -> DecodeError:
    return DecodeError(
        f"record number {number}: the {unit} is not {exc.encoding}: {exc.reason}; "
        "register the dataset with the option encoding"
    )
