"""Take the records of VCF: count them by contig, gather them in runs, and read at once those that are like most."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicery_workers.kernels.bare import LANES, found_byte, inner, lowest_bit, n_bits
from slicery_workers.kernels.vcf_state import (
    ALT,
    COLUMN,
    CONTIG,
    ERROR,
    FAR,
    FAR_AWAY,
    FEW_COLUMNS,
    FIRST,
    FIRST_CONTIG,
    FIRST_POSITION,
    FORMAT,
    FRESH,
    HIGH,
    IN_RECORDS,
    LAST,
    LAST_CONTIG,
    LAST_POSITION,
    LESS,
    LINE,
    LOW,
    N_COLUMNS,
    N_FIXED,
    N_RECORDS,
    N_ROWS,
    N_STARTS,
    NEWLINE,
    NINE,
    OTHER_COLUMNS,
    PHASE,
    POSITION,
    RECORDS,
    RETURN,
    ROW_CONTIG,
    ROW_FAR,
    ROW_HIGH,
    ROW_LOW,
    ROW_RECORDS,
    ROW_START,
    SPACING,
    SPAN,
    START,
    TAB,
    UNORDERED,
    ZERO,
    Bytes,
    Numbers,
)

_MOST_DIGITS = 17
_ONE = np.uint64(1)


@inner
def pass_plain_record(
    block: Bytes,
    begin: int,
    base: int,
    state: Numbers,
    names: Bytes,
    spans: Numbers,
    stats: Numbers,
    starts: Numbers,
    rows: Numbers,
) -> int:
    """Take a record that is like most: whole, on the same contig, of an end that REF alone tells.

    INFO has no keys that tell an end. Returns where the next line begins, or `begin` where the record is no such one.
    """
    n, number = len(block), state[LAST_CONTIG]
    if number >= len(spans):
        return begin
    at, size = spans[number, 0], spans[number, 1]
    i: int = begin + size + 1
    if i >= n or block[i - 1] != TAB:
        return begin
    for each in range(size):
        if block[begin + each] != names[at + each]:
            return begin
    first, value = i, 0
    while i < n and block[i] >= ZERO and block[i] <= NINE:
        value = value * 10 + block[i] - ZERO
        i += 1
    if i in (first, n) or i > first + _MOST_DIGITS or block[i] != TAB:
        return begin
    ref = _behind_field(block, i + 1, TAB)
    alt = _behind_field(block, ref, TAB)
    qual = _behind_field(block, alt, LESS)
    if qual < 0:
        return begin
    i, column = pass_columns(block, qual - 1, ALT)
    if i == n:
        return begin
    state[START], state[COLUMN], state[CONTIG] = base + begin, column, number
    state[POSITION], state[SPAN] = value - 1, max(1, alt - ref - 1)
    end_record(state, stats, starts, rows)
    return i + 1


@inner
def _behind_field(block: Bytes, i: int, unwanted: int) -> int:
    """Return where the next field begins, -1 where the line ends before, or has a control or an unwanted byte."""
    if i < 0:
        return i
    while i < len(block) and block[i] > RETURN and block[i] != unwanted:
        i += 1
    return i + 1 if i < len(block) and block[i] == TAB else -1


@inner
def pass_columns(block: Bytes, i: Any, column: Any) -> tuple[Any, Any]:
    """Count the columns up to the line's end, or the block's; return where that is, and the last column."""
    n = len(block)
    while i + LANES <= n:
        tabs, newlines = found_byte(block, i, TAB), found_byte(block, i, NEWLINE)
        if newlines:
            width = np.int64(lowest_bit(newlines))
            return i + width, column + np.int64(n_bits(tabs & ((_ONE << np.uint64(width)) - _ONE)))
        column += np.int64(n_bits(tabs))
        i += LANES
    while i < n and block[i] != NEWLINE:
        column += block[i] == TAB
        i += 1
    return i, column


@inner
def end_record(state: Numbers, stats: Numbers, starts: Numbers, rows: Numbers) -> None:
    """Take a record whose line has ended."""
    n_columns, expected = state[COLUMN] + 1, state[N_COLUMNS]
    state[LINE] = FRESH
    if n_columns < N_FIXED:
        state[ERROR] = FEW_COLUMNS
        return
    if expected == 0:
        state[N_COLUMNS] = n_columns
    elif n_columns != expected and max(n_columns, expected) > FORMAT + 1:
        state[ERROR] = OTHER_COLUMNS
        return
    low, contig = state[POSITION], state[CONTIG]
    if state[N_RECORDS] == 0:
        state[FIRST_CONTIG], state[FIRST_POSITION] = contig, low
    elif contig == state[LAST_CONTIG] and low < state[LAST_POSITION]:
        state[UNORDERED] = 1
    state[PHASE], state[LAST_CONTIG], state[LAST_POSITION] = IN_RECORDS, contig, low
    far = min(low + state[SPAN], FAR_AWAY)
    _count(stats, contig, state[N_RECORDS], low, far)
    _add_to_run(state, rows, contig, low, far)
    starts[state[N_STARTS]] = state[START]
    state[N_STARTS] += 1
    state[N_RECORDS] += 1


@inner
def _count(stats: Numbers, contig: int, record: int, low: int, far: int) -> None:
    """Count a record for its contig."""
    if stats[contig, RECORDS] == 0:
        stats[contig, FIRST], stats[contig, LOW], stats[contig, HIGH] = record, low, low
    stats[contig, RECORDS] += 1
    stats[contig, LAST] = record
    stats[contig, LOW] = min(stats[contig, LOW], low)
    stats[contig, HIGH] = max(stats[contig, HIGH], low)
    stats[contig, FAR] = max(stats[contig, FAR], far)


@inner
def _add_to_run(state: Numbers, rows: Numbers, contig: int, low: int, far: int) -> None:
    """Add a record to the run that is being gathered, or begin the next one."""
    if state[ROW_RECORDS] > 0 and state[START] - state[ROW_START] >= state[SPACING]:
        for column in range(5):
            rows[state[N_ROWS], column] = state[ROW_RECORDS + column]
        state[N_ROWS] += 1
        state[ROW_RECORDS] = 0
    if state[ROW_RECORDS] == 0:
        state[ROW_START], state[ROW_CONTIG] = state[START], contig
        state[ROW_LOW], state[ROW_HIGH], state[ROW_FAR] = low, low, far
    elif contig != state[ROW_CONTIG]:
        state[ROW_CONTIG] = -1
    state[ROW_RECORDS] += 1
    state[ROW_LOW] = min(state[ROW_LOW], low)
    state[ROW_HIGH] = max(state[ROW_HIGH], low)
    state[ROW_FAR] = max(state[ROW_FAR], far)
