"""Record indexes drawn at random: consistent, but of no real object."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from slicery_service.record_index import BRIDGE, CUT, MEMBER, RecordIndex, plain_cuts

FAR = 5 << 32
"""Added to every offset of some indexes, so that 32 bits are not enough."""


@st.composite
def indexes(draw: st.DrawFn, n_records: int | None = None) -> RecordIndex:
    """Draw an index of so many records, or up to 200, each 1 to 40 bytes long, under any compression."""
    most = 200 if n_records is None else n_records
    lengths = draw(st.lists(st.integers(1, 40), min_size=n_records or 0, max_size=most))
    base = draw(st.sampled_from([0, 3, FAR]))
    starts = [base + sum(lengths[:i]) for i in range(len(lengths))] + [base + sum(lengths)]
    compression = draw(st.sampled_from(["none", "gzip", "bgzf"]))
    if compression == "none":
        return _plain(starts, draw(_some(len(lengths))))
    return _compressed(draw, starts, compression)


def several_indexes() -> st.SearchStrategy[list[RecordIndex]]:
    """Draw the indexes of a dataset's objects; some may hold no record."""
    return st.lists(indexes(), min_size=1, max_size=5)


@st.composite
def paired_indexes(draw: st.DrawFn) -> list[RecordIndex]:
    """Draw the indexes of a paired dataset's objects: of each two, both have as many records."""
    counts = draw(st.lists(st.integers(0, 60), min_size=1, max_size=3))
    return [draw(indexes(n)) for n in counts for _ in range(2)]


def _some(n: int) -> st.SearchStrategy[list[int]]:
    """Draw records that have marks; the first always does."""
    return st.sets(st.integers(0, max(0, n - 1)), max_size=n).map(lambda found: sorted(found | {0})[:n])


def _plain(starts: list[int], marked: list[int]) -> RecordIndex:
    marks = _marks(starts, marked)
    nothing = np.empty(0, np.uint8)
    return RecordIndex("none", starts[-1], marks, plain_cuts(marks), nothing, nothing, np.empty(0, MEMBER))


def _compressed(draw: st.DrawFn, starts: list[int], compression: str) -> RecordIndex:
    """Put cuts anywhere in the text, each at a quarter of its offset."""
    first, size = min(starts[0], 3), starts[-1]
    inner = draw(st.sets(st.integers(starts[0], size), max_size=20)) if size else set()
    texts = np.array([0, *sorted(inner - {0, size}), size], np.int64)
    cuts = np.zeros(len(texts), CUT)
    cuts["text"], cuts["offset"] = texts, texts // 4 + np.arange(len(texts)) + first
    cuts["record"] = np.searchsorted(starts[:-1], texts)
    cuts["start"] = np.array(starts)[cuts["record"]]
    cuts["spilled"] = [1, *(draw(st.integers(0, 1)) for _ in texts[2:]), 1]
    cuts["spilled"] |= cuts["start"] == cuts["text"]
    cuts["spill_size"] = np.where(cuts["spilled"] == 1, cuts["start"] - cuts["text"], 0)
    records = set(cuts["record"].tolist()) & set(range(len(starts) - 1))
    marks = _marks(starts, sorted(records | set(draw(_some(len(starts) - 1)))))
    spills = np.zeros(int(cuts["spill_size"].sum()), np.uint8)
    cuts["spill_at"] = np.cumsum(cuts["spill_size"]) - cuts["spill_size"]
    members = np.zeros(2, MEMBER)
    members["text"][1] = size
    nothing = np.empty(0, np.uint8)
    bridges = _bridges(draw, cuts) if compression == "bgzf" else np.empty(0, BRIDGE)
    size_bytes = int(cuts["offset"][-1]) + 9
    return RecordIndex(compression, size_bytes, marks, cuts, nothing, spills, members, bridges=bridges)


def _bridges(draw: st.DrawFn, cuts: np.ndarray) -> np.ndarray:
    """Draw bridges of nothing for some cuts that divide a record and spill; they end before the next cut."""
    divided = (cuts["spilled"] == 1) & (cuts["text"] < cuts["start"]) & (cuts["offset"] > 0)
    fit = np.append(cuts["start"][:-1] <= cuts["text"][1:], False)
    chosen = [cut for cut in np.flatnonzero(divided & fit).tolist() if draw(st.booleans())]
    bridges = np.zeros(len(chosen), BRIDGE)
    bridges["cut"] = cuts["offset"][chosen]
    bridges["offset"] = [draw(st.integers(*cuts["offset"][cut : cut + 2].tolist())) for cut in chosen]
    return bridges


def _marks(starts: list[int], marked: list[int]) -> np.ndarray:
    numbers = [*marked, len(starts) - 1]
    return np.array([[number, starts[number]] for number in numbers], np.int64).reshape(-1, 2)
