"""The names of reads: packed one behind another, and compared with those of their mates."""

from __future__ import annotations

from slicery_workers.kernels import kernel

_SLASH, _DOT, _ONE, _TWO, _BLANK = 47, 46, 49, 50, 32


@kernel
def pack_names(text, begins, most, packed, edges):  # type: ignore[no-untyped-def]
    """Copy the names that begin at `begins` in `text` (uint8) to `packed`, name i up to edges[i + 1].

    A name ends before a blank or any character below, such as a line's end; the last one may end with the text.
    No more than `most` bytes are copied of each. `begins` and `edges` are int64, (n,) and (n + 1,). Returns False
    where `packed` has no room.
    """
    at = 0
    edges[0] = 0
    for row in range(len(begins)):
        position = begins[row]
        stop = min(position + most, len(text))
        while position < stop and text[position] > _BLANK:
            if at == len(packed):
                return False
            packed[at] = text[position]
            at += 1
            position += 1
        edges[row + 1] = at
    return True


@kernel
def first_difference(packed, edges, mate_packed, mate_edges, dotted):  # type: ignore[no-untyped-def]
    """Return the number of the first name that differs from its mate's, or how many there are of both.

    A trailing /1 or /2 is no part of a name. With `dotted`, names end in .1 and their mates' in .2, which is none
    either.
    """
    n = min(len(edges), len(mate_edges)) - 1
    for row in range(n):
        start, mate_start = edges[row], mate_edges[row]
        if dotted:
            stop = _before_dot(packed, start, edges[row + 1], _ONE)
            mate_stop = _before_dot(mate_packed, mate_start, mate_edges[row + 1], _TWO)
        else:
            stop = _before_slash(packed, start, edges[row + 1])
            mate_stop = _before_slash(mate_packed, mate_start, mate_edges[row + 1])
        if stop < 0 or stop - start != mate_stop - mate_start:
            return row
        for offset in range(stop - start):
            if packed[start + offset] != mate_packed[mate_start + offset]:
                return row
    return n


@kernel
def _before_slash(packed, start, stop):  # type: ignore[no-untyped-def]
    """Return where a name ends without a trailing /1 or /2."""
    if stop - start > 2 and packed[stop - 2] == _SLASH and _ONE <= packed[stop - 1] <= _TWO:
        return stop - 2
    return stop


@kernel
def _before_dot(packed, start, stop, digit):  # type: ignore[no-untyped-def]
    """Return where a name ends without its trailing dot and digit; -1 where it has none."""
    if stop - start >= 2 and packed[stop - 2] == _DOT and packed[stop - 1] == digit:
        return stop - 2
    return -1
