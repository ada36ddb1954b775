"""The byte loop of VCF: lines, the contig, position and end of each record, and runs of records (VCF 4.5 §1.6).

A block may end anywhere: what is known of the line it cuts is kept in `state`, and of its contig's name in `name`.
Nothing else of a line is held, so that a line may be of any length.

A record ends where the furthest of four says, as htslib's tabix has it: REF, INFO/END, INFO/SVLEN of the alleles
DEL, DUP, INV and CNV, and FORMAT/LEN where an allele is <*> or <NON_REF>. Whether the header declares them is not
asked, so that an end may be too far, never too near.

The arrays are described in `vcf_state`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels.bare import inner, outer
from slicery_workers.kernels.vcf_records import end_record, pass_columns, pass_plain_records
from slicery_workers.kernels.vcf_state import (
    ALLELE,
    ALT,
    BAD_CHROM,
    BAD_POS,
    BLANK,
    BLANK_LINE,
    BLANKS,
    BY_LEN,
    BY_SVLEN,
    CHROM,
    CHROM_START,
    COLON,
    COLUMN,
    COMMA,
    CONTIG,
    END,
    EQUALS,
    ERROR,
    FAR_AWAY,
    FINE,
    FORMAT,
    FRESH,
    GREATER,
    HAS_KEYS,
    HASH,
    HASHED,
    HEAD,
    HEADER,
    HEADER_LINES,
    HEADER_STOP,
    IN_HEADER,
    IN_RECORDS,
    INFO,
    KEY,
    LAST_CONTIG,
    LATE_HEADER,
    LENGTH,
    LINE,
    LONGEST_NAME,
    MODE,
    N_COLUMNS,
    N_CONTIGS,
    N_NAME_BYTES,
    N_RECORDS,
    N_ROWS,
    N_STARTS,
    NEWLINE,
    NINE,
    NO_CHROM,
    NO_NUMBER,
    PASSED_OVER,
    PHASE,
    POS,
    POSITION,
    RECORD,
    REF,
    RETURN,
    SEMICOLON,
    SPAN,
    START,
    STOP,
    SUBFIELD,
    SVLEN,
    TAB,
    UNKNOWN,
    VALUE,
    WHOLE,
    ZERO,
    Bytes,
    Numbers,
)

_CHROM_TAB = 0x234348524F4D09
_LEN = 0x4C454E
_END_KEY, _FIVE_BYTES = 0x3B454E443D, 0xFFFFFFFFFF  # ";END="
_SVLEN_KEY, _SEVEN_BYTES = 0x3B53564C454E3D, 0xFFFFFFFFFFFFFF  # ";SVLEN="
_DEL, _DUP, _INV, _CNV = 0x3C44454C, 0x3C445550, 0x3C494E56, 0x3C434E56  # with their "<"
_ANY, _NON_REF = 0x3C2A3E, 0x3C4E4F4E5F524546  # "<*>", and "<NON_REF" before its ">"
_FNV_BASIS, _FNV_PRIME = -3750763034362895579, 1099511628211


@outer
def scan(
    block: Bytes,
    base: int,
    state: Numbers,
    name: Bytes,
    flags: Bytes,
    slots: NDArray[np.int32],
    names: Bytes,
    spans: Numbers,
    stats: Numbers,
    starts: Numbers,
    rows: Numbers,
) -> None:
    """Go through a block (uint8, (n,)) whose first byte has the text offset `base`, up to its end or an error."""
    n, i = len(block), 0
    state[N_STARTS] = state[N_ROWS] = 0
    state[HAS_KEYS] = _has_keys(block)
    while i < n and state[ERROR] == FINE:
        line = state[LINE]
        if line == FRESH:
            if base + i > state[STOP] and state[PHASE] != IN_HEADER:
                state[WHOLE] = 1
                break
            if (
                state[HAS_KEYS] == 0
                and state[PHASE] == IN_RECORDS
                and state[BLANKS] == 0
                and state[N_RECORDS] > 0
            ):
                begin = i
                i = pass_plain_records(block, i, base, state, names, spans, stats, starts, rows)
                if i > begin:
                    continue
            _begin_line(block[i], base + i, state)
        elif line == RECORD:
            if state[COLUMN] + state[LENGTH] == 0:
                i = _pass_same_contig(block, i, state, names, spans)
            i = _read_field(block, i, state, name, flags)
            if i == n:
                break
            _end_field(block[i], state, name, flags, slots, names, spans)
            if block[i] == NEWLINE and state[ERROR] == FINE:
                end_record(state, stats, starts, rows)
            i += 1
        elif line == HEADER:
            i = _read_header(block, i, base, state)
        elif line == PASSED_OVER:
            while i < n and block[i] != NEWLINE:
                i += 1
            if i < n:
                state[LINE] = FRESH
                i += 1
        else:
            _read_blank(block[i], state)
            i += 1


@inner
def _has_keys(block: Bytes) -> int:
    """Count what may be the end of END= or SVLEN=; most blocks have none, and then INFO is passed over."""
    found = 0
    for i in range(len(block) - 2):
        is_key = ((block[i] == 78) & (block[i + 1] == 68)) | ((block[i] == 69) & (block[i + 1] == 78))
        found += is_key & (block[i + 2] == EQUALS)
    return found


@inner
def _pass_same_contig(block: Bytes, i: int, state: Numbers, names: Bytes, spans: Numbers) -> int:
    """Pass over the contig's name where it is that of the record before, as it mostly is."""
    number = state[LAST_CONTIG]
    if state[N_RECORDS] == 0 or number >= len(spans):
        return i
    at = spans[number, 0]
    size: int = spans[number, 1]
    if i + size >= len(block) or block[i + size] != TAB:
        return i
    for each in range(size):
        if block[i + each] != names[at + each]:
            return i
    state[CONTIG], state[COLUMN] = number, POS
    return i + size + 1


