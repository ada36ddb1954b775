"""Spectra in the XML of imzML: tags go by, and of each spectrum a row of numbers stays.

The XML is read as bytes of an encoding in which tags are ASCII. What stands between tags does not matter to imzML, as
all values are attributes. Namespace prefixes of elements are passed over; comments, processing instructions and CDATA
are skipped.

A cvParam's `accession` is a number here: 1000514 for MS:1000514, and IMS more for IMS:…; 0 for other vocabularies. A
group's parameters are applied where it is referred to, as if they stood there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from slicery_workers.kernels import kernel
from slicery_workers.kernels.xml import (
    ACCESSION,
    BAD,
    CLOSES,
    COUNT,
    IS_SINGLE,
    NAME,
    NOT_WHOLE,
    OPENS,
    REF,
    SHAPE,
    VALUE,
    hashed,
    integer,
    next_tag,
    read_tag,
    real,
)

IMS = 10_000_000
"""What tells a term of the imaging vocabulary from one of the mass spectrometry vocabulary."""

_MZML = hashed("mzML")
_SPECTRUM_LIST = hashed("spectrumList")
_SPECTRUM = hashed("spectrum")
_SCAN = hashed("scan")
_ARRAY = hashed("binaryDataArray")
_SCAN_LIST, _WINDOW_LIST = hashed("scanList"), hashed("scanWindowList")
_PRECURSOR_LIST, _PRODUCT_LIST = hashed("precursorList"), hashed("productList")
_ARRAY_LIST = hashed("binaryDataArrayList")
_CV_PARAM = hashed("cvParam")
_GROUP_REF = hashed("referenceableParamGroupRef")

_TYPES = (
    1000519,
    1000520,
    1000521,
    1000522,
    1000523,
    1001479,
    IMS + 1000141,
    IMS + 1000142,
    IMS + 1100000,
    IMS + 1100001,
)
_COMPRESSIONS = (
    1000574,
    1002312,
    1002313,
    1002314,
    1002746,
    1002747,
    1002748,
    1003088,
    1003089,
    1003090,
    1003780,
    1003781,
    1003782,
    1003783,
    1003784,
    1003785,
    IMS + 1005001,
    IMS + 1005002,
    IMS + 1005003,
)
"""Terms of the types of values, and of what compresses them; which of these can be read is decided later."""

# Places in the state, which goes from call to call.
PHASE, CONTEXT, STATUS, N_SPECTRA, WANTED, SPECTRUM_AT, FLAGS, N_REFS, REFS_DIFFER = range(9)
PLACE_A, PLACE_B, TERM = range(9, 12)
"""Where the status' reason stands in the text, and the term it is about."""
X, Y, Z, HAS = range(12, 16)
ARRAY = 16
"""Of the array that is read: kind, type, compression, offset, length, encoded length, and which of these it has."""
A_KIND, A_TYPE, A_COMPRESSION, A_OFFSET, A_LENGTH, A_ENCODED, A_HAS = range(7)
MZ, INTENSITY = 23, 30
"""The same of the spectrum's arrays."""
REFS = 37
"""What the first spectrum refers to: 2 * group, and 1 more in its scan."""
MOST_REFS = 16
N_FIRST_REFS = REFS + MOST_REFS
OWN_FLAGS, COMMON_FLAGS = N_FIRST_REFS + 1, N_FIRST_REFS + 2
"""The flags of the spectrum that is read, and those that all spectra so far have in common."""
STATE = COMMON_FLAGS + 1

# Phases, contexts and statuses.
BEFORE, IN_LIST, BEHIND = range(3)
_OUTSIDE, _IN_SPECTRUM, _IN_SCAN, _IN_ARRAY, _IN_OTHER = range(5)
MORE, FULL, FOUND_LIST, BAD_TAG, DOCTYPE, BAD_NUMBER, UNKNOWN_GROUP, INCOMPLETE, CLOSED = range(9)

# Columns of rows.
(R_X, R_Y, R_Z, R_MZ, R_INTENSITY, R_AT) = (0, 1, 2, 3, 8, 13)
"""Coordinates; five of each array: type, compression, offset, length, encoded length; and the spectrum's place."""
N_COLUMNS = 14

