"""A dataset: what was registered, how far its indexing is, and how it is cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal
from urllib.parse import quote

from slicery.errors import IndexingFailed, NotFound
from slicery.partition import Partition
from slicery.ticket import JsonObject
from slicery.transport import Transport, transport_for

FIRST_POLL_SECONDS = 0.05
LONGEST_POLL_SECONDS = 1.0

Progress = Callable[[int, int], object]
Grant = Literal["range", "object"]


class Dataset:
    """A dataset as the service described it last; `refresh()` asks again. Pickles hold no key."""

    def __init__(self, transport: Transport, body: Mapping[str, Any]) -> None:
        self._transport = transport
        self._body = dict(body)

    @property
    def id(self) -> str:
        return str(self._body["id"])

    @property
    def name(self) -> str:
        return str(self._body["name"])

    @property
    def uri(self) -> str:
        """The first of `uris`."""
        return str(self._body["uri"])

    @property
    def uris(self) -> list[str]:
        """What was registered: objects, folders or patterns, in their order."""
        return list(self._body.get("uris") or [self.uri])

    @property
    def format(self) -> str:
        return str(self._body["format"])

    @property
    def compression(self) -> str | None:
        """How the objects are wrapped: none, gzip, bgzf or mixed; None until known."""
        return self._body.get("compression")

    @property
    def state(self) -> str:
        """One of registered, indexing, indexed, stale, failed."""
        return str(self._body["state"])

    @property
    def generation(self) -> int | None:
        """The generation of the index that serves; None before there is one."""
        return self._body.get("generation")

    @property
    def size_bytes(self) -> int | None:
        return self._body.get("size_bytes")

    @property
    def unit(self) -> str | None:
        """What a record is called; None until known."""
        return (self._body.get("records") or {}).get("unit")

    @property
    def n_records(self) -> int | None:
        """How many records there are; None until indexed."""
        return (self._body.get("records") or {}).get("count")

    @property
    def summary(self) -> JsonObject:
        """What indexing found out beside the records, such as columns or contigs; empty until indexed."""
        return dict(self._body.get("summary") or {})

    @property
    def error(self) -> JsonObject | None:
        """Why indexing failed, as a problem (RFC 9457)."""
        return self._body.get("error")

    @property
    def job(self) -> JsonObject | None:
        """The latest job, with its state and its progress in bytes."""
        return self._body.get("job")

    def to_json(self) -> JsonObject:
        """Return the service's description."""
        return dict(self._body)

    def refresh(self) -> Dataset:
        """Ask the service for the present state, and return this dataset."""
        self._body = self._transport.get(self._path)
        return self

    def wait(self, timeout: float | None = None, progress: Progress | None = None) -> Dataset:
        """Wait until the dataset is indexed and no job is at work on it, and return it.

        `timeout` is in seconds; `progress` is called with bytes done and bytes in all at each look.

        Raises:
            IndexingFailed: the job failed or was cancelled; its `problem` says why.
            TimeoutError: the time is over; the job goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        step = FIRST_POLL_SECONDS
        watched = None
        while True:
            watched = self._at_work or watched
            self._look_again()
            job = self.job or {}
            if progress and job:
                progress(job.get("bytes_done") or 0, job.get("bytes_total") or 0)
            if not self._at_work and self._settled(watched=watched is not None and job.get("id") == watched):
                return self
            left = step if deadline is None else min(step, deadline - time.monotonic())
            if left <= 0:
                state = f"its job is {job['state']}" if job else f"its state is {self.state}"
                raise TimeoutError(f"{self.name} ({self.id}) was not indexed within {timeout:g} s; {state}")
            time.sleep(left)
            step = min(step * 1.5, LONGEST_POLL_SECONDS)

    def preview(self, *, offset: int = 0, limit: int = 100) -> JsonObject:
        """Return decoded rows for people and statistics of a sample, as they were made when it was indexed.

        `columns` has names and types, `rows` the first records (at most 100 are kept), `sample` says what the
        `statistics` are of, and `problem` why there is no more.

        Raises:
            Conflict: the dataset is not indexed yet; call `wait()`.
        """
        return self._transport.get(f"{self._path}/preview", offset=offset, limit=limit)

    def reindex(self) -> Dataset:
        """Have the dataset indexed anew; the present index serves until the new one is whole."""
        self._transport.post(f"{self._path}/index")
        return self.refresh()

    def partition(
        self,
        strategy: str | Mapping[str, Any],
        *,
        selection: Mapping[str, Any] | None = None,
        expires_in: int | None = None,
        grant: Grant = "range",
        **parameters: Any,
    ) -> Partition:
        """Cut the dataset; the same request gives the same partition.

            dataset.partition("count", n=200)
            dataset.partition({"name": "bytes", "per_slice": 64 << 20})

        `expires_in` is the lifetime of URLs in seconds; `grant="object"` signs URLs for whole objects, for
        tools that choose their own ranges.

        Raises:
            Conflict: the dataset is not indexed yet; call `wait()`.
            ServiceError: the strategy or its parameters are not the format's (422).
        """
        named = {"name": strategy} if isinstance(strategy, str) else dict(strategy)
        request = {
            "strategy": {**named, **parameters},
            "selection": None if selection is None else dict(selection),
            "expires_in": expires_in,
            "grant": grant,
        }
        body = {name: value for name, value in request.items() if value is not None}
        answer = self._transport.post(f"{self._path}/partitions", body, form="compact")
        return Partition(self._transport, answer, expires_in=expires_in, grant=grant)

    def delete(self) -> None:
        """Remove the dataset and its indexes from the catalog; the objects stay as they are."""
        self._transport.delete(self._path)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _unpickle, (self._transport.url, self._body)

    def __repr__(self) -> str:
        return f"<Dataset {self.id} {self.name!r}: {self.format}, {self.state}>"

    @property
    def _path(self) -> str:
        return f"/v1/datasets/{quote(self.id, safe='')}"

    @property
    def _at_work(self) -> str | None:
        """The id of the job that is queued or running, as far as is known."""
        job = self.job or {}
        return str(job["id"]) if job.get("state") in ("queued", "running") else None

    def _look_again(self) -> None:
        """Ask for the job alone while one is at work, which is cheap, and for everything once it has ended."""
        known = self._at_work
        if known is not None:
            with suppress(NotFound):  # it went with its dataset, of which is said so
                self._body["job"] = self._transport.get(f"/v1/jobs/{quote(known, safe='')}")
                if self._at_work:
                    return
        self.refresh()

    def _settled(self, *, watched: bool) -> bool:
        """Tell whether the dataset is indexed; `watched` says that the job now ended was seen at work."""
        job = self.job or {}
        failed = job.get("state") in ("failed", "cancelled")
        if self.state == "failed" or (failed and (watched or self.state != "indexed")):
            problem = job.get("error") or self.error or {}
            why = problem.get("detail") or f"the job {job.get('id', '')} is {job.get('state', 'gone')}"
            hint = f". {problem['hint']}" if problem.get("hint") else ""
            raise IndexingFailed(f"{self.name}: {why.rstrip('.')}{hint}", problem)
        if self.state == "stale":
            raise IndexingFailed(
                f"{self.name}: its objects have changed since they were indexed; call reindex()"
            )
        return self.state == "indexed"


def _unpickle(url: str, body: JsonObject) -> Dataset:
    return Dataset(transport_for(url), body)
