"""JSON Lines (https://jsonlines.org): a record is a line that holds a JSON value (RFC 8259), checked as it passes.

Blank lines belong to the record before them; those before the first belong to none. A byte order mark at the
beginning is part of the first line. A line belongs to the stretch that holds the newline before it, so that one
state does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from slicery_service.errors import MalformedRecord
from slicery_workers.kernels import jsonl as kernel
from slicery_workers.scanners import Bytes, Ending, Int64Array, RecordIndexer, Starts
from slicery_workers.scanners.json_keys import KeySample, join_keys

NEWLINE = 10


class JsonlScanner:
    """Return the start of each line that holds a value.

    A stretch in which a line is malformed has no ending, so that the whole text is scanned, which tells the line.
    """

    def __init__(self, options: Mapping[str, Any], *, stretch: bool, first: bool) -> None:
        self._rules = kernel.table(allow_nan=bool(options.get("allow_nan")))
        self._state, self._stack = kernel.new_state(first=first)
        self._keys = KeySample() if first else None
        self._stretch = stretch
        self._inside = first
        """Whether the line that is read began in this stretch; what is before the first such is passed over."""
        self._position = 0
        self._ended = False
        self._broken = False
        self._done = False

    def feed(self, block: Bytes) -> Starts:
        if self._keys:
            self._keys.feed(block)
        starts = self._feed_ahead(block) if self._ended else self._feed_own(block)
        self._position += len(block)
        return {0: starts}

    def finish(self) -> Starts:
        self._done = True
        if self._inside and self._state[kernel.STATE] != kernel.LINE:
            self._scan(_LINE_END, self._position)
        self._inside = False
        return {0: _NOTHING}

    def end_stretch(self) -> None:
        self._ended = True

    def is_whole(self) -> bool:
        has_keys = self._done or self._keys is None or self._keys.is_full
        return self._broken or (has_keys and not self._inside)

    def endings(self) -> Mapping[int, Ending]:
        if self._broken:
            return {}
        return {0: Ending(0, self._keys.summary() if self._keys else {})}

    def _feed_own(self, block: Bytes) -> Int64Array:
        at = 0
        if not self._inside:
            at = _behind_newline(block)
            self._inside = at > 0
            self._state[kernel.LINE_START] = self._position + at
        return self._scan(block[at:], self._position + at) if self._inside else _NOTHING

    def _feed_ahead(self, block: Bytes) -> Int64Array:
        """Follow the last line to its end."""
        if not self._inside:
            return _NOTHING
        end = _behind_newline(block)
        self._inside = not end
        return self._scan(block[: end or len(block)], self._position)

    def _scan(self, block: Bytes, position: int) -> Int64Array:
        if self._broken:
            return _NOTHING
        starts = np.empty(len(block) // 2 + 2, np.int64)
        n_starts, bad = kernel.scan(block, position, self._rules, self._state, self._stack, starts)
        if bad >= 0:
            self._broken = True
            if not self._stretch:
                raise self._malformed(int(block[bad]), position + int(bad))
        return starts[:n_starts]

    def _malformed(self, byte: int, position: int) -> MalformedRecord:
        line, start = int(self._state[kernel.N_LINES]) + 1, int(self._state[kernel.LINE_START])
        state = int(self._state[kernel.STATE])
        found = "the end of the text" if self._done else _shown(byte)
        return MalformedRecord(
            f"line {line:,} at byte {start:,} of the text is not JSON: expected {_expected(state, byte)}, "
            f"found {found} at byte {position:,}",
            hint=_CUT_SHORT if self._done else _hint(state, byte),
        )


def scanner(options: Mapping[str, Any], *, stretch: bool, first: bool) -> JsonlScanner:
    """Make a scanner of JSON Lines; see scanners.ScannerFactory."""
    return JsonlScanner(options, stretch=stretch, first=first)


indexer = RecordIndexer("jsonl", scanner, join_keys)

_NOTHING = np.empty(0, np.int64)
_LINE_END = np.array([NEWLINE], np.uint8)

_EXPECTED = {
    kernel.ITEM: "a value or `]`",
    kernel.FIRST_NAME: "a name in double quotes or `}`",
    kernel.NAME: "a name in double quotes",
    kernel.COLON: "`:`",
    kernel.AFTER_ITEM: "`,` or `]`",
    kernel.AFTER_MEMBER: "`,` or `}`",
    kernel.AFTER_ALL: "the end of the line",
    kernel.STRING: "the other double quote of a string",
    kernel.ESCAPE: 'one of `"\\/bfnrtu` behind `\\`',
    **dict.fromkeys((kernel.HEX4, kernel.HEX3, kernel.HEX2, kernel.HEX1), "a hexadecimal digit"),
    **dict.fromkeys(range(kernel.MORE1, kernel.MORE_F4 + 1), "a byte that continues a character of UTF-8"),
    **dict.fromkeys((kernel.MINUS, kernel.POINT, kernel.E, kernel.E_SIGN), "a digit"),
    kernel.TOO_DEEP: f"no more than {kernel.MOST_DEPTH} arrays and objects within one another",
}


_CUT_SHORT = "The file is probably truncated; upload it again from an intact copy."


def _expected(state: int, byte: int) -> str:
    word = kernel.word_of(state)
    if state == kernel.STRING and byte != NEWLINE:
        return "UTF-8" if byte >= 0x80 else "control characters of a string to be escaped"
    return f"`{word}`" if word else _EXPECTED.get(state, "a value")


def _shown(byte: int) -> str:
    if byte == NEWLINE:
        return "the end of the line"
    return f"`{chr(byte)}`" if 0x20 < byte < 0x7F else f"the byte 0x{byte:02x}"


def _hint(state: int, byte: int) -> str:
    if chr(byte) in "NI" and state in (kernel.VALUE, kernel.ITEM, kernel.MINUS):
        return "JSON has no NaN and no Infinity: register the dataset with the option allow_nan: true to take them."
    if byte >= 0x80 or kernel.MORE1 <= state <= kernel.MORE_F4:
        return "JSON is UTF-8 (RFC 8259 §8.1): convert the file, for example with iconv."
    if byte == NEWLINE:
        return "Each line must hold a whole value: JSON that runs over several lines can be converted with jq -c."
    return "Correct the line, or register the file as text."


def _behind_newline(block: Bytes) -> int:
    """Return the index behind the first newline; 0 where there is none."""
    return block.tobytes().find(b"\n") + 1