@inner
def _begin_line(lead: int, start: int, state: Numbers) -> None:
    """Tell a line's kind from its first byte, and whether it may stand here."""
    needs_chrom = state[PHASE] == IN_HEADER or (state[PHASE] == UNKNOWN and state[HEADER_LINES] > 0)
    state[START], state[HASHED], state[SUBFIELD] = start, _FNV_BASIS, -1
    for place in (COLUMN, LENGTH, HEAD, VALUE, MODE, SPAN, ALLELE, BY_SVLEN, BY_LEN):
        state[place] = 0
    if lead in (NEWLINE, RETURN):
        state[LINE] = BLANK
        if needs_chrom:
            state[ERROR] = NO_CHROM
    elif state[BLANKS] > 0:
        state[ERROR] = BLANK_LINE
    elif lead == HASH:
        state[LINE] = HEADER
        if state[PHASE] == IN_RECORDS:
            state[ERROR] = LATE_HEADER
    else:
        state[LINE] = RECORD
        if needs_chrom:
            state[ERROR] = NO_CHROM


@inner
def _read_header(block: Bytes, i: int, base: int, state: Numbers) -> int:
    """Read a header line; behind the one that begins with #CHROM come the records."""
    n, length, head, column = len(block), state[LENGTH], state[HEAD], state[COLUMN]
    while i < n and block[i] != NEWLINE:
        if length < 7:
            head = (head << 8) | block[i]
        column += block[i] == TAB
        length += 1
        i += 1
    state[LENGTH], state[HEAD], state[COLUMN] = length, head, column
    if i == n:
        return i
    state[LINE] = FRESH
    state[HEADER_LINES] += 1
    if head == _CHROM_TAB:
        state[PHASE], state[N_COLUMNS] = IN_RECORDS, column + 1
        state[CHROM_START], state[HEADER_STOP] = state[START], base + i + 1
    return i + 1


@inner
def _read_blank(byte: int, state: Numbers) -> None:
    """Read a byte of a line that holds nothing but its end."""
    if byte == NEWLINE:
        state[LINE] = FRESH
        state[BLANKS] += 1
    elif byte != RETURN or state[LENGTH] > 0:
        state[ERROR] = BAD_CHROM
    state[LENGTH] += 1


@inner
def _read_field(block: Bytes, i: int, state: Numbers, name: Bytes, flags: Bytes) -> int:
    """Read a field, or a part of one: up to the byte that ends it, or the block's end."""
    column = state[COLUMN]
    stop: int = i
    if column == CHROM:
        stop = _read_chrom(block, i, state, name)
    elif column == POS:
        stop = _read_number(block, i, state)
    elif column == ALT:
        stop = _read_allele(block, i, state)
    elif column == INFO:
        stop = _read_info(block, i, state, flags)
    elif column < FORMAT:
        stop = _pass_field(block, i, state)
    elif column == FORMAT and state[BY_LEN] > 0:
        stop = _read_format(block, i, state)
    elif column > FORMAT and state[SUBFIELD] >= 0:
        stop = _read_sample(block, i, state)
    else:
        stop, state[COLUMN] = pass_columns(block, i, column)
    return stop


