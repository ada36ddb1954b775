"""Previews in the database and in the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from slicery_service import jobs, previews
from slicery_service.models import Job, Preview

from . import rows


def content(n_rows: int = 30, **more: object) -> bytes:
    body = {
        "version": previews.VERSION,
        "columns": [{"name": "<b>a</b>", "type": "int64"}],
        "n_columns": 1,
        "rows": [[n] for n in range(n_rows)],
        "statistics": [{"name": "column-0", "kind": "histogram", "of": "sample"}],
        "sample": {"n_records": 12, "n_places": 2, "size_bytes": 99},
        "problem": None,
    }
    return json.dumps({**body, **more}).encode()


class TestKeeping:
    def test_a_preview_of_the_live_generation_is_kept_and_replaced(self, session: Session):
        dataset = rows.add_indexed(session)
        assert previews.save(session, dataset.id, 1, content(1))
        assert previews.save(session, dataset.id, 1, content(2))
        found = previews.find(session, dataset)
        assert found is not None
        assert found["rows"] == [[0], [1]]

    def test_one_of_a_generation_that_is_not_live_is_dropped(self, session: Session):
        dataset = rows.add_indexed(session)
        assert not previews.save(session, dataset.id, 2, content())
        assert not previews.save(session, "d_gone", 1, content())

    def test_one_that_is_too_large_is_dropped(self, session: Session):
        dataset = rows.add_indexed(session)
        assert not previews.save(session, dataset.id, 1, b"x" * (previews.MOST_BYTES + 1))

    def test_it_goes_when_another_generation_goes_live(self, session: Session):
        dataset = rows.add_indexed(session)
        previews.save(session, dataset.id, 1, content())
        session.commit()
        job = rows.add_job(session, dataset.id)
        jobs.claim(session, job.id, rows.NOW)
        rows.finish(session, job)
        session.commit()
        assert session.query(Preview).count() == 0

    def test_one_of_another_version_counts_as_none(self, session: Session):
        dataset = rows.add_indexed(session)
        previews.save(session, dataset.id, 1, content(version=0))
        session.commit()
        found = previews.find(session, dataset)
        assert found is not None
        assert found["rows"] == []
        assert "preview" in found["problem"]

    @pytest.mark.parametrize(("age", "is_awaited"), [(1, True), (3600, False)])
    def test_it_is_awaited_for_a_while(self, session: Session, age: float, is_awaited: bool):
        dataset = rows.add_indexed(session)
        ended = datetime.now(UTC) - timedelta(seconds=age)
        session.execute(update(Job).values(finished_at=ended))
        session.commit()
        found = previews.find(session, dataset)
        assert found is not None
        assert found["awaited"] is is_awaited
        assert ("being made" if is_awaited else "indexing again makes one") in found["problem"]
        previews.save(session, dataset.id, 1, content())
        assert not previews.is_awaited(session, dataset.id, 1)


class TestApi:
    def test_rows_come_in_pages(self, session: Session, client: httpx.Client):
        dataset = rows.add_indexed(session)
        previews.save(session, dataset.id, 1, content(30))
        session.commit()
        path = f"/v1/datasets/{dataset.id}/preview"
        whole = client.get(path).json()
        assert (whole["dataset"], whole["generation"], whole["n_rows"], whole["next"]) == (
            dataset.id,
            1,
            30,
            None,
        )
        assert whole["columns"] == [{"name": "<b>a</b>", "type": "int64"}]
        assert whole["sample"] == {"n_records": 12, "n_places": 2, "size_bytes": 99}
        page = client.get(path, params={"offset": 20, "limit": 4}).json()
        assert (page["rows"], page["offset"], page["next"]) == ([[20], [21], [22], [23]], 20, 24)
        assert client.get(path, params={"offset": 40}).json()["rows"] == []
        assert "awaited" not in page

    def test_without_an_index_there_is_none(self, session: Session, client: httpx.Client):
        dataset, _ = rows.add_dataset(session)
        session.commit()
        answer = client.get(f"/v1/datasets/{dataset.id}/preview")
        assert (answer.status_code, answer.json()["code"]) == (409, "not-indexed")

    def test_unknown_datasets_and_wrong_numbers_are_problems(self, session: Session, client: httpx.Client):
        assert client.get("/v1/datasets/d_nothing/preview").status_code == 404
        dataset = rows.add_indexed(session)
        for query in ({"offset": -1}, {"limit": 0}, {"limit": 101}, {"offset": "x"}):
            assert client.get(f"/v1/datasets/{dataset.id}/preview", params=query).status_code == 422

    def test_a_key_is_needed(self, session: Session, anonymous: httpx.Client):
        dataset = rows.add_indexed(session)
        assert anonymous.get(f"/v1/datasets/{dataset.id}/preview").status_code == 401