POSITIVE, NEGATIVE, CENTROID, PROFILE, MS1, LEVEL_1 = 1, 2, 4, 8, 16, 32
"""Flags that a spectrum or any of its groups sets."""
TIC, LOWEST, HIGHEST = range(3)
"""Places in `reals`: a spectrum's total ion current, and the m/z range of all."""


class Groups(NamedTuple):
    """The groups of parameters: group g is called names[name_edges[g] : name_edges[g + 1]].

    It has the terms from term_edges[g] up to term_edges[g + 1]; the value of term t is
    values[value_edges[t] : value_edges[t + 1]]. Names and values are uint8, the others int64.
    """

    names: Any
    name_edges: Any
    terms: Any
    term_edges: Any
    values: Any
    value_edges: Any


@kernel
def scan_spectra(text, at, base, groups, tag, state, reals, rows, tics):  # type: ignore[no-untyped-def]
    """Read tags of `text` (uint8) from `at`, and write a row of each spectrum that ends.

    Returns where it stopped, and how many rows there are. It stops before a tag that is not whole (MORE), when `rows`
    (int64, (n, N_COLUMNS)) and `tics` (float64, (n,)) are full, or as the status in `state` (int64, (STATE,)) says.
    `base` is the place of text[0] in the file, and `tag` is int64, (TAG_SIZE,).
    """
    n_rows = 0
    state[STATUS] = MORE
    while state[STATUS] == MORE:
        start = next_tag(text, at)
        end = read_tag(text, start, tag) if start >= 0 else start
        if end < 0:
            if end != NOT_WHOLE:
                state[STATUS], state[PLACE_A] = (BAD_TAG if end == BAD else DOCTYPE), max(start, at)
            break
        if state[PHASE] != IN_LIST:
            _look_for_list(text, start, tag, state)
        elif tag[NAME] == _CV_PARAM:
            if state[CONTEXT] != _OUTSIDE:
                term = _term(text, tag[ACCESSION], tag[ACCESSION + 1])
                a, b = tag[VALUE], tag[VALUE + 1]
                if not _apply(term, text, a, b, state, reals):
                    state[STATUS], state[TERM], state[PLACE_A], state[PLACE_B] = BAD_NUMBER, term, a, b
        elif tag[NAME] == _GROUP_REF:
            if state[CONTEXT] != _OUTSIDE:
                _apply_group(text, groups, tag, state, reals)
        elif tag[NAME] == _SPECTRUM:
            if tag[SHAPE] != CLOSES:
                _begin_spectrum(base + start, state, reals)
            if tag[SHAPE] != OPENS and _end_spectrum(state, rows[n_rows]):
                tics[n_rows] = reals[TIC]
                n_rows += 1
                if n_rows == len(rows):
                    state[STATUS] = FULL
        else:
            _enter(start, tag, state)
        if state[STATUS] >= BAD_TAG and state[STATUS] != CLOSED:
            break
        at = end
    return at, n_rows


@kernel
def _look_for_list(text, at, tag, state):  # type: ignore[no-untyped-def]
    """Find where the list of spectra begins, and after it where the run ends."""
    if state[PHASE] == BEHIND:
        if tag[SHAPE] == CLOSES and tag[NAME] == _MZML:
            state[STATUS] = CLOSED
    elif tag[NAME] == _SPECTRUM_LIST and tag[SHAPE] != CLOSES:
        state[STATUS], state[PLACE_A] = FOUND_LIST, at
        state[PHASE] = BEHIND if tag[SHAPE] == IS_SINGLE else IN_LIST
        wanted, good = integer(text, tag[COUNT], tag[COUNT + 1])
        state[WANTED] = wanted if good else -1


