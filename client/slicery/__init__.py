"""Slicery's thin client: slices of large scientific files, as records, bytes or valid files.

    from slicery import Client

    dataset = Client().register("s3://bucket/run7/*.fastq.gz").wait()
    for slice in dataset.partition("count", n=200):
        for read in slice.records():
            ...

Names load when they are first used, so that `import slicery` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from slicery.errors import (
    ConfigurationError,
    Conflict,
    DatasetChanged,
    DecodeError,
    FetchError,
    Forbidden,
    IndexingFailed,
    InvalidTicket,
    MissingExtra,
    NotFound,
    ServiceError,
    ServiceUnavailable,
    ShortBody,
    SliceryError,
    TicketExpired,
    Unauthorized,
    UnsupportedTicket,
)
from slicery.ticket import Ticket

if TYPE_CHECKING:
    from slicery.client import Client
    from slicery.dataset import Dataset
    from slicery.partition import Partition
    from slicery.slice import Slice

    __version__: str

__all__ = [
    "Client",
    "ConfigurationError",
    "Conflict",
    "Dataset",
    "DatasetChanged",
    "DecodeError",
    "FetchError",
    "Forbidden",
    "IndexingFailed",
    "InvalidTicket",
    "MissingExtra",
    "NotFound",
    "Partition",
    "ServiceError",
    "ServiceUnavailable",
    "ShortBody",
    "Slice",
    "SliceryError",
    "Ticket",
    "TicketExpired",
    "Unauthorized",
    "UnsupportedTicket",
    "__version__",
]

_HOMES = {
    "Client": "slicery.client",
    "Dataset": "slicery.dataset",
    "Partition": "slicery.partition",
    "Slice": "slicery.slice",
}


def __getattr__(name: str) -> Any:
    """Load a public class, or read the version, when it is first asked for (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("slicery")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'slicery' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
