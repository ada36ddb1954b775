"""Follow FASTA: where sequences begin, how many residues they have, and whether their lines are regular.

A *residue* is a printable byte of a sequence's lines that is not blank (33 to 126). Lines are *regular* where
residue r lies `r // bases * width + r % bases` bytes behind the first one, as `samtools faidx` has it: all lines
but the last have `bases` residues in `width` bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels import kernel
from slicery_workers.kernels.bare import LANES, byte_at, found_below, found_byte, inner, lowest_bit, outer

LINE_START, HEADER, SEQUENCE = range(3)
"""Modes: behind a line feed, in a header line, in any other line."""

TO_THE_END, AT_LINE_FEED, AT_RECORD = range(3)
"""Halts: nowhere, behind the next line feed, before the next `>` at a line's beginning."""

NO_ERROR, COMMENT, BEFORE_FIRST, NO_RESIDUE, LONE_RETURN, NUL = range(6)

# Places in the state (int64): how the text is followed,
MODE, RETURNED, FRESH, HALT, OPEN, N_RECORDS, ERROR, ERROR_AT = range(8)
# and what is known of the open sequence: all but START and BODY count from where its scan began.
START, BODY, RESIDUES, N_LINES, FIRST_START, FIRST_RESIDUE = range(8, 14)
LAST_START, LAST_RESIDUE, BASES, WIDTH, IRREGULAR, NEXT_POINT = range(14, 20)
STATE_SIZE = 20

ROW_START, ROW_BODY, ROW_STOP, ROW_LENGTH, ROW_BASES, ROW_WIDTH, ROW_SIZE = range(7)
"""Places in the row of a whole sequence; `bases` is 0 where its lines are not regular."""

POINT_SPACING = 1 << 16
"""Bytes of text between two points of a sequence."""


@outer
def scan(
    block: Any, begin: Any, position: Any, state: Any, starts: Any, rows: Any, points: Any
) -> tuple[Any, Any, Any, Any]:
    """Follow `block` (uint8, (n,)), which lies at text offset `position`, from its byte `begin`.

    Writes the offsets of `>` into `starts` (int64, (m,)), the rows of sequences that ended into `rows` (int64,
    (m, ROW_SIZE)), and into `points` (int64, (k, 3)) record number, offset and residues before it of some residues;
    `state` is int64, (STATE_SIZE,). Returns the byte where it stopped, and how many of each were written. It stops at
    the end, where `starts` or `points` are full, at a halt or an error.
    """
    n, at = len(block), begin
    n_starts, n_rows, n_points = 0, 0, 0
    while at < n:
        mode = state[MODE]
        byte = byte_at(block, at)
        if mode == HEADER:
            returned = state[RETURNED]
            while at < n:
                byte = byte_at(block, at)
                if byte == 10:
                    break
                if byte == 0 or (returned and byte != 13):
                    state[ERROR] = NUL if byte == 0 else LONE_RETURN
                    state[ERROR_AT] = position + at
                    return at, n_starts, n_rows, n_points
                returned = byte == 13
                at += 1
            state[RETURNED] = returned
            if at < n:
                at += 1
                state[MODE], state[RETURNED] = LINE_START, 0
                if state[BODY] < 0:
                    state[BODY] = position + at
                if state[HALT] == AT_LINE_FEED:
                    state[HALT] = TO_THE_END
                    break
        elif mode == LINE_START:
            if byte == 62:
                if state[HALT] == AT_RECORD:
                    state[HALT] = TO_THE_END
                    break
                if n_starts == len(starts):
                    break
                if state[OPEN]:
                    close(state, position + at, rows, n_rows)
                    n_rows += 1
                starts[n_starts] = position + at
                n_starts += 1
                open_record(state, position + at)
                at += 1
            elif byte == 10:
                at += 1
            elif byte == 59:
                state[ERROR], state[ERROR_AT] = COMMENT, position + at
                break
            else:
                state[MODE], state[FRESH] = SEQUENCE, 1
        elif byte == 10:
            at += 1
            state[MODE], state[RETURNED] = LINE_START, 0
            if state[HALT] == AT_LINE_FEED:
                state[HALT] = TO_THE_END
                break
        elif byte == 13:
            state[RETURNED] = 1
            at += 1
        elif state[RETURNED]:
            state[ERROR], state[ERROR_AT] = LONE_RETURN, position + at
            break
        elif byte == 32 or (byte >= 9 and byte <= 12):
            state[IRREGULAR] = 1
            at += 1
        elif byte < 33 or byte > 126:
            state[ERROR], state[ERROR_AT] = NO_RESIDUE, position + at
            break
        elif not state[OPEN]:
            state[ERROR], state[ERROR_AT] = BEFORE_FIRST, position + at
            break
        else:
            if state[FRESH]:
                _begin_line(state, position + at)
            stop = _end_of_residues(block, at, min(n, at + POINT_SPACING))
            if position + stop > state[NEXT_POINT]:
                if n_points == len(points):
                    break
                offset = max(state[NEXT_POINT], position + at)
                points[n_points, 0] = state[N_RECORDS] - 1
                points[n_points, 1] = offset
                points[n_points, 2] = state[RESIDUES] + offset - position - at
                n_points += 1
                state[NEXT_POINT] = offset + POINT_SPACING
            state[RESIDUES] += stop - at
            at = stop
    return at, n_starts, n_rows, n_points


