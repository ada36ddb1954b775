"""The client: the way into the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from slicery import config
from slicery.dataset import Dataset
from slicery.errors import Conflict, NotFound
from slicery.partition import Partition
from slicery.slice import Slice
from slicery.ticket import JsonObject
from slicery.transport import connect


class Client:
    """One service and one key.

    Without arguments they come from SLICERY_URL and SLICERY_TOKEN, or from the profile file (see
    `slicery.config`). A client can be pickled; the key stays behind, and the other process finds its own.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, profile: str | None = None
    ) -> None:
        found = config.resolve(url, token, profile)
        self._transport = connect(found.url, found.token)

    @property
    def url(self) -> str:
        return self._transport.url

    def register(
        self,
        uri: str | Sequence[str],
        *,
        name: str | None = None,
        format: str | None = None,
        tags: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        exist_ok: bool = False,
    ) -> Dataset:
        """Register objects as a dataset and have them indexed; returns at once, see `Dataset.wait`.

        `uri` is an object, a folder or a pattern, or a list of such whose objects make one dataset, in order.
        The format is detected when none is given. With `exist_ok` a dataset that is registered already
        is returned.

        Raises:
            Conflict: this is registered with this format.
            Forbidden: no source of the service allows the URI.
        """
        request = {
            "uri": uri if isinstance(uri, str) else list(uri),
            "name": name,
            "format": format,
            "tags": list(tags),
            "options": dict(options or {}),
        }
        try:
            body = self._transport.post(
                "/v1/datasets", {key: value for key, value in request.items() if value}
            )
        except Conflict as exc:
            existing = exc.problem.get("dataset")
            if not exist_ok or not existing:
                raise
            return self._dataset(str(existing))
        return Dataset(self._transport, body)

    def dataset(self, id_or_name: str) -> Dataset:
        """Return a dataset by its id, or by its name when that is unique.

        Raises:
            NotFound: no dataset has this id or name.
            Conflict: several have this name.
        """
        if id_or_name.startswith("d_"):
            try:
                return self._dataset(id_or_name)
            except NotFound:
                pass  # a name may start like an id
        found = [dataset for dataset in self.datasets(q=id_or_name) if dataset.name == id_or_name]
        if not found:
            raise NotFound(
                404, {"code": "not-found", "detail": f"no dataset has the id or name {id_or_name!r}"}
            )
        if len(found) > 1:
            ids = ", ".join(dataset.id for dataset in found)
            raise Conflict(
                409, {"code": "ambiguous-name", "detail": f"{id_or_name!r} names {ids}; give an id"}
            )
        return found[0]

    def datasets(
        self,
        *,
        q: str | None = None,
        format: str | None = None,
        state: str | None = None,
        tag: str | None = None,
    ) -> Iterator[Dataset]:
        """Yield the datasets that match, over all pages of the catalog."""
        cursor = None
        while True:
            page = self._transport.get(
                "/v1/datasets", q=q, format=format, state=state, tag=tag, cursor=cursor
            )
            for body in page["datasets"]:
                yield Dataset(self._transport, body)
            cursor = page.get("next")
            if not cursor:
                return

    def formats(self) -> JsonObject:
        """Return the formats with their strategies and selections, as the service describes them."""
        return self._transport.get("/v1/formats")

    def partition(self, partition_id: str) -> Partition:
        """Return a partition by its id."""
        path = f"/v1/partitions/{quote(partition_id, safe='')}"
        return Partition(self._transport, self._transport.get(path, limit=0))

    def slice(self, partition_id: str, index: int) -> Slice:
        """Return a reference to one slice, without asking the service: what a task of an array job needs."""
        return Slice(partition_id, index, transport=self._transport)

    def __reduce__(self) -> tuple[type[Client], tuple[str]]:
        return type(self), (self.url,)

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def _dataset(self, dataset_id: str) -> Dataset:
        return Dataset(self._transport, self._transport.get(f"/v1/datasets/{quote(dataset_id, safe='')}"))
