"""FASTA: a record is a sequence, as (name, description, sequence, offset).

A sequence is a header line that begins with `>` and the lines up to the next one (Pearson & Lipman 1988,
doi:10.1073/pnas.85.8.2444). Blanks and line ends are no residues.

A slice may hold a *window* of a sequence: then its header line ends with ` offset=` and the number of residues
before the window, which the option `offset` repeats, so that a header that always had such an end is left alone. The
option `residues` says how many residues to drop, and how many then to keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery.errors import DecodeError

_BLANKS = b" \t\n\x0b\x0c\r"
_LAST_BLANK = 32
_CHUNK_BYTES = 1 << 20


class FastaRecord(NamedTuple):
    """A sequence, or a window of one. `name` is the first word of the header line, `description` what follows.

    `offset` is the number of residues of the sequence before this one's first; 0 but for windows.
    """

    name: str
    description: str
    sequence: str
    offset: int


class FastaDecoder:
    """Bytes to sequences."""

    unit = "sequence"

    def records(
        self,
        blocks: Iterable[bytes],
        options: Mapping[str, Any],
        header: bytes = b"",  # noqa: ARG002 FASTA has none
    ) -> Iterator[FastaRecord]:
        """Yield the sequences; DecodeError names the number of a malformed one, counted from 0."""
        current: _Sequence | None = None
        number = 0
        for first, *others in _split(blocks):
            if current is not None:
                current.add(first)
            elif first.strip():
                raise DecodeError(f"expected a line that starts with '>', found {first.strip()[:40]!r}")
            for text in others:
                if current is not None:
                    yield current.record(options)
                    number += 1
                current = _Sequence(text, number)
        if current is not None:
            yield current.record(options)

    def spans(self, blocks: Iterable[bytes], options: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield each sequence's bytes; blank lines belong to the sequence before, at the start to the first.

        A window's are trimmed to its residues, and end with a line end.
        """
        held: list[bytes] = []
        has_begun = False
        for first, *others in _split(blocks):
            held.append(first)
            for text in others:
                if has_begun:
                    yield _trimmed(b"".join(held), options)
                    held = []
                held.append(text)
                has_begun = True
        if has_begun:
            yield _trimmed(b"".join(held), options)

    def parse(self, raw: bytes, options: Mapping[str, Any]) -> FastaRecord:
        """Turn the bytes of one sequence into the sequence; a span of a window is trimmed already."""
        text = raw.lstrip()
        if not text.startswith(b">"):
            raise DecodeError(f"expected a line that starts with '>', found {text[:40]!r}")
        left = {name: value for name, value in options.items() if name != "residues"}
        return _Sequence(text, 0).record(left)


decoder = FastaDecoder()


class _Sequence:
    """A sequence that is read as it comes, from its `>` on: only its residues are kept."""

    def __init__(self, text: bytes, number: int) -> None:
        self._number = number
        self._header: list[bytes] = []
        self._residues: list[str] = []
        self._in_header = True
        self.add(text[1:])

    def add(self, text: bytes) -> None:
        """Take the bytes that follow."""
        if self._in_header:
            line, end, text = text.partition(b"\n")
            self._header.append(line)
            self._in_header = not end
        if text:
            try:
                self._residues.append(text.translate(None, _BLANKS).decode("ascii"))
            except UnicodeDecodeError as exc:
                raise DecodeError(f"record number {self._number}: expected ASCII residues: {exc}") from exc

    def record(self, options: Mapping[str, Any]) -> FastaRecord:
        """Return the sequence, once all its bytes have come."""
        header, offset = b"".join(self._header).rstrip(b"\r"), options.get("offset", 0)
        if "offset" in options:
            header = header.removesuffix(b" offset=%d" % offset)
        words = [word.decode("utf-8", "surrogateescape") for word in header.split(None, 1)]
        name, description, *_ = (*words, "", "")
        sequence = "".join(self._residues)
        if "residues" in options:
            skip, take = options["residues"]
            sequence = sequence[skip : skip + take]
            if len(sequence) != take:
                raise _too_short(take, len(sequence))
        return FastaRecord(name, description, sequence, offset)


def _split(blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Cut each block in front of the records that begin in it: behind the first, each piece begins with `>`.

    The first piece belongs to the record before, and may be empty.
    """
    after_line_feed = True
    for block in filter(None, blocks):
        first, *others = block.split(b"\n>")
        pieces = [first, *(b">" + other for other in others)]
        if others:
            pieces[:-1] = [piece + b"\n" for piece in pieces[:-1]]
        if after_line_feed and block.startswith(b">"):
            pieces.insert(0, b"")
        yield pieces
        after_line_feed = block.endswith(b"\n")


def _trimmed(raw: bytes, options: Mapping[str, Any]) -> bytes:
    """Return a window's header line and residues, from the bytes around it; any other sequence as it is."""
    if "offset" not in options:
        return raw
    if "residues" in options:
        skip, take = options["residues"]
        begin = raw.find(b"\n") + 1 or len(raw)
        body = np.frombuffer(raw, np.uint8)[begin:]
        first, last = _place_of(body, skip), _place_of(body, skip + take - 1)
        if last < 0:
            raise _too_short(take, max(0, np.count_nonzero(body > _LAST_BLANK) - skip))
        raw = raw[:begin] + raw[begin + first : begin + last + 1]
    return raw if raw.endswith(b"\n") else raw + b"\n"


def _place_of(body: NDArray[np.uint8], number: int) -> int:
    """Return where the residue of a number, counted from 0, lies in a sequence's lines; -1 where it does not."""
    for at in range(0, len(body), _CHUNK_BYTES):
        residues = body[at : at + _CHUNK_BYTES] > _LAST_BLANK
        n_residues = int(np.count_nonzero(residues))
        if number < n_residues:
            return at + int(np.flatnonzero(residues)[number])
        number -= n_residues
    return -1


def _too_short(wanted: int, found: int) -> DecodeError:
    return DecodeError(f"expected a window of {wanted} residues, found {found}")
