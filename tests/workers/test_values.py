"""Numbers, dates and times in fields, against Python's own readers."""

from __future__ import annotations

import math
import struct
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slicery_workers.kernels import values

EPOCH = datetime(1970, 1, 1)
LEAST_NORMAL = 2.3e-308


def read(field: str) -> tuple[int, int, float, int]:
    """Read a field: kind, integer, double, and where it ends."""
    data = field.encode()
    text = values.padded(len(data))
    text[: len(data)] = np.frombuffer(data, np.uint8)
    powers = values.powers_of_ten()
    kind, whole, digits, exponent, negative, stop = values.number(text, 0, powers)
    mantissa = np.uint64(digits)
    real = (
        values.scaled(mantissa, exponent, powers)
        if kind & (values.DOUBLE | values.HUGE | values.TEXT)
        else 0.0
    )
    if kind == values.DOUBLE:
        bounds = real - abs(real) * 1e-14, real + abs(real) * 1e-14
        near = values.is_between(
            *(bounds if not negative else (-bounds[1], -bounds[0])), mantissa, exponent, negative
        )
        assert near or not real or not 1e-40 < abs(real) < 1e60
        assert not values.is_between(real, math.inf, mantissa, exponent, False)
        assert not values.is_between(-math.inf, real, mantissa, exponent, False)
    return int(kind), int(whole), -float(real) if negative else float(real), int(stop)


@given(st.integers(-(2**70), 2**70), st.sampled_from(["", "+", "00"]))
def test_integers(value: int, sign: str) -> None:
    field = sign + str(value) if value >= 0 else str(value)
    kind, integer, _, stop = read(field)
    assert stop == len(field)
    if -(2**63) <= value < 2**63:
        assert (kind & ~values.WIDE, integer) == (values.INT, value)
        assert (kind & values.WIDE > 0) == (int(float(value)) != value)
    else:
        assert kind == values.HUGE


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["{!r}", "{:.3e}", "{:.17g}", "{:.25g}"]),
)
@example(1.7976931348623157e308, "{!r}")
@example(9007199254740993.0, "{:.17g}")
def test_doubles_are_the_nearest(value: float, form: str) -> None:
    field = form.format(value)
    kind, integer, real, stop = read(field)
    assert stop == len(field)
    if abs(value) < LEAST_NORMAL:  # the last bit of these may differ
        assert math.isclose(real, float(field), rel_tol=1e-9, abs_tol=5e-324) or kind == values.INT
    elif kind == values.DOUBLE:
        assert real == float(field)
    elif kind & values.INT:
        assert integer == int(field)
    else:
        assert (kind, real) in ((values.HUGE, float(field)), (values.TEXT, math.copysign(math.inf, value)))


@given(st.integers(0, 2**64 - 1))
def test_doubles_of_any_bits(bits: int) -> None:
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    if math.isfinite(value) and abs(value) > LEAST_NORMAL:
        assert read(f"{value:.16e}")[2] == value


@given(st.dates())
def test_dates(day: date) -> None:
    wanted = (datetime.combine(day, datetime.min.time()) - EPOCH) // timedelta(microseconds=1)
    assert read(str(day)) == (values.DATE, wanted, 0.0, 10)


@given(st.datetimes(), st.sampled_from(" T"), st.sampled_from(["auto", "minutes", "milliseconds"]))
def test_times(moment: datetime, separator: str, precision: str) -> None:
    field = moment.isoformat(separator, precision)
    wanted = (datetime.fromisoformat(field) - EPOCH) // timedelta(microseconds=1)
    assert read(field) == (values.TIME, wanted, 0.0, len(field))


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),
    st.integers(-1439, 1439),
    st.sampled_from(["{}{:02}:{:02}", "{}{:02}{:02}"]),
)
def test_times_with_zones(moment: datetime, offset: int, form: str) -> None:
    hours, minutes = divmod(abs(offset), 60)
    field = moment.isoformat() + form.format("-" if offset < 0 else "+", hours, minutes)
    utc = datetime.fromisoformat(field).astimezone(UTC).replace(tzinfo=None)
    assert read(field) == (values.ZONED, (utc - EPOCH) // timedelta(microseconds=1), 0.0, len(field))
    assert read(moment.isoformat() + "Z")[:2] == (values.ZONED, (moment - EPOCH) // timedelta(microseconds=1))


@pytest.mark.parametrize(
    "field",
    [
        "",
        "-",
        ".",
        "+.",
        "e5",
        "-e5",
        "2024-13-01",
        "2024-02-30",
        "0000-01-01",
        "2023-02-29",
        "2024/01/01",
        "x1",
    ],
)
def test_what_is_no_number_has_no_kind_or_ends_early(field: str) -> None:
    kind, _, _, stop = read(field)
    assert kind == 0 or stop < len(field)


@pytest.mark.parametrize("field", ["0001-01-01 00:00+01:00", "9999-12-31 23:59-00:01"])
def test_moments_beyond_the_calendar_are_text(field: str) -> None:
    assert read(field)[0] == values.TEXT
