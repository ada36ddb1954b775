"""What a job consists of, and which of it a task does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slicery_workers.work import MOST_UNITS, Unit, together


def units(sizes: list[int]) -> list[Unit]:
    return [Unit(number, 0, None, 0, size, whole=True) for number, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 120), max_size=60))
def test_units_are_put_together_in_order_up_to_a_size(sizes: list[int]) -> None:
    made = units(sizes)
    groups = list(together(made, 100))
    assert [unit for group in groups for unit in group] == made
    assert all(len(group) == 1 or sum(unit.stop for unit in group) <= 100 for group in groups)
    firsts = [group[0].stop for group in groups[1:]]
    for group, first in zip(groups, firsts, strict=False):
        assert sum(unit.stop for unit in group) + first > 100


def test_a_task_has_no_more_units_than_a_message_holds() -> None:
    assert [len(group) for group in together(units([0] * (2 * MOST_UNITS + 1)), 100)] == [
        MOST_UNITS,
        MOST_UNITS,
        1,
    ]
