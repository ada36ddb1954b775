"""Compare the reads of two objects while both are indexed: as many of each, and the same names in the same order.

Whatever one mate is ahead is held until the other has caught up, names alone, and no more than MOST_AHEAD: then it
waits. So memory stays bounded, whatever the sizes and the compressions of the two.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from slicery_service.errors import MalformedRecord
from slicery_workers.kernels.names import first_difference
from slicery_workers.scanners.names import Names

MOST_AHEAD = 4 << 20
"""Bytes of names, with their offsets, that one mate may be ahead: those of some 50,000 reads."""

_HINT = "Register both objects with all their reads in the same order, or without `paired`."
_LONGEST_SHOWN = 100


class Stopped(Exception):
    """The mates differ, or the other one has failed: there is no use in going on."""


@dataclass(slots=True)
class _Mate:
    """One of the two: what is known of it, and the names that its mate has not met yet."""

    label: str
    held: Names = field(default_factory=Names.none)
    n_reads: int = 0
    n_repeated: int = 0
    ended: bool = False


class Lockstep:
    """Where the two threads that index the mates meet; `labels` name the objects in messages."""

    def __init__(self, labels: tuple[str, str]) -> None:
        self._mates = (_Mate(labels[0]), _Mate(labels[1]))
        self._condition = threading.Condition()
        self._stopped = False
        self._n_pairs = 0
        self._dotted = False
        self._first: tuple[str, str] | None = None
        self._difference: MalformedRecord | None = None

    def begin(self, number: int) -> None:
        """Say that a mate is read from its beginning; what is known of it already will be passed over."""
        with self._condition:
            self._mates[number].n_repeated = self._mates[number].n_reads

    def hear(self, number: int, names: Names) -> None:
        """Take the next names of a mate (0 or 1), compare what can be compared, and wait while it is far ahead.

        Raises Stopped when it is over: `check` then says why.
        """
        own, other = self._mates[number], self._mates[1 - number]
        with self._condition:
            n_known = min(own.n_repeated, len(names))
            own.n_repeated -= n_known
            names = names.behind(n_known)
            own.n_reads += len(names)
            if not (other.ended and len(own.held)):  # else only the first without a mate matters
                own.held = Names.joined(own.held, names)
            self._compare()
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._stopped or other.ended or own.held.n_bytes <= MOST_AHEAD)
            if self._stopped:
                raise Stopped

    def end(self, number: int) -> None:
        """Say that a mate has no more reads."""
        with self._condition:
            self._mates[number].ended = True
            self._condition.notify_all()

    def stop(self) -> None:
        """Have both mates stop."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def check(self) -> None:
        """Raise MalformedRecord at the first pair that differs, or unless both mates have as many reads."""
        if self._difference is not None:
            raise self._difference
        first, second = self._mates
        if first.n_reads == second.n_reads:
            return
        longer = max(self._mates, key=lambda mate: mate.n_reads)
        raise MalformedRecord(
            f"{first.label} has {first.n_reads:,} reads and {second.label} has {second.n_reads:,}: "
            f"read {self._n_pairs + 1:,} of {longer.label}, {_shown(longer.held, 0)}, has no mate",
            hint=_HINT,
        )

    def _compare(self) -> None:
        held = [mate.held for mate in self._mates]
        n = min(map(len, held))
        if n and not self._n_pairs:
            self._look_at_first()
        agreeing = self._n_agreeing(held)
        if agreeing < n:
            self._difference, self._stopped = self._differing(agreeing), True
            return
        self._n_pairs += n
        for mate in self._mates:
            mate.held = mate.held.behind(n)

    def _n_agreeing(self, held: list[Names]) -> int:
        first, second = held
        return int(first_difference(first.packed, first.edges, second.packed, second.edges, self._dotted))

    def _look_at_first(self) -> None:
        """See in the first pair how mates are told apart; .1 and .2 may also be numbers of reads."""
        first = [mate.held.before(1) for mate in self._mates]
        self._dotted = not self._n_agreeing(first)
        if self._dotted:
            self._first = (_shown(first[0], 0), _shown(first[1], 0))

    def _differing(self, row: int) -> MalformedRecord:
        number, shown = self._n_pairs + row + 1, [_shown(mate.held, row) for mate in self._mates]
        if number == 2 and self._first and not self._are_dotted(row):  # so its .1 and .2 were two numbers
            number, shown = 1, list(self._first)
        found = " and ".join(f"{name} of {mate.label}" for name, mate in zip(shown, self._mates, strict=True))
        return MalformedRecord(f"pair {number:,} differs: {found} are no mates", hint=_HINT)

    def _are_dotted(self, row: int) -> bool:
        ends = zip(self._mates, (b".1", b".2"), strict=True)
        return all(mate.held.name(row).endswith(end) for mate, end in ends)


def _shown(names: Names, row: int) -> str:
    name = names.name(row).decode("utf-8", "replace")
    short = name if len(name) <= _LONGEST_SHOWN else name[:_LONGEST_SHOWN] + "…"
    return f"{short!r} at byte {names.starts[row]:,} of the text"
