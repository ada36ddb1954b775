"""The golden vectors of formats that are read whole: our client decodes them, and the service still writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from slicery import Ticket, loading
from slicery.ticket import expand

from . import make, tables
from .test_golden import part_bytes, stored


def pixels(raster: Any) -> list[list[str]]:
    return [
        [str(value) for value in pixel] for pixel in raster.array.reshape(len(raster.array), -1).T.tolist()
    ]


READ: dict[str, Callable[[Any], Sequence[Sequence[str]]]] = {
    "geotiff": pixels,
    "copc": lambda cloud: tables.points(cloud.points),
    "imzml": tables.spectra,
    "laz": lambda cloud: tables.points(cloud.points),
    "measurementset": tables.rows,
}


@pytest.mark.parametrize("name", tables.CASES)
def test_the_client_decodes_a_vector(name: str) -> None:
    vector = stored(name)
    ticket = Ticket.from_json(vector["ticket"])

    def read_whole(ordinal: int) -> bytes:
        return b"".join(map(part_bytes, ticket.files[ordinal].parts))

    found = READ[ticket.format](loading.load(ticket, read_whole))
    assert make.digest(found) == vector["records"]


@pytest.mark.parametrize("name", tables.CASES)
def test_the_compact_form_is_the_same_ticket(name: str) -> None:
    vector = stored(name)
    compact = vector["compact"]
    assert expand(compact["slice"], compact["sources"], compact["head"]).to_json() == vector["ticket"]


@pytest.mark.parametrize("name", tables.CASES)
def test_the_service_writes_the_vector(name: str) -> None:
    assert tables.make_vector(name) == stored(name)
