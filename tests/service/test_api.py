"""The calls on datasets, jobs, keys and the service, over HTTP."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import redis
from fastapi import FastAPI
from sqlalchemy.orm import Session

from slicery_service import db, jobs
from slicery_service.errors import MalformedRecord

from . import rows
from .conftest import bearer, queued, wait_until

FASTQ = b"@read1\nACGT\n+\nIIII\n"

Put = Callable[[str, bytes], str]


class TestDatasets:
    def test_registering_answers_with_the_dataset_and_sends_its_job(
        self, client: httpx.Client, put: Put, broker: redis.Redis
    ):
        uri = put("reads.fastq", FASTQ)
        answer = client.post("/v1/datasets", json={"uri": uri, "tags": ["human"]})
        assert answer.status_code == 201
        body = answer.json()
        assert answer.headers["location"] == f"/v1/datasets/{body['id']}"
        assert (body["uri"], body["format"], body["state"], body["tags"]) == (
            uri,
            "fastq",
            "registered",
            ["human"],
        )
        assert (body["records"], body["index"], body["error"]) == (
            {"unit": "read", "count": None},
            None,
            None,
        )
        assert body["job"]["state"] == "queued"
        assert body["objects"][0]["size_bytes"] == len(FASTQ)
        assert queued(broker) == 1
        assert client.get(answer.headers["location"]).json() == body

    def test_without_a_broker_a_dataset_is_registered_and_its_job_waits(
        self, client: httpx.Client, put: Put, without_broker: None
    ):
        answer = client.post("/v1/datasets", json={"uri": put("reads.fastq", FASTQ)})
        assert (answer.status_code, answer.json()["job"]["state"]) == (201, "queued")

    def test_a_list_of_uris_is_one_dataset(self, client: httpx.Client, put: Put):
        uris = [put("b.fastq", FASTQ), put("a.fastq", FASTQ)]
        body = client.post("/v1/datasets", json={"uri": uris}).json()
        assert (body["uri"], body["uris"], body["n_objects"]) == (uris[0], uris, 2)
        assert [each["uri"] for each in body["objects"]] == uris
        again = client.post("/v1/datasets", json={"uri": uris})
        assert (again.status_code, again.json()["dataset"]) == (409, body["id"])

    @pytest.mark.parametrize("uri", [[], [""], ["s3://b/x", 7], {"s3": 1}, None, "s3://b/" + "x" * 2048])
    def test_what_is_neither_a_uri_nor_a_list_of_them_is_refused(self, client: httpx.Client, uri: object):
        answer = client.post("/v1/datasets", json={"uri": uri})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
        assert answer.json()["errors"][0]["at"].startswith("body.uri")

    def test_registering_twice_names_the_first(self, client: httpx.Client, put: Put, broker: redis.Redis):
        uri = put("reads.fastq", FASTQ)
        first = client.post("/v1/datasets", json={"uri": uri}).json()
        again = client.post("/v1/datasets", json={"uri": uri})
        assert (again.status_code, again.json()["code"]) == (409, "already-registered")
        assert again.json()["dataset"] == first["id"]
        assert queued(broker) == 1

    @pytest.mark.parametrize(
        ("uri", "status", "code"),
        [
            ("s3://elsewhere/x.fastq", 403, "source-not-allowed"),
            ("https://example.org/x.fastq", 422, "invalid-request"),
            ("s3://slicery/service/none.fastq", 424, "object-missing"),
        ],
    )
    def test_a_uri_that_cannot_be_registered_is_a_problem(
        self, client: httpx.Client, uri: str, status: int, code: str
    ):
        answer = client.post("/v1/datasets", json={"uri": uri})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["detail"]

    def test_no_credential_is_in_an_answer(self, client: httpx.Client, put: Put, servers: Any):
        registered = client.post("/v1/datasets", json={"uri": put("reads.fastq", FASTQ)})
        missing = client.post("/v1/datasets", json={"uri": "s3://slicery/service/none"})
        for secret in (servers.s3["secret_key"], servers.s3["access_key"]):
            assert secret not in registered.text + missing.text

    def test_the_list_is_paged(self, client: httpx.Client, session: Session):
        for number in range(5):
            rows.add_dataset(session, name=str(number))
        seen, cursor = [], ""
        for _ in range(3):
            page = client.get(
                "/v1/datasets", params={"limit": 2, "cursor": cursor} if cursor else {"limit": 2}
            ).json()
            seen += [each["name"] for each in page["datasets"]]
            cursor = page["next"]
        assert (seen, cursor) == (["4", "3", "2", "1", "0"], None)

    def test_the_list_is_filtered(self, client: httpx.Client, session: Session):
        rows.add_dataset(session, name="one", tags=["a"])
        rows.add_indexed(session, name="two", tags=["a", "b"])
        for query in ({"q": "TWO"}, {"state": "indexed"}, {"tag": ["a", "b"]}):
            assert [each["name"] for each in client.get("/v1/datasets", params=query).json()["datasets"]] == [
                "two"
            ]
        assert client.get("/v1/datasets", params={"format": "none"}).json() == {"datasets": [], "next": None}

    def test_name_and_tags_can_be_changed(self, client: httpx.Client, session: Session):
        dataset, _ = rows.add_dataset(session, tags=["a"])
        path = f"/v1/datasets/{dataset.id}"
        assert client.patch(path, json={"name": " new "}).json()["name"] == "new"
        assert client.patch(path, json={"tags": ["b", "b"]}).json()["tags"] == ["b"]
        body = client.get(path).json()
        assert (body["name"], body["tags"]) == ("new", ["b"])
        assert client.patch(path, json={"uri": "s3://x/y"}).status_code == 422
        assert client.patch(path, json={"name": ""}).status_code == 422

    def test_a_deleted_dataset_is_gone_with_its_jobs(self, client: httpx.Client, session: Session):
        dataset, job = rows.add_dataset(session)
        answer = client.delete(f"/v1/datasets/{dataset.id}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert client.get(f"/v1/datasets/{dataset.id}").status_code == 404
        assert client.get(f"/v1/jobs/{job.id}").status_code == 404
        assert client.delete(f"/v1/datasets/{dataset.id}").status_code == 404

    def test_indexing_again_answers_with_the_new_job(
        self, client: httpx.Client, put: Put, broker: redis.Redis
    ):
        registered = client.post("/v1/datasets", json={"uri": put("reads.fastq", FASTQ)}).json()
        path = f"/v1/datasets/{registered['id']}/index"
        running = client.post(path)
        assert (running.status_code, running.json()["code"]) == (409, "already-running")
        assert running.json()["job"] == registered["job"]["id"]
        client.delete(f"/v1/jobs/{registered['job']['id']}")
        answer = client.post(path)
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        assert answer.json()["generation"] == 2
        assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
        assert queued(broker) == 2


class TestJobs:
    def test_a_job_shows_its_progress(self, client: httpx.Client, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, rows.NOW)
        jobs.progress(session, job.id, 250, heartbeat=rows.at(1))
        session.commit()
        body = client.get(f"/v1/jobs/{job.id}").json()
        assert (body["state"], body["bytes_done"], body["bytes_total"]) == ("running", 250, rows.SIZE_BYTES)
        assert (body["started_at"], body["heartbeat_at"]) == ("2030-01-01T12:00:00Z", "2030-01-01T12:00:01Z")
        assert body["error"] is None

    def test_a_failed_job_shows_its_problem_whole(self, client: httpx.Client, session: Session):
        dataset, job = rows.add_dataset(session)
        problem = MalformedRecord("expected '@', found 'x'", hint="Is it FASTQ?", object="run/0.fastq", at=7)
        jobs.fail(session, job.id, problem)
        session.commit()
        assert client.get(f"/v1/jobs/{job.id}").json()["error"].items() >= problem.to_json().items()
        assert client.get(f"/v1/datasets/{dataset.id}").json()["error"]["at"] == 7

    def test_a_running_job_can_be_cancelled_once(self, client: httpx.Client, session: Session):
        dataset, job = rows.add_dataset(session)
        jobs.claim(session, job.id, rows.NOW)
        session.commit()
        assert client.delete(f"/v1/jobs/{job.id}").json()["state"] == "cancelled"
        again = client.delete(f"/v1/jobs/{job.id}")
        assert (again.status_code, again.json()["code"]) == (409, "not-cancellable")
        assert client.get(f"/v1/datasets/{dataset.id}").json()["error"]["code"] == "cancelled"

    def test_jobs_are_listed_by_state_and_dataset(self, client: httpx.Client, session: Session):
        dataset = rows.add_indexed(session)
        second = rows.add_job(session, dataset.id)
        rows.add_dataset(session)
        found = client.get("/v1/jobs", params={"dataset": dataset.id}).json()["jobs"]
        assert [each["state"] for each in found] == ["queued", "succeeded"]
        found = client.get("/v1/jobs", params={"dataset": dataset.id, "state": "queued"}).json()["jobs"]
        assert [each["id"] for each in found] == [second.id]
        page = client.get("/v1/jobs", params={"limit": 2}).json()
        assert len(client.get("/v1/jobs", params={"cursor": page["next"]}).json()["jobs"]) == 1

    def test_a_job_that_does_not_exist_is_not_found(self, client: httpx.Client):
        assert client.get("/v1/jobs/j_none").json()["code"] == "not-found"
        assert client.delete("/v1/jobs/j_none").status_code == 404


class TestEvents:
    def test_changes_of_a_job_arrive_until_it_ends(self, client: httpx.Client, session: Session):
        dataset, job = rows.add_dataset(session)
        seen = []
        with client.stream("GET", f"/v1/datasets/{dataset.id}/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for event in events(answer):
                seen.append((event["state"], event["bytes_done"]))
                self.go_on(session, job.id, len(seen))
        assert seen == [("queued", 0), ("running", 0), ("running", 400), ("succeeded", rows.SIZE_BYTES)]

    def go_on(self, session: Session, job_id: str, step: int) -> None:
        if step == 1:
            jobs.claim(session, job_id, rows.NOW)
        elif step == 2:
            jobs.progress(session, job_id, 400, heartbeat=rows.NOW)
        elif step == 3:
            rows.finish(session, jobs.get(session, job_id))
        session.commit()

    def test_a_job_that_has_ended_is_told_at_once(self, client: httpx.Client, session: Session):
        dataset = rows.add_indexed(session)
        answer = client.get(f"/v1/datasets/{dataset.id}/events")
        assert answer.text.startswith("retry: 2000\n\nevent: job\ndata: {")
        assert answer.text.count("event: job") == 1

    def test_the_stream_ends_when_the_dataset_is_deleted(self, client: httpx.Client, session: Session):
        dataset, _ = rows.add_dataset(session)
        with client.stream("GET", f"/v1/datasets/{dataset.id}/events") as answer:
            for _ in events(answer):
                client.delete(f"/v1/datasets/{dataset.id}")

    def test_a_dataset_that_does_not_exist_has_no_events(self, client: httpx.Client):
        answer = client.get("/v1/datasets/d_none/events")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")

    def test_a_quiet_stream_is_kept_open_by_comments(
        self, client: httpx.Client, session: Session, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("slicery_service.api.events.HEARTBEAT_SECONDS", 0.5)
        dataset, _ = rows.add_dataset(session)
        with client.stream("GET", f"/v1/datasets/{dataset.id}/events", timeout=10) as answer:
            assert any(line.startswith(":") for line in answer.iter_lines())

    def test_many_watchers_leave_the_service_free_to_answer(
        self, client: httpx.Client, base_url: str, new_key: Callable[..., str], session: Session
    ):
        dataset, job = rows.add_dataset(session)
        headers = bearer(new_key("read"))

        def watch() -> None:
            httpx.get(
                f"{base_url}/v1/datasets/{dataset.id}/events", headers=headers, timeout=30, trust_env=False
            )

        watchers = [threading.Thread(target=watch) for _ in range(60)]
        for watcher in watchers:
            watcher.start()
        time.sleep(1)
        started = time.monotonic()
        assert client.get("/v1/datasets").status_code == 200
        assert time.monotonic() - started < 5
        with db.transaction() as own:
            jobs.cancel(own, job.id)
        for watcher in watchers:
            watcher.join()


class TestKeys:
    def test_a_key_is_made_used_and_revoked(self, admin: httpx.Client, anonymous: httpx.Client):
        made = admin.post("/v1/keys", json={"name": "lab", "scopes": ["read"], "expires_in": 60})
        assert made.status_code == 201
        body = made.json()
        assert body["expires_at"] is not None
        headers = bearer(body["key"])
        assert anonymous.get("/v1/datasets", headers=headers).status_code == 200
        listed = admin.get("/v1/keys").json()["keys"]
        assert [each["name"] for each in listed] == ["lab", "test"]
        assert body["key"] not in json.dumps(listed)
        assert listed[0]["last_used_at"] is not None
        assert admin.delete(f"/v1/keys/{body['id']}").json()["revoked_at"] is not None
        assert anonymous.get("/v1/datasets", headers=headers).status_code == 401

    @pytest.mark.parametrize(
        "body", [{"name": "x", "scopes": []}, {"name": "x", "scopes": ["root"]}, {"scopes": ["read"]}]
    )
    def test_a_key_that_makes_no_sense_is_refused(self, admin: httpx.Client, body: dict[str, object]):
        assert admin.post("/v1/keys", json=body).status_code == 422

    def test_a_key_that_does_not_exist_is_not_found(self, admin: httpx.Client):
        assert admin.delete("/v1/keys/k_none").status_code == 404


class TestService:
    def test_a_live_process_says_so(
        self, anonymous: httpx.Client, without_database: None, without_broker: None
    ):
        assert anonymous.get("/healthz").json() == {"status": "ok"}

    def test_a_service_with_its_servers_is_ready(self, anonymous: httpx.Client):
        answer = anonymous.get("/readyz")
        assert (answer.status_code, answer.json()) == (
            200,
            {"status": "ready", "database": "ok", "broker": "ok"},
        )

    def test_a_service_without_its_broker_is_not_ready(self, anonymous: httpx.Client, without_broker: None):
        answer = anonymous.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not-ready")
        assert answer.json()["missing"] == ["broker"]
        assert "SLICERY_REDIS_URL" in answer.json()["hint"]

    def test_a_service_without_both_names_both(
        self, anonymous: httpx.Client, without_broker: None, without_database: None
    ):
        assert anonymous.get("/readyz").json()["missing"] == ["database", "broker"]

    def test_service_info_tells_what_runs(self, client: httpx.Client, app: FastAPI):
        body = client.get("/v1/service-info").json()
        assert (body["name"], body["version"], body["api_version"]) == ("slicery", app.version, "v1")
        assert body["formats"] >= 2
        assert body["started_at"].endswith("Z")

    def test_metrics_count_requests_by_route_and_rows_by_state(self, client: httpx.Client, session: Session):
        dataset = rows.add_indexed(session)
        client.get(f"/v1/datasets/{dataset.id}")
        counted = 'slicery_requests_total{method="GET",route="/v1/datasets/{dataset_id}",status="200"}'
        wait_until(lambda: counted in client.get("/metrics").text)
        text = client.get("/metrics").text
        assert 'slicery_datasets{state="indexed"} 1.0' in text
        assert 'slicery_jobs{state="succeeded"} 1.0' in text
        assert 'slicery_jobs{state="failed"} 0.0' in text
        bucket = '{le="0.1",method="GET",route="/v1/datasets/{dataset_id}"}'
        assert f"slicery_request_seconds_bucket{bucket}" in text
        assert dataset.id not in text


class TestDocs:
    def test_the_openapi_document_describes_every_answer(self, client: httpx.Client):
        spec = client.get("/openapi.json").json()
        assert spec["openapi"].startswith("3.1")
        for path, methods in spec["paths"].items():
            for method, call in methods.items():
                where = f"{method} {path}"
                assert {"operationId", "summary", "description"} <= set(call), where
                if call.get("security") != []:
                    assert {"401", "403", "422", "500", "503"} <= set(call["responses"]), where
                for status, answer in call["responses"].items():
                    kinds = set(answer.get("content", {}))
                    assert status == "204" or kinds, f"{where} {status}"
                    assert (kinds == {"application/problem+json"}) == (int(status) >= 400), (
                        f"{where} {status}"
                    )

    def test_operation_ids_are_told_apart(self, app: FastAPI):
        ids = [
            call["operationId"] for methods in app.openapi()["paths"].values() for call in methods.values()
        ]
        assert len(ids) == len(set(ids))

    def test_every_reference_in_the_document_leads_somewhere(self, app: FastAPI):
        spec = app.openapi()
        referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(spec)))
        assert referred <= set(spec["components"]["schemas"])
        assert "HTTPValidationError" not in json.dumps(spec["paths"])

    def test_the_page_shows_every_call_without_any_script(self, client: httpx.Client, app: FastAPI):
        answer = client.get("/docs")
        assert answer.headers["content-type"].startswith("text/html")
        assert "script" not in answer.text.lower().replace("description", "")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        for methods in app.openapi()["paths"].values():
            for call in methods.values():
                assert f'id="{call["operationId"]}"' in answer.text
        assert "curl -X POST -H &quot;Authorization: Bearer $SLICERY_KEY&quot; --json" in answer.text
        assert "/v1/datasets/$DATASET_ID/events" in answer.text
        assert "http://" not in re.sub(r"http://127\.0\.0\.1:\d+/", "", answer.text)


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """Read the data of a stream's events as they come."""
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