@inner
def _pass_field(block: Bytes, i: int, state: Numbers) -> int:
    """Count the bytes of a field."""
    n, begin = len(block), i
    while i < n and block[i] != TAB and block[i] != NEWLINE:
        i += 1
    state[LENGTH] += i - begin
    return i


@inner
def _read_chrom(block: Bytes, i: int, state: Numbers, name: Bytes) -> int:
    """Read a contig's name."""
    n, length, hashed = len(block), state[LENGTH], state[HASHED]
    while i < n and block[i] != TAB and block[i] != NEWLINE:
        if length < LONGEST_NAME:
            name[length] = block[i]
        hashed = (hashed ^ block[i]) * _FNV_PRIME
        length += 1
        i += 1
    state[LENGTH], state[HASHED] = length, hashed
    return i


@inner
def _read_number(block: Bytes, i: int, state: Numbers) -> int:
    """Read a position; MODE is NO_NUMBER where it is none."""
    n, value, length = len(block), state[VALUE], state[LENGTH]
    while i < n and block[i] != TAB and block[i] != NEWLINE:
        if block[i] < ZERO or block[i] > NINE:
            state[MODE] = NO_NUMBER
        value = min(value * 10 + block[i] - ZERO, FAR_AWAY)
        length += 1
        i += 1
    state[VALUE], state[LENGTH] = value, length
    return i


@inner
def _read_allele(block: Bytes, i: int, state: Numbers) -> int:
    """Read one allele of ALT: HEAD holds its first eight bytes, VALUE its last."""
    n, length, head, last = len(block), state[LENGTH], state[HEAD], state[VALUE]
    while i < n and block[i] != TAB and block[i] != NEWLINE and block[i] != COMMA:
        if length < 8:
            head = (head << 8) | block[i]
        last = block[i]
        length += 1
        i += 1
    state[LENGTH], state[HEAD], state[VALUE] = length, head, last
    return i


@inner
def _read_info(block: Bytes, i: int, state: Numbers, flags: Bytes) -> int:
    """Read INFO: of END and SVLEN the numbers, of the others nothing.

    HEAD holds the last eight bytes, so that keys are found without a branch for each; LENGTH counts the numbers.
    """
    n, mode, head, value = len(block), state[MODE], state[HEAD], state[VALUE]
    if state[HAS_KEYS] == 0 and mode == KEY and i >= 8:
        begin = i
        while i < n - 8 and block[i] != TAB and block[i] != NEWLINE:
            i += 1
        head = head if i == begin else 0
    while i < n:
        byte = block[i]
        if byte in (TAB, NEWLINE):
            break
        head = (head << 8) | byte
        if mode != KEY:
            if byte >= ZERO and byte <= NINE:
                value = min(value * 10 + byte - ZERO, FAR_AWAY)
            elif byte in (COMMA, SEMICOLON):
                _take_length(mode, value, state, flags)
                value = 0
                mode = KEY if byte == SEMICOLON else mode
        elif head & _FIVE_BYTES == _END_KEY:
            mode, value, state[LENGTH] = END, 0, 1
        elif head & _SEVEN_BYTES == _SVLEN_KEY:
            mode, value, state[LENGTH] = SVLEN, 0, 1
        i += 1
    state[MODE], state[HEAD], state[VALUE] = mode, head, value
    return i


@inner
def _take_length(mode: int, value: int, state: Numbers, flags: Bytes) -> None:
    """Let a number of INFO lengthen the record."""
    if mode == END:
        state[SPAN] = max(state[SPAN], value - state[POSITION])
    elif mode == SVLEN and state[BY_SVLEN] > 0:
        allele = state[LENGTH]
        if allele >= len(flags) or flags[allele] > 0:
            state[SPAN] = max(state[SPAN], value)
    state[LENGTH] += 1