@outer
def open_record(state: Any, start: Any) -> None:
    """Begin the sequence whose `>` lies at `start`."""
    for place in range(START, STATE_SIZE):
        state[place] = 0
    state[START], state[BODY], state[NEXT_POINT] = start, -1, start + POINT_SPACING
    state[OPEN], state[MODE] = 1, HEADER
    state[N_RECORDS] += 1


@outer
def close(state: Any, stop: Any, rows: Any, row: Any) -> None:
    """Write the row of the open sequence, which ends at `stop`, into rows[row]."""
    length, n_lines, bases, width = state[RESIDUES], state[N_LINES], state[BASES], state[WIDTH]
    if n_lines <= 1:
        bases, width = max(length, 1), max(length, 1) + 1
    is_regular = not state[IRREGULAR] and length - state[LAST_RESIDUE] <= bases
    if n_lines and state[FIRST_START] != state[BODY]:
        is_regular = False
    rows[row, ROW_START], rows[row, ROW_BODY], rows[row, ROW_STOP] = state[START], state[BODY], stop
    rows[row, ROW_LENGTH] = length
    rows[row, ROW_BASES], rows[row, ROW_WIDTH] = (bases, width) if is_regular else (0, 0)


@kernel
def copy_ranges(
    block: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return ranges of `block` (uint8, (n,)) one after another."""
    out = np.empty(sizes.sum(), np.uint8)
    at = 0
    for i in range(len(starts)):
        out[at : at + sizes[i]] = block[starts[i] : starts[i] + sizes[i]]
        at += sizes[i]
    return out


@inner
def _begin_line(state: Any, offset: Any) -> None:
    """Note a line that begins with a residue, and whether it lies as far behind the one before as they all do."""
    residue = state[RESIDUES]
    if state[N_LINES] == 0:
        state[FIRST_START], state[FIRST_RESIDUE] = offset, residue
    else:
        bases, width = residue - state[LAST_RESIDUE], offset - state[LAST_START]
        if state[N_LINES] == 1:
            state[BASES], state[WIDTH] = bases, width
        elif bases != state[BASES] or width != state[WIDTH]:
            state[IRREGULAR] = 1
    state[LAST_START], state[LAST_RESIDUE] = offset, residue
    state[N_LINES] += 1
    state[FRESH] = 0


@inner
def _end_of_residues(block: Any, at: Any, stop: Any) -> Any:
    """Return where the residues from `at` end, or `stop`."""
    while at < stop and at + LANES <= len(block):
        other = found_below(block, at, 33) | found_byte(block, at, 127)
        if other:
            return min(stop, at + np.int64(lowest_bit(other)))
        at += LANES
    while at < stop and 33 <= byte_at(block, at) <= 126:
        at += 1
    return min(stop, at)
