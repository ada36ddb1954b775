"""The client and its datasets, against the contract of the REST API."""

from __future__ import annotations

import pickle

import pytest

from slicery import (
    Client,
    ConfigurationError,
    Conflict,
    Dataset,
    Forbidden,
    IndexingFailed,
    NotFound,
    ServiceError,
    ServiceUnavailable,
    Unauthorized,
)

from .conftest import Reply, Request, Server, json_reply, problem_reply
from .service import DATASET, TOKEN, Service


@pytest.fixture
def service(server: Server) -> Service:
    return Service(server)


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service.server.url, TOKEN)


def in_states(service: Service, *bodies: dict[str, object]) -> None:
    """Have the dataset be in these states, one after another; who asks for its job finds that further on."""
    left = list(bodies)

    def go_on() -> None:
        if len(left) > 1:
            left.pop(0)

    def dataset(_: Request) -> Reply:
        now = left[0]
        if not now.get("job"):
            go_on()
        return json_reply({**DATASET, **now})

    def its_job(_: Request) -> Reply:
        go_on()
        return json_reply(left[0]["job"])

    service.server.routes["/v1/datasets/d_1"] = dataset
    service.server.routes["/v1/jobs/j_1"] = its_job


def job(state: str, done: int = 0, **more: object) -> dict[str, object]:
    return {"id": "j_1", "state": state, "bytes_done": done, "bytes_total": 100, "error": None, **more}


class TestRegister:
    def test_the_request_is_what_the_api_asks_for(self, client: Client, server: Server) -> None:
        dataset = client.register(
            "s3://bucket/run7.fastq.gz", name="x", format="fastq", tags=["a"], options={"k": 1}
        )
        assert isinstance(dataset, Dataset)
        (request,) = server.requests
        assert request.method == "POST"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"].startswith("slicery/0.")
        assert request.body == {
            "uri": "s3://bucket/run7.fastq.gz",
            "name": "x",
            "format": "fastq",
            "tags": ["a"],
            "options": {"k": 1},
        }

    def test_what_is_not_given_is_not_sent(self, client: Client, server: Server) -> None:
        client.register("s3://bucket/x")
        assert server.requests[0].body == {"uri": "s3://bucket/x"}

    def test_several_uris_are_sent_as_a_list(self, client: Client, server: Server) -> None:
        uris = ["s3://bucket/x_1", "s3://bucket/x_2"]
        service_says = {**DATASET, "uri": uris[0], "uris": uris}
        server.routes["/v1/datasets"] = lambda _: json_reply(service_says, 201)
        dataset = client.register(tuple(uris))
        assert server.requests[0].body == {"uri": uris}
        assert (dataset.uri, dataset.uris) == (uris[0], uris)

    def test_one_that_exists_is_a_conflict_or_taken(self, client: Client, server: Server) -> None:
        conflict = problem_reply(409, "already-registered", "it exists", hint="Use it.", dataset="d_1")
        server.faults["/v1/datasets"] = [conflict, conflict]
        with pytest.raises(Conflict, match=r"it exists\. Use it\.") as caught:
            client.register("s3://bucket/x")
        assert (caught.value.status, caught.value.code, caught.value.hint) == (
            409,
            "already-registered",
            "Use it.",
        )
        assert client.register("s3://bucket/x", exist_ok=True).id == "d_1"

    def test_another_conflict_is_not_taken_for_it(self, client: Client, server: Server) -> None:
        server.faults["/v1/datasets"] = [problem_reply(409, "other", "something else")]
        with pytest.raises(Conflict, match="something else"):
            client.register("s3://bucket/x", exist_ok=True)

    def test_it_is_not_sent_twice_when_the_answer_was_lost(self, client: Client, server: Server) -> None:
        server.faults["/v1/datasets"] = [Reply(drop=True)]
        with pytest.raises(ServiceUnavailable):
            client.register("s3://bucket/x")
        assert len(server.seen("/v1/datasets")) == 1

    def test_it_is_sent_again_when_it_was_turned_away(self, client: Client, server: Server) -> None:
        server.faults["/v1/datasets"] = [Reply(429, headers={"Retry-After": "0"}), Reply(503)]
        assert client.register("s3://bucket/x").id == "d_1"