@inner
def _read_format(block: Bytes, i: int, state: Numbers) -> int:
    """Read one key of FORMAT into HEAD."""
    n, head = len(block), state[HEAD]
    while i < n and block[i] != TAB and block[i] != NEWLINE and block[i] != COLON:
        head = (head << 8) | block[i]
        i += 1
    state[HEAD] = head
    return i


@inner
def _read_sample(block: Bytes, i: int, state: Numbers) -> int:
    """Read a value of a sample into VALUE; LENGTH is its number among those of the sample."""
    n, value, wanted = len(block), state[VALUE], state[LENGTH] == state[SUBFIELD]
    while i < n and block[i] != TAB and block[i] != NEWLINE and block[i] != COLON:
        if wanted and block[i] >= ZERO and block[i] <= NINE:
            value = min(value * 10 + block[i] - ZERO, FAR_AWAY)
        i += 1
    state[VALUE] = value
    return i


@inner
def _end_field(
    byte: int,
    state: Numbers,
    name: Bytes,
    flags: Bytes,
    slots: NDArray[np.int32],
    names: Bytes,
    spans: Numbers,
) -> None:
    """Take what was read of a field; `byte` ends it, or one of its parts."""
    column, length = state[COLUMN], state[LENGTH]
    if column == CHROM:
        if length == 0 or length > LONGEST_NAME:
            state[ERROR] = BAD_CHROM
        else:
            state[CONTIG] = _number_of_contig(state, name, slots, names, spans)
    elif column == POS:
        if length == 0 or state[MODE] == NO_NUMBER or state[VALUE] == FAR_AWAY:
            state[ERROR] = BAD_POS
        state[POSITION] = state[VALUE] - 1
    elif column == REF:
        state[SPAN] = max(1, length)
    elif column == ALT:
        _end_allele(state, flags)
    elif column == INFO:
        _take_length(state[MODE], state[VALUE], state, flags)
    elif column == FORMAT and state[BY_LEN] > 0 and state[HEAD] == _LEN and state[SUBFIELD] < 0:
        state[SUBFIELD] = length
    elif column > FORMAT and length == state[SUBFIELD]:
        state[SPAN] = max(state[SPAN], state[VALUE])
    state[HEAD] = state[VALUE] = 0
    if byte == TAB:
        state[COLUMN] += 1
        state[LENGTH], state[MODE] = 0, KEY
        if column + 1 == INFO:
            state[HEAD] = SEMICOLON  # as before any other key
    elif byte == COLON:
        state[LENGTH] += 1
    elif byte == COMMA:
        state[LENGTH] = 0


@inner
def _end_allele(state: Numbers, flags: Bytes) -> None:
    """Note whether SVLEN or LEN tells how far an allele reaches."""
    state[ALLELE] += 1
    length, head, flag = state[LENGTH], state[HEAD], 0
    if state[VALUE] == GREATER and length >= 3:
        if (length == 3 and head == _ANY) or (length == 9 and head == _NON_REF):
            state[BY_LEN] = 1
        elif length >= 5:
            first_five = head >> (8 * (min(length, 8) - 5))
            kind, after = first_five >> 8, first_five & 255
            if kind in (_DEL, _DUP, _INV, _CNV):
                flag = 1 if after in (GREATER, COLON) else 0
    if state[ALLELE] < len(flags):
        flags[state[ALLELE]] = flag
        if state[ALLELE] + 1 < len(flags):
            flags[state[ALLELE] + 1] = 0
    state[BY_SVLEN] |= flag


@inner
def _number_of_contig(
    state: Numbers, name: Bytes, slots: NDArray[np.int32], names: Bytes, spans: Numbers
) -> int:
    """Return the number of the contig that was read; a new one is added while there is room."""
    length, mask = state[LENGTH], len(slots) - 1
    place = state[HASHED] & mask
    while slots[place] >= 0:
        known: int = slots[place]
        at, same = spans[known, 0], 0
        if spans[known, 1] == length:
            while same < length and names[at + same] == name[same]:
                same += 1
            if same == length:
                return known
        place = (place + 1) & mask
    number: int = state[N_CONTIGS]
    at = state[N_NAME_BYTES]
    if number == len(spans) or at + length > len(names):
        return len(spans)
    slots[place] = number
    spans[number, 0], spans[number, 1] = at, length
    for each in range(length):
        names[at + each] = name[each]
    state[N_CONTIGS] += 1
    state[N_NAME_BYTES] += length
    return number
