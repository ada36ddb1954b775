"""Partitions as sequences, page by page and streamed."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import pytest

from slicery import Client, Conflict, NotFound, Partition, ServiceUnavailable, Slice

from .conftest import Reply, Server, problem_reply
from .service import TOKEN, Service


@pytest.fixture
def service(server: Server) -> Service:
    return Service(server, page_limit=7)


@pytest.fixture
def partition(service: Service) -> Partition:
    return Client(service.server.url, TOKEN).dataset("d_1").partition("count", n=25)


def pages(server: Server) -> list[int]:
    return [int(request.query["from"]) for request in server.seen("/v1/partitions/p_1/slices")]


def test_the_request_is_what_the_api_asks_for(service: Service) -> None:
    dataset = Client(service.server.url, TOKEN).dataset("d_1")
    dataset.partition({"name": "count"}, n=3, selection={"region": "chr1"}, expires_in=60, grant="object")
    (request,) = service.server.seen("/v1/datasets/d_1/partitions")
    assert request.body == {
        "strategy": {"name": "count", "n": 3},
        "selection": {"region": "chr1"},
        "expires_in": 60,
        "grant": "object",
    }
    assert request.query == {"form": "compact"}


def test_a_partition_describes_itself(partition: Partition) -> None:
    assert (partition.id, partition.dataset, partition.generation) == ("p_1", "d_1", 1)
    assert (len(partition), partition.n_records, partition.unit) == (25, 50, "read")
    assert (partition.strategy, partition.selection) == ({"name": "count", "n": 25}, None)
    assert repr(partition) == "<Partition p_1: 25 slices of d_1>"
    assert not {"slices", "sources", "head", "next"} & set(partition.to_json())


class TestSequence:
    def test_it_is_a_sequence(self, partition: Partition) -> None:
        assert isinstance(partition, Sequence)
        assert [item.index for item in partition] == list(range(25))
        assert partition[17].index == 17
        assert partition[-1].index == 24
        assert [item.index for item in partition[2:5]] == [2, 3, 4]
        assert [item.index for item in partition[::-8]] == [24, 16, 8, 0]
        assert partition[3] in partition
        for beyond in (25, -26):
            with pytest.raises(IndexError, match=f"slice {beyond} of 25"):
                partition[beyond]

    def test_every_record_comes_once(self, partition: Partition) -> None:
        names = [record.name for item in partition for record in item.records()]
        assert names == [f"r{n}" for n in range(50)]

    def test_the_first_page_needs_no_further_request(self, partition: Partition, server: Server) -> None:
        assert [partition[n].index for n in range(10)] == list(range(10))
        assert pages(server) == []

    def test_pages_are_fetched_once_and_as_needed(self, partition: Partition, server: Server) -> None:
        assert [partition[n].index for n in range(25)] == list(range(25))
        assert pages(server) == [0, 10, 14, 21]

    def test_a_smaller_page_than_asked_for_is_fine(self, service: Service, partition: Partition) -> None:
        service.page_limit = 3
        assert [item.index for item in partition] == list(range(25))
        assert partition[20].index == 20

    def test_a_slice_that_the_service_does_not_send_is_an_error(
        self, service: Service, partition: Partition
    ) -> None:
        service.page_limit = 0
        with pytest.raises(NotFound, match="no slice 20"):
            partition[20]

    def test_pages_are_asked_for_on_the_partitions_terms(self, service: Service) -> None:
        dataset = Client(service.server.url, TOKEN).dataset("d_1")
        made = dataset.partition("count", n=25, expires_in=90, grant="object")
        for wanted in (made, pickle.loads(pickle.dumps(made))):
            service.server.requests.clear()
            assert wanted[20].index == 20
            for request in service.server.requests:
                del request.query["from"]
                assert request.query == {"form": "compact", "expires_in": "90", "grant": "object"}

    def test_by_id_it_comes_without_tickets(self, service: Service) -> None:
        partition = Client(service.server.url, TOKEN).partition("p_1")
        assert service.server.requests[0].query == {"limit": "0"}
        assert len(partition) == 25
        assert partition[24].index == 24


def test_references_need_no_request(partition: Partition, server: Server) -> None:
    server.requests.clear()
    refs = partition.refs()
    assert refs[3] == Slice("p_1", 3)
    assert len(refs) == 25
    assert server.requests == []
    assert [record.name for record in refs[3].records()] == ["r6", "r7"]


class TestStream:
    def test_it_gives_all_slices(self, partition: Partition) -> None:
        found = list(partition.stream())
        assert [item.index for item in found] == list(range(25))
        assert [record.name for record in found[24].records()] == ["r48", "r49"]

    @pytest.mark.parametrize("cut", [None, 900, 4000])
    def test_without_its_end_line_it_is_an_error(
        self, service: Service, partition: Partition, cut: int | None
    ) -> None:
        broken = Reply(200, service.lines(broken=True), chunked=cut is not None, cut=cut)
        service.server.faults["/v1/partitions/p_1/slices"] = [broken]
        with pytest.raises(ServiceUnavailable, match=r"broke off|not a Slicery|other than"):
            list(partition.stream())

    def test_an_end_line_that_counts_differently_is_an_error(
        self, service: Service, partition: Partition
    ) -> None:
        lines = service.lines().splitlines(keepends=True)
        service.server.faults["/v1/partitions/p_1/slices"] = [Reply(200, b"".join(lines[:5] + lines[6:]))]
        with pytest.raises(ServiceUnavailable, match="broke off after 24 slices"):
            list(partition.stream())

    def test_an_error_line_is_raised(self, service: Service, partition: Partition) -> None:
        lines = service.lines().splitlines(keepends=True)[:3]
        error = b'{"error": {"status": 409, "code": "object-changed", "detail": "it changed"}}\n'
        service.server.faults["/v1/partitions/p_1/slices"] = [Reply(200, b"".join([*lines, error]))]
        with pytest.raises(Conflict, match="it changed"):
            list(partition.stream())

    def test_a_problem_in_its_place_is_raised(self, service: Service, partition: Partition) -> None:
        service.server.faults["/v1/partitions/p_1/slices"] = [problem_reply(410, "gone", "re-indexed")]
        with pytest.raises(NotFound, match="re-indexed"):
            list(partition.stream())
