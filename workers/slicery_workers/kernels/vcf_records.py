"""Take the records of VCF: count them by contig, gather them in runs, and read at once those that are like most."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicery_workers.kernels.bare import (
    LANES,
    byte_at,
    found_below,
    found_byte,
    inner,
    lowest_bit,
    n_bits,
    outer,
)
from slicery_workers.kernels.values import MOST_DIGITS, digits_of
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
    STOP,
    TAB,
    UNORDERED,
    Bytes,
    Numbers,
)

_LONGEST_NUMBER = 24
_FAR_ABOVE, _FAR_BELOW = 1 << 62, -(1 << 62)
_ONE = np.uint64(1)


@outer
def pass_plain_records(
    block: Any,
    begin: Any,
    base: Any,
    state: Any,
    names: Any,
    spans: Any,
    stats: Any,
    starts: Any,
    rows: Any,
) -> Any:
    """Take records that are like most, one after another: whole, on the last contig, of an end that REF alone tells.

    INFO has no keys that tell an end, and there has been a record. Returns where the first line begins that is not
    such a record. It does what `end_record` does, with what it knows of the records in registers.
    """
    number = state[LAST_CONTIG]
    if number >= len(spans):
        return begin
    name_at, name_size, stop = spans[number, 0], spans[number, 1], state[STOP] - base
    last, expected, spacing = state[LAST_POSITION], state[N_COLUMNS], state[SPACING]
    n_starts, n_rows = state[N_STARTS], state[N_ROWS]
    low, high, far = _FAR_ABOVE, _FAR_BELOW, _FAR_BELOW
    run, n_before, unordered = _run_of(state), n_starts, state[UNORDERED]
    while begin <= stop:
        position, span, n_tabs, behind = _plain_record(block, begin, names, name_at, name_size)
        if behind == begin or n_tabs + 1 != expected:
            break
        reach, start = min(position + span, FAR_AWAY), base + begin
        unordered |= np.int64(position < last)
        last = position
        low, high, far = min(low, position), max(high, position), max(far, reach)
        run, n_rows = _with_record(run, n_rows, rows, spacing, start, number, position, reach)
        starts[n_starts] = start
        n_starts += 1
        begin = behind
    n_taken = n_starts - n_before
    if n_taken:
        _count(stats, number, state[N_RECORDS], n_taken, low, high, far)
        state[N_RECORDS] += n_taken
        state[LAST_POSITION], state[UNORDERED] = last, unordered
        state[N_STARTS] = n_starts
        _keep_run(state, run, n_rows)
    return begin


@inner
def _plain_record(block: Any, begin: Any, names: Any, name_at: Any, name_size: Any) -> Any:
    """Read a record of the contig with a name: (its position from 0 on, its span, its tabs, where the next one begins).

    Where it is not like most, that is `begin`.
    """
    n = len(block)
    if begin + LANES + _LONGEST_NUMBER > n:
        return 0, 0, 0, begin
    all_tabs, newlines = found_byte(block, begin, TAB), found_byte(block, begin, NEWLINE)
    tabs = all_tabs
    chrom, tabs = np.int64(lowest_bit(tabs)), tabs & (tabs - _ONE)
    pos, tabs = np.int64(lowest_bit(tabs)), tabs & (tabs - _ONE)
    id_, tabs = np.int64(lowest_bit(tabs)), tabs & (tabs - _ONE)
    ref, tabs = np.int64(lowest_bit(tabs)), tabs & (tabs - _ONE)
    alt = lowest_bit(tabs)
    before_alt = (_ONE << alt) - _ONE
    if not tabs or (found_below(block, begin, RETURN + 1) ^ all_tabs) & before_alt:
        return 0, 0, 0, begin
    if found_byte(block, begin, LESS) & before_alt & ~((_ONE << np.uint64(ref)) - _ONE):
        return 0, 0, 0, begin
    n_digits = pos - chrom - 1
    if chrom != name_size or n_digits < 1 or n_digits > MOST_DIGITS:
        return 0, 0, 0, begin
    for each in range(name_size):
        if byte_at(block, begin + each) != byte_at(names, name_at + each):
            return 0, 0, 0, begin
    fits, value = digits_of(block, begin + chrom + 1, n_digits)
    if not fits:
        return 0, 0, 0, begin
    if newlines:
        width = lowest_bit(newlines)
        i, n_tabs = begin + np.int64(width), np.int64(n_bits(all_tabs & ((_ONE << width) - _ONE)))
    else:
        i, n_tabs = pass_columns(block, begin + LANES, np.int64(n_bits(all_tabs)))
    if i >= n:
        return 0, 0, 0, begin
    return np.int64(value) - 1, max(1, ref - id_ - 1), n_tabs, i + 1


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
    _count(stats, contig, state[N_RECORDS], 1, low, low, far)
    run, n_rows = _with_record(
        _run_of(state), state[N_ROWS], rows, state[SPACING], state[START], contig, low, far
    )
    _keep_run(state, run, n_rows)
    starts[state[N_STARTS]] = state[START]
    state[N_STARTS] += 1
    state[N_RECORDS] += 1


@inner
def _count(stats: Any, contig: Any, first: Any, n_records: Any, low: Any, high: Any, far: Any) -> None:
    """Count records for their contig, of which the first has a number."""
    if stats[contig, RECORDS] == 0:
        stats[contig, FIRST], stats[contig, LOW], stats[contig, HIGH] = first, low, high
    stats[contig, RECORDS] += n_records
    stats[contig, LAST] = first + n_records - 1
    stats[contig, LOW] = min(stats[contig, LOW], low)
    stats[contig, HIGH] = max(stats[contig, HIGH], high)
    stats[contig, FAR] = max(stats[contig, FAR], far)


@inner
def _with_record(
    run: Any, n_rows: Any, rows: Any, spacing: Any, start: Any, contig: Any, low: Any, far: Any
) -> Any:
    """Add a record to the run that is being gathered, or begin the next one; return the run and the rows so far."""
    run_start, n, number, run_low, run_high, run_far = run
    if n > 0 and start - run_start >= spacing:
        rows[n_rows, 0], rows[n_rows, 1], rows[n_rows, 2] = n, number, run_low
        rows[n_rows, 3], rows[n_rows, 4] = run_high, run_far
        n_rows += 1
        n = np.int64(0)
    if n == 0:
        run_start, number, run_low, run_high, run_far = start, contig, low, low, far
    elif contig != number:
        number = np.int64(-1)
    return (run_start, n + 1, number, min(run_low, low), max(run_high, low), max(run_far, far)), n_rows


@inner
def _run_of(state: Any) -> Any:
    """Return the run that is being gathered: start, records, contig (-1: several), low, high, far."""
    return (
        state[ROW_START],
        state[ROW_RECORDS],
        state[ROW_CONTIG],
        state[ROW_LOW],
        state[ROW_HIGH],
        state[ROW_FAR],
    )


@inner
def _keep_run(state: Any, run: Any, n_rows: Any) -> None:
    (
        state[ROW_START],
        state[ROW_RECORDS],
        state[ROW_CONTIG],
        state[ROW_LOW],
        state[ROW_HIGH],
        state[ROW_FAR],
    ) = run
    state[N_ROWS] = n_rows
