"""Take the records of VCF: count them by contig, gather them in runs, and read at once those that are like most."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicery_workers.kernels.bare import LANES, found_below, found_byte, inner, lowest_bit, n_bits
from slicery_workers.kernels.csv_numbers import MOST_DIGITS, digits_of
from slicery_workers.kernels.vcf_state import (
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
    Bytes,
    Numbers,
)

_LONGEST_NUMBER = 24
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
    if number >= len(spans) or begin + LANES + _LONGEST_NUMBER > n:
        return begin
    all_tabs, newlines = found_byte(block, begin, TAB), found_byte(block, begin, NEWLINE)
    tabs = all_tabs
    chrom, tabs = np.int64(lowest_bit(tabs)), tabs & (tabs - _ONE)
    pos, tabs = np.int64(lowest_bit(tabs)), tabs & (tabs - _ONE)
    id_, tabs = np.int64(lowest_bit(tabs)), tabs & (tabs - _ONE)
    ref, tabs = np.int64(lowest_bit(tabs)), tabs & (tabs - _ONE)
    alt = lowest_bit(tabs)
    before_alt = (_ONE << alt) - _ONE
    if not tabs or (found_below(block, begin, RETURN + 1) ^ all_tabs) & before_alt:
        return begin
    if found_byte(block, begin, LESS) & before_alt & ~((_ONE << np.uint64(ref)) - _ONE):
        return begin
    at, size, n_digits = spans[number, 0], spans[number, 1], pos - chrom - 1
    if chrom != size or n_digits < 1 or n_digits > MOST_DIGITS:
        return begin
    for each in range(size):
        if block[begin + each] != names[at + each]:
            return begin
    fits, value = digits_of(block, begin + chrom + 1, n_digits)
    if not fits:
        return begin
    if newlines:
        width = lowest_bit(newlines)
        i, column = begin + np.int64(width), np.int64(n_bits(all_tabs & ((_ONE << width) - _ONE)))
    else:
        i, column = pass_columns(block, begin + LANES, np.int64(n_bits(all_tabs)))
    if i >= n:
        return begin
    state[START], state[COLUMN], state[CONTIG] = base + begin, column, number
    state[POSITION], state[SPAN] = np.int64(value) - 1, max(1, ref - id_ - 1)
    end_record(state, stats, starts, rows)
    return i + 1


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