@kernel
def _enter(at, tag, state):  # type: ignore[no-untyped-def]
    """Take in a tag of the spectra's structure; others do not matter."""
    name, shape = tag[NAME], tag[SHAPE]
    if name == _ARRAY:
        if shape != CLOSES:
            state[CONTEXT] = _IN_ARRAY
            for place in range(ARRAY, ARRAY + 7):
                state[place] = 0
        if shape != OPENS:
            _keep_array(state)
            state[CONTEXT] = _IN_OTHER
    elif name == _SPECTRUM_LIST:
        if state[CONTEXT] != _OUTSIDE or shape != CLOSES:
            state[STATUS], state[PLACE_A] = BAD_TAG, at
        state[PHASE] = BEHIND
    elif state[CONTEXT] != _OUTSIDE:
        if name == _SCAN and shape == OPENS:
            state[CONTEXT] = _IN_SCAN
        elif name in (_SCAN_LIST, _WINDOW_LIST, _PRECURSOR_LIST, _PRODUCT_LIST, _ARRAY_LIST):
            state[CONTEXT] = _IN_OTHER


@kernel
def _begin_spectrum(place, state, reals):  # type: ignore[no-untyped-def]
    state[CONTEXT], state[SPECTRUM_AT] = _IN_SPECTRUM, place
    state[HAS], state[N_REFS], state[Z], state[OWN_FLAGS] = 0, 0, 1, 0
    state[MZ + A_TYPE] = state[INTENSITY + A_TYPE] = 0
    reals[TIC] = -1.0


@kernel
def _end_spectrum(state, row):  # type: ignore[no-untyped-def]
    """Write a spectrum's row; False, and a status that says so, where it lacks something."""
    if (
        state[CONTEXT] == _OUTSIDE
        or state[HAS] != 3
        or not _is_whole(state, MZ)
        or not _is_whole(state, INTENSITY)
    ):
        state[STATUS] = INCOMPLETE
        return False
    if state[N_SPECTRA] > 0 and state[N_REFS] != state[N_FIRST_REFS]:
        state[REFS_DIFFER] = 1
    state[N_FIRST_REFS] = state[N_REFS]
    state[COMMON_FLAGS] = state[OWN_FLAGS] & (state[COMMON_FLAGS] if state[N_SPECTRA] > 0 else -1)
    state[FLAGS] |= state[OWN_FLAGS]
    _write(state, row)
    state[N_SPECTRA] += 1
    state[CONTEXT] = _OUTSIDE
    return True


@kernel
def _apply_group(text, groups, tag, state, reals):  # type: ignore[no-untyped-def]
    """Take in the terms of the group that a tag refers to."""
    a, b = tag[REF], tag[REF + 1]
    group = _group(text, a, b, groups)
    if group < 0:
        state[STATUS], state[PLACE_A], state[PLACE_B] = UNKNOWN_GROUP, a, b
        return
    _note_group(group, state)
    for t in range(groups.term_edges[group], groups.term_edges[group + 1]):
        start, stop = groups.value_edges[t], groups.value_edges[t + 1]
        if not _apply(groups.terms[t], groups.values, start, stop, state, reals):
            state[STATUS], state[TERM], state[PLACE_A], state[PLACE_B] = BAD_NUMBER, groups.terms[t], a, b


@kernel
def _term(text, a, b):  # type: ignore[no-untyped-def]
    """Return an accession as a number; 0 where it is of another vocabulary."""
    if b - a > 3 and text[a] == 77 and text[a + 1] == 83 and text[a + 2] == 58:  # MS:
        found, a = 0, a + 3
    elif (
        b - a > 4 and text[a] == 73 and text[a + 1] == 77 and text[a + 2] == 83 and text[a + 3] == 58
    ):  # IMS:
        found, a = IMS, a + 4
    else:
        return 0
    number = 0
    while a < b:
        byte = text[a]
        if byte < 48 or byte > 57:
            return 0
        number = number * 10 + byte - 48
        a += 1
    return found + number


@kernel
def _group(text, a, b, groups):  # type: ignore[no-untyped-def]
    """Return the number of the group of this name; -1 where there is none."""
    for group in range(len(groups.name_edges) - 1):
        start = groups.name_edges[group]
        if groups.name_edges[group + 1] - start != b - a:
            continue
        i = 0
        while i < b - a and groups.names[start + i] == text[a + i]:
            i += 1
        if i == b - a:
            return group
    return -1


