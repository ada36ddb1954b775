"""The calls on datasets."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from slicery_service import datasets, pictures, previews, queue, search
from slicery_service.api.auth import require
from slicery_service.api.problems import responses
from slicery_service.api.schemas import (
    PAGE,
    ChangeBody,
    CursorText,
    DatasetDetails,
    DatasetPage,
    JobView,
    Limit,
    PreviewView,
    RegistrationBody,
)
from slicery_service.db import snapshot, transaction
from slicery_service.keys import Principal
from slicery_service.models import DatasetState
from slicery_service.views import dataset_view, dataset_views, job_view

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

Writer = Annotated[Principal, Depends(require("write"))]
READ = [Depends(require("read"))]
WRITE = [Depends(require("write"))]


@router.post(
    "",
    operation_id="registerDataset",
    summary="Register a dataset and index it",
    status_code=201,
    response_model=DatasetDetails,
    responses=responses(409, 424),
)
def register(body: RegistrationBody, principal: Writer, response: Response) -> Any:
    """Look the objects up, detect the format unless it is given, and enqueue a job that indexes them.

    The objects are read in place and never copied or changed. `Location` names the dataset; follow its job
    with GET /v1/datasets/{id}/events. What is registered with this format already answers 409, with
    the id of its dataset in `dataset`.
    """
    request = datasets.Registration(uris=body.uri, **body.model_dump(exclude={"uri"}))
    with transaction() as session:
        dataset, job = datasets.register(session, request, key_id=principal.key_id)
    view = get(dataset.id)
    queue.send_job(job.id)
    response.headers["Location"] = f"/v1/datasets/{dataset.id}"
    return view


@router.get(
    "",
    operation_id="listDatasets",
    summary="List datasets",
    response_model=DatasetPage,
    responses=responses(),
    dependencies=READ,
)
def list_datasets(
    q: Annotated[
        str | None,
        Query(max_length=200, description="words to find in names, tags, URIs, keys, columns and contigs"),
    ] = None,
    format: Annotated[str | None, Query(description="only this format")] = None,
    state: Annotated[DatasetState | None, Query(description="only this state")] = None,
    tag: Annotated[list[str] | None, Query(description="only with this tag; repeat it for several")] = None,
    cursor: CursorText = None,
    limit: Limit = PAGE,
) -> Any:
    """Return one page, the newest first; all filters that are given must fit."""
    wanted = search.Filter(q=q, format=format, state=state, tags=tag or ())
    with snapshot() as session:
        found, following = search.page(session, wanted, cursor=cursor, limit=limit)
        return {"datasets": dataset_views(session, found), "next": following}


@router.get(
    "/{dataset_id}",
    operation_id="getDataset",
    summary="Show a dataset",
    response_model=DatasetDetails,
    responses=responses(404),
    dependencies=READ,
)
def get(dataset_id: str) -> Any:
    """Return the dataset with its first 1,000 objects and its newest job."""
    with snapshot() as session:
        return dataset_view(session, datasets.get(session, dataset_id))


@router.patch(
    "/{dataset_id}",
    operation_id="changeDataset",
    summary="Rename or tag a dataset",
    response_model=DatasetDetails,
    responses=responses(404),
    dependencies=WRITE,
)
def change(dataset_id: str, body: ChangeBody) -> Any:
    """Change what is given; tags are replaced as a whole."""
    with transaction() as session:
        datasets.change(session, dataset_id, name=body.name, tags=body.tags)
    return get(dataset_id)


@router.delete(
    "/{dataset_id}",
    operation_id="deleteDataset",
    summary="Delete a dataset, not its objects",
    status_code=204,
    responses=responses(404),
    dependencies=WRITE,
)
def remove(dataset_id: str) -> None:
    """Remove the dataset with its index, jobs and partitions; stop a job that runs. No object is touched."""
    with transaction() as session:
        datasets.remove(session, dataset_id)


@router.post(
    "/{dataset_id}/index",
    operation_id="indexDataset",
    summary="Index a dataset again",
    status_code=202,
    response_model=JobView,
    responses=responses(404, 409, 424),
    dependencies=WRITE,
)
def index(dataset_id: str, response: Response) -> Any:
    """List the objects afresh and index them as a new generation; the live one serves until it is whole.

    Answers 409 with the id of the job in `job` when one has not ended.
    """
    with transaction() as session:
        job = datasets.reindex(session, dataset_id)
        view = job_view(job)
    queue.send_job(job.id)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return view


@router.get(
    "/{dataset_id}/pictures/{name}",
    operation_id="getPicture",
    summary="Show a picture of a dataset",
    response_class=Response,
    responses={**responses(404), 200: {"content": {"image/png": {}}, "description": "the picture"}},
    dependencies=READ,
)
def picture(dataset_id: str, name: str) -> Response:
    """Return a small image that was made while indexing; `pictures` of the dataset lists them."""
    with transaction() as session:
        found = pictures.get(session, datasets.get(session, dataset_id), name)
        return Response(found.content, media_type=found.media_type)


@router.get(
    "/{dataset_id}/preview",
    operation_id="getPreview",
    summary="Show decoded rows of a dataset",
    response_model=PreviewView,
    responses=responses(404, 409),
    dependencies=READ,
)
def preview(
    dataset_id: str,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="number of the first row to return")] = 0,
    limit: Annotated[int, Query(ge=1, le=100, description="most rows to return")] = 100,
) -> Any:
    """Return the first rows, decoded, and statistics of a sample; both were made when the dataset was indexed.

    They are for people: texts are cut, control characters replaced by symbols, and there are at most 100 rows. Records
    for programs come from slices.
    """
    with transaction() as session:
        return previews.view(session, datasets.get(session, dataset_id), offset=offset, limit=limit)
