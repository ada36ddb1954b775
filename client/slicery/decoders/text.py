"""Text: a record is a line, as `str` without its line feed.

A line ends with a line feed and nothing else: a carriage return before it stays, as `str.split("\\n")` has
it. A file that ends with a line feed has no empty line after it. Option `encoding` (default "utf-8") may be
any whose line feed is the single byte 0x0A, which rules out UTF-16 and UTF-32.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slicery.errors import DecodeError

DEFAULT_ENCODING = "utf-8"


class TextDecoder:
    """Bytes to lines."""

    unit = "line"

    def records(
        self,
        blocks: Iterable[bytes],
        options: Mapping[str, Any],
        header: bytes = b"",  # noqa: ARG002 text has none
    ) -> Iterator[str]:
        """Yield each line without its line feed; DecodeError names the number of a bad one, from 0."""
        encoding = _encoding(options)
        decode = codecs.getincrementaldecoder(encoding)().decode  # a byte order mark is one only at the start
        n_lines = 0
        for run in whole_lines(blocks):
            try:
                found = _split(decode(run, not run.endswith(b"\n")))
            except UnicodeDecodeError as exc:
                at = len(run) - len(exc.object) + exc.start
                good = _split(run[: run.rfind(b"\n", 0, at) + 1].decode(encoding))
                yield from good
                raise _undecodable(exc, n_lines + len(good)) from exc
            yield from found
            n_lines += len(found)

    def spans(self, blocks: Iterable[bytes], options: Mapping[str, Any]) -> Iterator[bytes]:  # noqa: ARG002 bytes, not text
        """Yield each line's bytes with its line feed."""
        return split_lines(blocks)

    def parse(self, raw: bytes, options: Mapping[str, Any]) -> str:
        """Decode one line and drop its line feed."""
        try:
            return raw.decode(_encoding(options)).removesuffix("\n")
        except UnicodeDecodeError as exc:
            raise _undecodable(exc, 0) from exc


decoder = TextDecoder()


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream anew so that each run of bytes ends with a line feed, save perhaps the last.

    A line that spans many blocks is copied once, not once per block.
    """
    held: list[bytes] = []
    for block in blocks:
        cut = block.rfind(b"\n") + 1
        if cut:
            yield b"".join((*held, block[:cut]))
            held = []
        if cut < len(block):
            held.append(block[cut:])
    if held:
        yield b"".join(held)


def split_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream into lines, each with its line feed, save perhaps the last."""
    for run in whole_lines(blocks):
        *found, rest = run.split(b"\n")
        for line in found:
            yield line + b"\n"
        if rest:
            yield rest


def _encoding(options: Mapping[str, Any]) -> str:
    encoding = str(options.get("encoding", DEFAULT_ENCODING))
    try:
        width = len("\n\n".encode(encoding)) - len("\n".encode(encoding))
    except LookupError as exc:
        raise DecodeError(f"the encoding {encoding!r} is not one that Python knows") from exc
    if width != 1:
        raise DecodeError(f"expected an encoding whose line feed is one byte, found {encoding!r}")
    return encoding


def _split(text: str) -> list[str]:
    found = text.split("\n")
    if not found[-1]:
        found.pop()
    return found


def _undecodable(exc: UnicodeDecodeError, number: int) -> DecodeError:
    return DecodeError(
        f"record number {number}: the line is not {exc.encoding}: {exc.reason}; "
        "register the dataset with the option encoding"
    )
