"""VCF (VCF 4.5 §1.2–1.6): a record is a line; the header is every line before the first, and the preamble.

The header begins with ##fileformat and ends with the line #CHROM, which names the columns. Behind the records
empty lines may follow. While the kernel finds the lines it also notes where in the genome their records lie:
the tables of `slicery_service.positions`.

States of a stretch's first line: IN_HEADER, IN_RECORDS, or IN_BLANKS where only empty lines may follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slicery_service.errors import MalformedRecord
from slicery_service.positions import MOST_CONTIGS
from slicery_workers.kernels import vcf as kernel
from slicery_workers.kernels import vcf_state
from slicery_workers.scanners import Bytes, Ending, Int64Array, RecordIndexer, Starts, Summary
from slicery_workers.scanners.vcf_positions import (
    Runs,
    conclude,
    describe,
    header_summary,
    join_summaries,
    join_tables,
    positions_in,
)

IN_HEADER, IN_RECORDS, IN_BLANKS = range(3)

RUN_BYTES = 128 << 10
"""Text of one run; twice as fine would take more than a thousandth of a plain object, with its marks."""

LONGEST_HEADER = 64 << 20
"""Text is refused whose header goes on behind that, as it would have to be held in memory."""

FILEFORMAT = b"##fileformat=VCF"
COLUMNS = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"

_MOST_ALLELES = 1 << 16
_MOST_NAME_BYTES = 1 << 20
_SHORTEST_RECORD = 10
_FAR = 1 << 62
_NEWLINE = np.array([vcf_state.NEWLINE], np.uint8)


class VcfScanner:
    """Return the start of each line that is a record, and note where in the genome it lies."""

    def __init__(self, *, stretch: bool, first: bool) -> None:
        self._stretch = stretch
        self._first = first
        self._position = 0
        self._header = bytearray()
        self._runs = Runs(RUN_BYTES)
        self._state = np.zeros(vcf_state.N_STATE, np.int64)
        self._state[vcf_state.LINE] = vcf_state.FRESH if first else vcf_state.PASSED_OVER
        self._state[vcf_state.PHASE] = vcf_state.IN_HEADER if first else vcf_state.UNKNOWN
        self._state[[vcf_state.HEADER_STOP, vcf_state.STOP]] = -1, _FAR
        self._name = np.empty(vcf_state.LONGEST_NAME, np.uint8)
        self._flags = np.zeros(_MOST_ALLELES, np.uint8)
        self._slots = np.full(1 << (2 * MOST_CONTIGS - 1).bit_length(), -1, np.int32)  # half of it stays free
        self._names = np.empty(_MOST_NAME_BYTES, np.uint8)
        self._spans = np.zeros((MOST_CONTIGS, 2), np.int64)
        self._stats = np.zeros((MOST_CONTIGS + 1, 6), np.int64)

    def feed(self, block: Bytes) -> Starts:
        in_header = self._state[vcf_state.PHASE] == vcf_state.IN_HEADER
        starts = self._scan(block)
        if in_header:
            self._take_header(block)
        self._position += len(block)
        return self._found(starts)

    def finish(self) -> Starts:
        starts = np.empty(0, np.int64)
        if self._state[vcf_state.LINE] != vcf_state.FRESH:
            starts = self._scan(_NEWLINE)
        if self._state[vcf_state.PHASE] == vcf_state.IN_HEADER and not self._state[vcf_state.ERROR]:
            self._state[vcf_state.ERROR], self._state[vcf_state.START] = vcf_state.NO_CHROM, self._position
        self._state[vcf_state.WHOLE] = 1
        return self._found(starts)

    def end_stretch(self) -> None:
        self._state[vcf_state.STOP] = self._position
        if self._state[vcf_state.LINE] == vcf_state.PASSED_OVER:  # no line begins in the stretch
            self._state[vcf_state.WHOLE] = 1

    def is_whole(self) -> bool:
        state = self._state
        if state[vcf_state.WHOLE] or state[vcf_state.ERROR]:
            return True
        is_behind = state[vcf_state.LINE] == vcf_state.FRESH and self._position > state[vcf_state.STOP]
        return bool(is_behind and state[vcf_state.PHASE] != vcf_state.IN_HEADER)

    def endings(self) -> Mapping[int, Ending]:
        after = self._after()
        if not after:
            return {}
        state, preamble = self._state, bytes(self._header)
        runs = self._runs.closed(state)
        found = positions_in(state, self._names, self._spans, self._stats, runs)
        summary, tables = header_summary(preamble), found.to_tables()
        return {before: Ending(behind, summary, preamble, tables) for before, behind in after.items()}

    def _scan(self, block: Bytes) -> Int64Array:
        state, n = self._state, len(block)
        state[vcf_state.SPACING] = self._runs.spacing
        starts = np.empty(n // _SHORTEST_RECORD + 2, np.int64)
        rows = np.empty((n // max(self._runs.spacing, _SHORTEST_RECORD) + 2, 5), np.int64)
        lookup = (self._slots, self._names, self._spans, self._stats)
        kernel.scan(block, self._position, state, self._name, self._flags, *lookup, starts, rows)
        self._runs.add(rows[: state[vcf_state.N_ROWS]])
        return starts[: state[vcf_state.N_STARTS]]

    def _take_header(self, block: Bytes) -> None:
        stop = int(self._state[vcf_state.HEADER_STOP])
        size = len(block) if stop < 0 else stop - self._position
        self._header += block[:size].tobytes()
        if len(self._header) > LONGEST_HEADER:
            self._state[vcf_state.ERROR] = vcf_state.LONG_HEADER

    def _found(self, starts: Int64Array) -> Starts:
        """Return the starts under each state that is still possible; raise where a whole text has none."""
        states = self._after()
        if not states and not self._stretch:
            raise self._malformed()
        return dict.fromkeys(states, starts)

    def _after(self) -> dict[int, int]:
        """Return, for each state that may hold before the first line, the one behind the last line so far."""
        state = self._state
        is_bad_header = (
            state[vcf_state.PHASE] != vcf_state.IN_HEADER and self._first and not self._has_good_header()
        )
        if state[vcf_state.ERROR] or is_bad_header:
            return {}
        has_header, n_records = state[vcf_state.HEADER_LINES] > 0, state[vcf_state.N_RECORDS]
        behind = IN_BLANKS if state[vcf_state.BLANKS] else IN_RECORDS
        if self._first or has_header:
            has_chrom = (
                state[vcf_state.HEADER_STOP] >= 0 and state[vcf_state.CHROM_START] <= state[vcf_state.STOP]
            )
            return {IN_HEADER: behind if has_chrom else IN_HEADER}
        if n_records:
            return {IN_RECORDS: behind}
        if state[vcf_state.BLANKS]:
            return {IN_RECORDS: IN_BLANKS, IN_BLANKS: IN_BLANKS}
        return {each: each for each in (IN_HEADER, IN_RECORDS, IN_BLANKS)}

    def _has_good_header(self) -> bool:
        return self._header.startswith(FILEFORMAT) and self._chrom_line().startswith(COLUMNS)

    def _chrom_line(self) -> bytes:
        return bytes(self._header[int(self._state[vcf_state.CHROM_START]) :])

    def _malformed(self) -> MalformedRecord:
        state = self._state
        number, start = int(state[vcf_state.N_RECORDS]) + 1, int(state[vcf_state.START])
        if not self._header.startswith(FILEFORMAT):
            found = bytes(self._header[:40]).split(b"\n")[0].decode("utf-8", "backslashreplace")
            return MalformedRecord(
                f"the text is not VCF: expected a first line that begins with ##fileformat=VCF, at byte 0, "
                f"found {found!r}",
                hint="Put the header before the records, or register the dataset with another `format`.",
            )
        if state[vcf_state.PHASE] != vcf_state.IN_HEADER and not self._has_good_header():
            return MalformedRecord(
                f"the header's last line, at byte {int(state[vcf_state.CHROM_START]):,}, is malformed: expected "
                f"{COLUMNS.decode()!r}, found {self._chrom_line()[:80].decode('utf-8', 'backslashreplace')!r}",
                hint="Write the columns as the specification has them, with tabs between them.",
            )
        return MalformedRecord(
            _FAULTS[int(state[vcf_state.ERROR])].format(
                number=number,
                start=start,
                found=int(state[vcf_state.COLUMN]) + 1,
                n=int(state[vcf_state.N_COLUMNS]),
            ),
            hint=_HINTS.get(
                int(state[vcf_state.ERROR]), "Check the file there, for example with `bcftools view`."
            ),
        )


_FAULTS = {
    vcf_state.LONG_HEADER: "the header is longer than 64 MiB: expected a line that begins with #CHROM and a tab before",
    vcf_state.NO_CHROM: "the header lacks its last line: expected a line that begins with #CHROM and a tab before "
    "byte {start:,} of the text, found none",
    vcf_state.LATE_HEADER: "record {number:,} at byte {start:,} of the text begins with `#`: expected no header line "
    "behind the records",
    vcf_state.BLANK_LINE: "record {number:,} at byte {start:,} of the text stands behind an empty line: expected "
    "empty lines at the end only",
    vcf_state.FEW_COLUMNS: "record {number:,} at byte {start:,} of the text has {found} columns: expected at least 8, "
    "with tabs between them",
    vcf_state.OTHER_COLUMNS: "record {number:,} at byte {start:,} of the text has {found} columns: expected {n}, as "
    "the header or the records before have it",
    vcf_state.BAD_CHROM: "record {number:,} at byte {start:,} of the text names no contig: expected 1 to 4,096 bytes "
    "and a tab",
    vcf_state.BAD_POS: "record {number:,} at byte {start:,} of the text has no position: expected a number in its "
    "second column",
}
_HINTS = {
    vcf_state.NO_CHROM: "Put the header before the records, or register the dataset with another `format`.",
    vcf_state.LATE_HEADER: "Join files with `bcftools concat`, or register them as a dataset of several objects.",
    vcf_state.FEW_COLUMNS: "If it is the last record, the file is probably truncated; upload it again.",
    vcf_state.OTHER_COLUMNS: "If it is the last record, the file is probably truncated; upload it again.",
}


def scanner(options: Mapping[str, Any], *, stretch: bool, first: bool) -> VcfScanner:  # noqa: ARG001 - VCF has none
    """Make a scanner of VCF; see scanners.ScannerFactory."""
    return VcfScanner(stretch=stretch, first=first)


def check_headers(preambles: Sequence[bytes], _summaries: Sequence[Summary]) -> tuple[int, str] | None:
    """Refuse the first object whose header is not that of the first object, and say where they differ."""
    for number, preamble in enumerate(preambles):
        if preamble != preambles[0]:
            return number, _difference(preambles[0], preamble)
    return None


def _difference(first: bytes, other: bytes) -> str:
    lines, others = first.split(b"\n"), other.split(b"\n")
    n_lines = min(len(lines), len(others))
    at = next((at for at in range(n_lines) if lines[at] != others[at]), n_lines)
    expected, found = (_shown(each[at]) if at < len(each) else "its end" for each in (lines, others))
    return (
        f"the header differs from the first object's in line {at + 1:,}: expected {expected}, found {found}"
    )


def _shown(line: bytes) -> str:
    return repr(line[:200].decode("utf-8", "backslashreplace"))


indexer = RecordIndexer(
    "vcf", scanner, join_summaries, join_tables, check_headers, describe=describe, conclude=conclude
)
