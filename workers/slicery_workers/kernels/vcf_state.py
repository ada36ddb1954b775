"""Names of the places in what the byte loop of VCF works on.

state   int64 (N_STATE,), by the names below
name    uint8 (LONGEST_NAME,), the name of the contig that is being read
flags   uint8 (·,), for each allele of the record being read whether SVLEN tells its length
slots   int32 (a power of two,), a hash table of contig numbers, -1 where free
names   uint8 (·,), the names of the contigs one after another; spans int64 (·, 2), where each lies
stats   int64 (·, 6), for each contig RECORDS … FAR; the last row is of contigs for which there was no room
starts  int64 (·,), takes the text offsets of the records that end in the block
rows    int64 (·, 5), takes the runs that end in it: records, contig (-1: several), LOW, HIGH, FAR
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]

TAB, NEWLINE, RETURN, HASH = 9, 10, 13, 35
COMMA, ZERO, NINE, COLON, SEMICOLON, LESS, EQUALS, GREATER = 44, 48, 57, 58, 59, 60, 61, 62

# Columns of a record.
CHROM, POS, REF, ALT, INFO, FORMAT = 0, 1, 3, 4, 7, 8
N_FIXED = 8

# Places in `state`: of the line that is being read,
LINE, START, COLUMN, LENGTH, HEAD, VALUE, MODE, HASHED = range(8)
CONTIG, POSITION, SPAN, ALLELE, BY_SVLEN, BY_LEN, SUBFIELD = range(8, 15)
# of the whole text,
PHASE, CHROM_START, HEADER_STOP, HEADER_LINES, BLANKS, STOP, WHOLE, ERROR = range(15, 23)
N_COLUMNS, N_RECORDS, LAST_CONTIG, LAST_POSITION, FIRST_CONTIG, FIRST_POSITION, UNORDERED = range(23, 30)
N_CONTIGS, N_NAME_BYTES = 30, 31
# of the run that is being gathered (its last five as in `rows`), and what the last block gave.
SPACING, ROW_START, ROW_RECORDS, ROW_CONTIG, ROW_LOW, ROW_HIGH, ROW_FAR = range(32, 39)
N_STARTS, N_ROWS, HAS_KEYS = 39, 40, 41
N_STATE = 42

# LINE: what the next byte belongs to.
FRESH, RECORD, HEADER, PASSED_OVER, BLANK = range(5)
# PHASE: whether header lines must come, must not come, or may.
IN_HEADER, IN_RECORDS, UNKNOWN = range(3)
# MODE: what is read of INFO; of POS whether it is a number.
KEY, NO_NUMBER, END, SVLEN = range(4)
# ERROR
FINE, NO_CHROM, LATE_HEADER, BLANK_LINE, FEW_COLUMNS, OTHER_COLUMNS, BAD_CHROM, BAD_POS, LONG_HEADER = range(
    9
)
# Columns of `stats`.
RECORDS, FIRST, LAST, LOW, HIGH, FAR = range(6)

LONGEST_NAME = 4096
FAR_AWAY = 1 << 59
"""Beyond any position: larger numbers are cut to it, and ten times as much is no overflow yet."""