@kernel
def _note_group(group, state):  # type: ignore[no-untyped-def]
    """Note what the first spectrum refers to, and whether another refers to something else."""
    if state[CONTEXT] != _IN_SPECTRUM and state[CONTEXT] != _IN_SCAN:
        return
    number, noted = state[N_REFS], 2 * group + (1 if state[CONTEXT] == _IN_SCAN else 0)
    if number >= MOST_REFS:
        state[REFS_DIFFER] = 1
    elif state[N_SPECTRA] == 0:
        state[REFS + number] = noted
    elif state[REFS + number] != noted:
        state[REFS_DIFFER] = 1
    state[N_REFS] = number + 1


@kernel
def _apply(term, text, a, b, state, reals):  # type: ignore[no-untyped-def]
    """Take in a term and its value, as the context has it; False where the value should be a whole number."""
    if state[CONTEXT] == _IN_ARRAY:
        if term == IMS + 1000102:
            place = A_OFFSET
        elif term == IMS + 1000103:
            place = A_LENGTH
        elif term == IMS + 1000104:
            place = A_ENCODED
        else:
            _apply_kind(term, state)
            return True
        state[ARRAY + place], good = integer(text, a, b)
        state[ARRAY + A_HAS] |= 1 << place
        return good
    if IMS + 1000050 <= term <= IMS + 1000052:
        axis = term - IMS - 1000050
        state[X + axis], good = integer(text, a, b)
        if axis < 2:
            state[HAS] |= 1 << axis
        return good
    if term == 1000285:
        reals[TIC] = real(text, a, b)
    elif term == 1000528 or term == 1000527:
        value = real(text, a, b)
        if value >= 0:
            reals[LOWEST] = min(reals[LOWEST], value)
            reals[HIGHEST] = max(reals[HIGHEST], value)
    elif 1000127 <= term <= 1000130:
        state[OWN_FLAGS] |= (CENTROID, PROFILE, NEGATIVE, POSITIVE)[term - 1000127]
    elif term == 1000579:
        state[OWN_FLAGS] |= MS1
    elif term == 1000511 and integer(text, a, b) == (1, True):
        state[OWN_FLAGS] |= LEVEL_1
    return True


@kernel
def _apply_kind(term, state):  # type: ignore[no-untyped-def]
    """Take in what an array is of, the type of its values, or how they are compressed; all three are terms."""
    if 1000514 <= term <= 1000515:
        state[ARRAY + A_KIND] = term
    elif term in _TYPES:
        state[ARRAY + A_TYPE] = term
    elif term in _COMPRESSIONS:
        state[ARRAY + A_COMPRESSION] = term


@kernel
def _keep_array(state):  # type: ignore[no-untyped-def]
    """Keep the array that ends as the spectrum's m/z or intensity array; others are passed over."""
    kind = state[ARRAY + A_KIND]
    if kind == 0:
        return
    place = MZ if kind == 1000514 else INTENSITY
    for i in range(7):
        state[place + i] = state[ARRAY + i]


@kernel
def _is_whole(state, place):  # type: ignore[no-untyped-def]
    """Tell whether a spectrum has this array, with a type, an offset and a length."""
    needed = (1 << A_OFFSET) | (1 << A_LENGTH)
    return state[place + A_TYPE] != 0 and state[place + A_HAS] & needed == needed


@kernel
def _write(state, row):  # type: ignore[no-untyped-def]
    row[R_X], row[R_Y], row[R_Z], row[R_AT] = state[X], state[Y], state[Z], state[SPECTRUM_AT]
    for i in range(5):
        row[R_MZ + i] = state[MZ + 1 + i]
        row[R_INTENSITY + i] = state[INTENSITY + 1 + i]
    if not state[MZ + A_HAS] & (1 << A_ENCODED):
        row[R_MZ + 4] = -1
    if not state[INTENSITY + A_HAS] & (1 << A_ENCODED):
        row[R_INTENSITY + 4] = -1
