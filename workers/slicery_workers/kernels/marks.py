"""Which starts of records become marks; see workers.marks."""

from __future__ import annotations

from typing import Any

from slicery_workers.kernels.bare import inner, outer


@outer
def choose_marks(
    starts: Any, n_before: Any, spacing: Any, last: Any, before_record: Any, before: Any, marks: Any
) -> Any:
    """Write the marks among `starts` (int64, (n,), ascending) into `marks` (int64, (m, 2)): record, start.

    `n_before` records have gone before; `last` is the last mark's start, negative where there is none, and `before`
    the start of the record before these, negative where there is none. Of the starts within `spacing` of a mark, the
    last one is the next mark, or else the first one behind. Returns how many marks there are, -1 where there is no room
    for them: where starts do not ascend.
    """
    n, at, n_marks = len(starts), 0, 0
    if last < 0:
        last = starts[0]
        n_marks = _keep(marks, n_marks, n_before, last)
    while n_marks < len(marks):
        within = _first_behind(starts, at, n, last + spacing)
        if within == n:
            return n_marks
        if within > at and starts[within - 1] > last:
            at = within - 1
        elif at == 0 and before > last:
            last = before
            n_marks = _keep(marks, n_marks, before_record, last)
            continue
        else:
            at = within
        last = starts[at]
        n_marks = _keep(marks, n_marks, n_before + at, last)
    return -1


@inner
def _keep(marks: Any, n_marks: Any, record: Any, start: Any) -> Any:
    marks[n_marks, 0], marks[n_marks, 1] = record, start
    return n_marks + 1


@inner
def _first_behind(starts: Any, low: Any, high: Any, place: Any) -> Any:
    """Return the first of starts[low:high] that lies behind a place."""
    while low < high:
        middle = (low + high) >> 1
        if starts[middle] <= place:
            low = middle + 1
        else:
            high = middle
    return low
