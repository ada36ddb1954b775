"""One slice as a file for the browser: gathered here, as links cannot bring the headers that its URLs are signed with.

It is the one way on which data passes through the service: for people, and for small slices alone
(SLICERY_CATALOG_DOWNLOAD_BYTES). Programs get tickets.
"""

from __future__ import annotations

import shutil
import threading
import zipfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import mkdtemp

from fastapi import APIRouter, Depends
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from slicery.errors import MissingExtra, SliceryError
from slicery.slice import Slice
from slicery.ticket import Arrays, Ticket
from slicery_service import partitions
from slicery_service.catalog.page import HEADERS, PageRoute
from slicery_service.catalog.viewers import need
from slicery_service.config import get_settings
from slicery_service.db import transaction
from slicery_service.errors import InvalidRequest, NotFound, ObjectUnreadable, PermissionDenied, Problem
from slicery_service.open_partition import OpenPartition, Signing, require_slice

MOST_AT_ONCE = 4

router = APIRouter(prefix="/datasets", include_in_schema=False, route_class=PageRoute)

_running = threading.BoundedSemaphore(MOST_AT_ONCE)
_writing = threading.Lock()
"""Held while a decoder writes: casacore is not made for several threads."""


class Busy(Problem):
    """As many slices as may be are being gathered."""

    status, code, title = 503, "busy", "Too many downloads at once"


@router.get("/{dataset_id}/slices/{partition_id}/{number}", dependencies=[Depends(need("read"))])
def download(dataset_id: str, partition_id: str, number: int) -> Response:
    """Return the file of one slice; a ZIP where it has several, as mates are, or is a folder.

    Of record formats it holds just the slice's records. Points and rasters would need the libraries of their format for
    that, which a service does not have: theirs are as they are fetched, valid files that may hold some records more.
    What is fetched of arrays is no file of their format; their decoder writes one.
    """
    with transaction() as session:
        partition = partitions.get(session, partition_id)
    if partition.row.dataset_id != dataset_id:
        raise NotFound(f"dataset {dataset_id} has no partition {partition_id[:40]!r}")
    require_slice(partition, number)
    ticket = _ticket(partition, number)
    _require_small(ticket)
    folder = Path(mkdtemp(prefix="slicery-download-"))
    try:
        path = _gathered(
            ticket, folder, raw=partition.cutting.form.kind != "records" and not _brings_arrays(ticket)
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    media_type = "application/zip" if path.suffix == ".zip" else ticket.files[0].media_type
    cleaning = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(path, headers=HEADERS, media_type=media_type, filename=path.name, background=cleaning)


def _ticket(partition: OpenPartition, number: int) -> Ticket:
    signer = partition.signer(Signing())
    (body,) = partition.tickets(signer, number, number + 1, "expanded")
    return Ticket.from_json(body)


def _require_small(ticket: Ticket) -> None:
    most = get_settings().catalog_download_bytes
    if not most:
        raise PermissionDenied(
            "slices cannot be downloaded in this catalog",
            hint="Run one of the snippets of the slice lab; SLICERY_CATALOG_DOWNLOAD_BYTES turns downloads on.",
        )
    size = sum(file.length for file in ticket.files)
    if size > most:
        raise InvalidRequest(
            f"slice {ticket.index} has {size:,} bytes; here, slices of up to {most:,} can be downloaded",
            hint="Cut the dataset into smaller slices, or run one of the snippets of the slice lab.",
        )


def _brings_arrays(ticket: Ticket) -> bool:
    return any(isinstance(step, Arrays) for step in ticket.decode)


def _gathered(ticket: Ticket, folder: Path, *, raw: bool) -> Path:
    """Fetch a slice into a folder, and return the one file that is sent."""
    if not _running.acquire(blocking=False):
        raise Busy(f"{MOST_AT_ONCE} slices are being gathered already", hint="Try again in a moment.")
    arrays = _brings_arrays(ticket)
    is_one = not (raw or arrays or ticket.is_paired) and len({file.media_type for file in ticket.files}) == 1
    target = folder / Path(ticket.files[0].name).name if is_one else folder
    try:
        with _writing if arrays else nullcontext():
            paths = Slice.from_ticket(ticket).to_file(target, raw=raw)
    except MissingExtra as exc:
        raise InvalidRequest(
            f"this service cannot write slices of {ticket.format}: {exc}",
            hint="Run one of the snippets of the slice lab, where it is installed.",
        ) from exc
    except SliceryError as exc:
        raise ObjectUnreadable(f"the slice could not be fetched: {exc}") from exc
    finally:
        _running.release()
    if len(paths) == 1 and paths[0].is_file():
        return paths[0]
    stem = Path(ticket.files[0].name).name.partition(".")[0]
    return _packed(folder / f"{stem}.slice{ticket.index}.zip", paths)


def _packed(target: Path, paths: Sequence[Path]) -> Path:
    """Put files, and all that is in folders, into a ZIP."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                archive.write(file, file.relative_to(path.parent))
    return target
