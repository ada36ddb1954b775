"""One slice as a file for the browser: gathered here, as links cannot bring the headers that its URLs are signed with.

It is the one way on which data passes through the service: for people, and for small slices alone
(SLICERY_CATALOG_DOWNLOAD_BYTES). Programs get tickets.
"""

from __future__ import annotations

import shutil
import threading
import zipfile
from pathlib import Path
from tempfile import mkdtemp

from fastapi import APIRouter, Depends
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from slicery.errors import SliceryError
from slicery.slice import Slice
from slicery.ticket import Ticket
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


class Busy(Problem):
    """As many slices as may be are being gathered."""

    status, code, title = 503, "busy", "Too many downloads at once"


@router.get("/{dataset_id}/slices/{partition_id}/{number}", dependencies=[Depends(need("read"))])
def download(dataset_id: str, partition_id: str, number: int) -> Response:
    """Return the file of one slice; a ZIP where it has several, as mates are.

    Of record formats it holds just the slice's records. Others would need the libraries of their format for that, which
    a service does not have: theirs are as they are fetched, valid files that may hold some records more.
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
        path = _gathered(ticket, folder, raw=partition.cutting.form.kind != "records")
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


def _gathered(ticket: Ticket, folder: Path, *, raw: bool) -> Path:
    """Fetch a slice into a folder, and return the one file that is sent."""
    if not _running.acquire(blocking=False):
        raise Busy(f"{MOST_AT_ONCE} slices are being gathered already", hint="Try again in a moment.")
    is_one = not raw and not ticket.is_paired and len({file.media_type for file in ticket.files}) == 1
    target = folder / Path(ticket.files[0].name).name if is_one else folder
    try:
        paths = Slice.from_ticket(ticket).to_file(target, raw=raw)
    except SliceryError as exc:
        raise ObjectUnreadable(f"the slice could not be fetched: {exc}") from exc
    finally:
        _running.release()
    if len(paths) == 1:
        return paths[0]
    packed = folder / f"{paths[0].name.partition('.')[0]}.slice{ticket.index}.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            archive.write(path, path.name)
    return packed