class TestCatalog:
    def test_datasets_come_from_all_pages(self, client: Client, server: Server) -> None:
        found = [dataset.id for dataset in client.datasets(q="run", state="indexed")]
        assert found == [f"d_{n}" for n in range(1, 7)]
        queries = [request.query for request in server.requests]
        assert queries[0] == {"q": "run", "state": "indexed"}
        assert queries[2] == {"q": "run", "state": "indexed", "cursor": "2"}

    def test_a_dataset_is_found_by_id_and_by_name(self, client: Client) -> None:
        assert client.dataset("d_1").name == "run7"
        assert client.dataset("run9").id == "d_3"

    def test_a_name_may_look_like_an_id(self, client: Client) -> None:
        with pytest.raises(NotFound, match="'d_unknown'"):
            client.dataset("d_unknown")

    def test_a_name_that_is_not_unique_is_a_conflict(self, client: Client, server: Server) -> None:
        twins = [{**DATASET, "id": "d_1"}, {**DATASET, "id": "d_2"}]
        server.routes["/v1/datasets"] = lambda _: json_reply({"datasets": twins, "next": None})
        with pytest.raises(Conflict, match="d_1, d_2"):
            client.dataset("run7")

    def test_a_dataset_describes_itself(self, client: Client) -> None:
        dataset = client.dataset("d_1")
        assert (dataset.uri, dataset.format, dataset.compression) == (
            "s3://bucket/run7.fastq.gz",
            "fastq",
            "gzip",
        )
        assert (dataset.state, dataset.generation, dataset.size_bytes) == ("indexed", 1, 1234)
        assert (dataset.unit, dataset.n_records, dataset.error) == ("read", 50, None)
        assert dataset.summary == {}
        assert repr(dataset) == "<Dataset d_1 'run7': fastq, indexed>"
        assert pickle.loads(pickle.dumps(dataset)).to_json() == dataset.to_json()

    def test_delete_and_reindex(self, client: Client, server: Server) -> None:
        dataset = client.dataset("d_1")
        server.routes["/v1/datasets/d_1/index"] = lambda _: json_reply(job("queued"), 202)
        assert dataset.reindex() is dataset
        server.faults["/v1/datasets/d_1"] = [Reply(204)]
        dataset.delete()
        assert [request.method for request in server.requests[1:]] == ["POST", "GET", "DELETE"]

    def test_formats(self, client: Client, server: Server) -> None:
        server.routes["/v1/formats"] = lambda _: json_reply({"formats": []})
        assert client.formats() == {"formats": []}


class TestWait:
    def test_it_waits_and_tells_the_progress(self, client: Client, service: Service) -> None:
        in_states(
            service,
            {"state": "registered", "job": None},
            {"state": "indexing", "job": job("queued")},
            {"state": "indexing", "job": job("running", 50)},
            {"state": "indexed", "job": job("succeeded", 100)},
        )
        seen: list[tuple[int, int]] = []
        dataset = client.dataset("d_1")
        assert dataset.wait(timeout=10, progress=lambda done, total: seen.append((done, total))) is dataset
        assert seen == [(0, 100), (50, 100), (100, 100)]

    def test_while_a_job_is_at_work_it_alone_is_asked_for(self, client: Client, service: Service) -> None:
        states = [("queued", 0), ("running", 10), ("running", 20), ("running", 30)]
        at_work = [{"state": "indexing", "job": job(*state)} for state in states]
        in_states(service, *at_work, {"state": "indexed", "job": job("succeeded", 100)})
        seen: list[int] = []
        dataset = client.dataset("d_1")
        service.server.requests.clear()
        dataset.wait(timeout=10, progress=lambda done, _: seen.append(done))
        assert seen == [10, 20, 30, 100]
        asked = [request.path for request in service.server.requests]
        assert asked == [*["/v1/jobs/j_1"] * 4, "/v1/datasets/d_1"]

    def test_a_dataset_deleted_while_it_is_waited_for_is_missing(
        self, client: Client, service: Service
    ) -> None:
        in_states(service, {"state": "indexing", "job": job("running")})
        dataset, routes = client.dataset("d_1"), service.server.routes
        gone = problem_reply(404, "not-found", "there is no dataset d_1")

        def job_and_dataset_are_gone(_: Request) -> Reply:
            routes["/v1/datasets/d_1"] = lambda _: gone
            return problem_reply(404, "not-found", "there is no job j_1")

        routes["/v1/jobs/j_1"] = job_and_dataset_are_gone
        with pytest.raises(NotFound, match="no dataset d_1"):
            dataset.wait()

    def test_a_failure_carries_its_problem(self, client: Client, service: Service) -> None:
        problem = {"code": "malformed-record", "detail": "record 7 has no quality", "hint": "Mend it."}
        in_states(service, {"state": "failed", "error": problem, "job": job("failed", error=problem)})
        with pytest.raises(IndexingFailed, match=r"run7: record 7 has no quality\. Mend it\.") as caught:
            client.dataset("d_1").wait()
        assert caught.value.problem == problem
        assert pickle.loads(pickle.dumps(caught.value)).problem == problem

    def test_a_cancelled_job_is_a_failure(self, client: Client, service: Service) -> None:
        in_states(service, {"state": "registered", "job": job("cancelled")})
        with pytest.raises(IndexingFailed, match="j_1 is cancelled"):
            client.dataset("d_1").wait()

    def test_a_reindexing_that_fails_while_waited_for_is_a_failure(
        self, client: Client, service: Service
    ) -> None:
        for states in ([{}, {"job": job("running")}], [{"job": job("queued")}]):
            in_states(service, *states, {"job": job("failed")})
            with pytest.raises(IndexingFailed, match="j_1 is failed"):
                client.dataset("d_1").wait()

    def test_an_old_failure_does_not_matter_while_an_index_serves(
        self, client: Client, service: Service
    ) -> None:
        in_states(service, {"job": job("failed")})
        assert client.dataset("d_1").wait().state == "indexed"

    def test_a_stale_dataset_wants_reindexing(self, client: Client, service: Service) -> None:
        in_states(service, {"state": "stale"})
        with pytest.raises(IndexingFailed, match=r"call reindex\(\)"):
            client.dataset("d_1").wait()

    def test_time_may_be_over(self, client: Client, service: Service) -> None:
        in_states(service, {"state": "indexing", "job": job("running")})
        with pytest.raises(
            TimeoutError, match=r"run7 \(d_1\) was not indexed within 0\.1 s; its job is running"
        ):
            client.dataset("d_1").wait(timeout=0.1)


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (401, Unauthorized),
            (403, Forbidden),
            (404, NotFound),
            (409, Conflict),
            (410, NotFound),
            (422, ServiceError),
        ],
    )
    def test_a_problem_becomes_the_exception_of_its_status(
        self, client: Client, server: Server, status: int, kind: type[ServiceError]
    ) -> None:
        server.routes["/v1/formats"] = lambda _: problem_reply(status, "a-code", "a detail", extra=[1])
        with pytest.raises(kind, match="a detail") as caught:
            client.formats()
        assert (caught.value.status, caught.value.code, caught.value.problem["extra"]) == (
            status,
            "a-code",
            [1],
        )
        assert type(pickle.loads(pickle.dumps(caught.value))) is kind

    def test_a_missing_key_says_what_to_set(self, server: Server, service: Service) -> None:
        with pytest.raises(Unauthorized, match="Set SLICERY_TOKEN"):
            Client(server.url).dataset("d_1")

    @pytest.mark.parametrize(
        "fault", [Reply(drop=True), Reply(500), Reply(502), Reply(503), Reply(504), Reply(429)]
    )
    def test_reading_is_tried_again(self, client: Client, server: Server, fault: Reply) -> None:
        server.faults["/v1/datasets/d_1"] = [fault] * 4
        assert client.dataset("d_1").id == "d_1"

    @pytest.mark.parametrize("fault", [Reply(drop=True), Reply(502, b"<html>bad gateway</html>")])
    def test_a_service_that_does_not_answer_is_unavailable(
        self, client: Client, server: Server, fault: Reply
    ) -> None:
        server.faults["/v1/datasets/d_1"] = [fault] * 5
        with pytest.raises(
            ServiceUnavailable, match=f"{server.url} could not be reached .*check SLICERY_URL"
        ):
            client.dataset("d_1")

    def test_a_service_that_is_not_there_is_unavailable(self, client: Client, server: Server) -> None:
        server.close()
        with pytest.raises(ServiceUnavailable, match="refused"):
            client.register("s3://bucket/x")

    def test_a_queue_that_is_down_is_the_services_own_problem(self, client: Client, server: Server) -> None:
        server.faults["/v1/datasets"] = [problem_reply(503, "queue-unavailable", "the broker is down")] * 5
        with pytest.raises(ServiceError, match="the broker is down"):
            client.register("s3://bucket/x")

    @pytest.mark.parametrize(
        "reply",
        [Reply(200, b"<html>"), Reply(200, b"[]"), Reply(301, headers={"Location": "https://x/?t=1"})],
    )
    def test_something_else_at_the_url_is_said_to_be(
        self, client: Client, server: Server, reply: Reply
    ) -> None:
        server.routes["/v1/formats"] = lambda _: reply
        with pytest.raises(ServiceUnavailable, match=r"Slicery service|redirects to https://x/;"):
            client.formats()

    def test_a_status_without_a_problem_is_told(self, client: Client, server: Server) -> None:
        server.routes["/v1/formats"] = lambda _: Reply(404, b"nothing here")
        with pytest.raises(NotFound, match="without a problem document"):
            client.formats()

    def test_ids_cannot_change_the_path(self, client: Client, server: Server) -> None:
        with pytest.raises(NotFound):
            client.partition("../../etc?x=1")
        assert server.requests[-1].path == "/v1/partitions/..%2F..%2Fetc%3Fx%3D1"


def test_a_client_without_a_service_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="SLICERY_URL and SLICERY_TOKEN"):
        Client()


def test_a_client_shows_its_url_and_no_key(client: Client, server: Server) -> None:
    assert repr(client) == f"Client({server.url!r})"
    assert pickle.loads(pickle.dumps(client)).url == client.url


def test_each_client_uses_its_own_key(server: Server, service: Service) -> None:
    first = Client(server.url, TOKEN).slice("p_1", 0)
    Client(server.url, "another")
    assert first.count == 2
