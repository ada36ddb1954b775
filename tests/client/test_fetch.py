"""Fetching against a real HTTP server that fails in the ways stores fail."""

from __future__ import annotations

import logging
import threading
import time
import traceback
import tracemalloc
from datetime import timedelta

import pytest

from slicery import crew
from slicery import fetch as fetch_module
from slicery import fetch as fetching
from slicery.errors import (
    DatasetChanged,
    FetchError,
    InvalidTicket,
    ServiceUnavailable,
    ShortBody,
    TicketExpired,
)
from slicery.fetch import Signer, fetch, gather
from slicery.ticket import Part, Ticket

from .conftest import SECRET, Reply, Request, Server, make_ticket

DATA = bytes(range(256)) * 40
EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
DENIED = (
    b"<Error><Code>SignatureDoesNotMatch</Code><Message>The signature is wrong.</Message>"
    b"<SignatureProvided>5ecre7</SignatureProvided></Error>"
)


def read(ticket: Ticket, renew: fetch_module.Renew | None = None) -> bytes:
    return b"".join(fetch(Signer(ticket, renew), 0))


def one_part(server: Server, start: int = 100, stop: int = 5000, **changes: object) -> Ticket:
    server.put("/o", DATA)
    return make_ticket([server.signed("/o", start, stop)], count=1, **changes)


def whole_story(exc: BaseException) -> str:
    """What a log would hold: the traceback with every cause and context, suppressed ones too."""
    story = []
    while exc is not None:
        story += [repr(exc), str(exc), *traceback.format_exception(exc)]
        exc = exc.__cause__ or exc.__context__
    return "\n".join(story)


def test_parts_come_in_their_order_inline_ones_among_them(server: Server) -> None:
    server.put("/o", DATA)
    parts = [
        Part.inline(b"head"),
        *(server.signed("/o", n, n + 7) for n in range(0, 700, 7)),
        Part.inline(b"tail"),
    ]
    assert read(make_ticket(parts, count=1)) == b"head" + DATA[:700] + b"tail"


def test_a_sole_part_is_gathered_without_a_thread(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DATA * 2000  # more than a block
    server.put("/o", data)
    ticket = make_ticket([Part.inline(b"head"), server.signed("/o", 0, len(data)), Part.inline(b"")], count=1)
    server.faults["/o"] = [Reply(503), Reply(206, data, cut=len(data) - 10)]
    monkeypatch.setattr(fetching, "_put_all", None)
    assert gather(Signer(ticket), 0) == b"head" + data
    assert len(server.seen("/o")) == 3


def test_several_parts_are_gathered_each_in_its_place(server: Server) -> None:
    server.put("/o", DATA)
    parts = [server.signed("/o", n, n + 7) for n in range(0, 700, 7)]
    parts[50:50] = [Part.inline(b"middle"), Part.inline(b"")]
    assert gather(Signer(make_ticket(parts, count=1)), 0) == DATA[:350] + b"middle" + DATA[350:700]
    assert gather(Signer(make_ticket([[]], count=0)), 0) == b""


def test_what_cannot_be_gathered_is_told_and_the_rest_is_left(server: Server) -> None:
    server.put("/o", DATA)
    server.faults["/o"] = [Reply(412)] * 100
    with pytest.raises(DatasetChanged):
        gather(Signer(make_ticket([server.signed("/o", n, n + 7) for n in range(0, 700, 7)], count=1)), 0)
    assert len(server.seen("/o")) < 100


def test_a_sole_part_that_has_expired_is_renewed(server: Server) -> None:
    stale = one_part(server)
    server.faults["/o"] = [Reply(403, EXPIRED)]
    assert gather(Signer(stale, lambda: stale), 0) == DATA[100:5000]


def test_an_empty_slice_gives_nothing() -> None:
    assert read(make_ticket([[]], count=0)) == b""


def test_the_headers_of_the_ticket_are_sent_as_they_stand(server: Server) -> None:
    read(one_part(server))
    headers = server.seen("/o")[0].headers
    assert (headers["range"], headers["if-match"]) == ("bytes=100-4999", '"v1"')
    assert "authorization" not in headers
    assert headers["accept-encoding"] == "identity"


def test_stored_content_encoding_is_not_undone(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(206, DATA[100:5000], {"Content-Encoding": "gzip"})]
    assert read(ticket) == DATA[100:5000]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_transient_status_is_tried_again(server: Server, status: int) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(status), Reply(status, headers={"Retry-After": "0"})]
    assert read(ticket) == DATA[100:5000]
    assert len(server.seen("/o")) == 3


def test_a_dropped_connection_is_tried_again(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(drop=True), Reply(drop=True)]
    assert read(ticket) == DATA[100:5000]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_breaks_off_is_asked_for_again_and_not_repeated(server: Server, chunked: bool) -> None:
    data = DATA * 100
    server.put("/o", data)
    ticket = make_ticket([server.signed("/o", 0, len(data))], count=1)
    server.faults["/o"] = [
        Reply(206, data, cut=700_000, chunked=chunked),
        Reply(206, data, cut=10, chunked=chunked),
    ]
    assert read(ticket) == data
    assert {request.headers["range"] for request in server.seen("/o")} == {f"bytes=0-{len(data) - 1}"}


@pytest.mark.parametrize("reply", [Reply(206, DATA[100:4000]), Reply(206, DATA[100:5001])])
def test_a_body_of_the_wrong_length_is_an_error_after_all_tries(server: Server, reply: Reply) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [reply] * 9
    with pytest.raises(ShortBody, match="expected 4900 bytes, found"):
        read(ticket)
    assert len(server.seen("/o")) == 5


def test_too_long_a_chunked_body_is_an_error(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(206, DATA[100:6000], chunked=True)] * 9
    with pytest.raises(ShortBody, match="more than 4900"):
        read(ticket)


def test_an_unreachable_store_is_an_error_after_all_tries(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(503)] * 9
    with pytest.raises(FetchError, match=r"HTTP 503 \(5 tries\)"):
        read(ticket)


def test_retry_after_is_obeyed(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(503, headers={"Retry-After": "1"})]
    started = time.monotonic()
    read(ticket)
    assert time.monotonic() - started >= 1


def test_a_changed_object_is_an_error_at_once(server: Server) -> None:
    ticket = one_part(server)
    server.put("/o", DATA, etag='"v2"')
    with pytest.raises(DatasetChanged, match="no longer the version that was indexed"):
        read(ticket)
    assert len(server.seen("/o")) == 1


def test_a_deleted_object_is_an_error_at_once(server: Server) -> None:
    ticket = one_part(server)
    del server.objects["/o"]
    with pytest.raises(DatasetChanged, match="is gone"):
        read(ticket)


def test_a_server_that_ignores_range_is_refused(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(200, DATA)]
    with pytest.raises(FetchError, match="ignores Range"):
        read(ticket)


def test_200_of_the_parts_length_is_refused_unless_the_part_is_the_whole_object(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(200, DATA[:4900])]
    with pytest.raises(FetchError, match="ignores Range"):
        read(ticket)
    server.faults["/o"] = [Reply(200, DATA)]
    assert read(one_part(server, 0, len(DATA))) == DATA


def test_a_part_without_range_takes_200(server: Server) -> None:
    server.put("/o", DATA)
    assert read(make_ticket([Part(f"{server.url}/o", len(DATA))], count=1)) == DATA


def test_another_range_than_asked_for_is_refused(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(206, DATA[:4900], {"Content-Range": f"bytes 0-4899/{len(DATA)}"})]
    with pytest.raises(FetchError, match="store sent bytes 0-4899"):
        read(ticket)


@pytest.mark.parametrize(
    "refusal",
    [Reply(403, EXPIRED), Reply(400, b"<Error><Code>ExpiredToken</Code><Message>token</Message></Error>")],
)
def test_an_expired_url_is_renewed_once(server: Server, refusal: Reply) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [refusal]
    calls = []

    def renew() -> Ticket:
        calls.append(1)
        return make_ticket([server.signed("/o", 100, 5000, signature="fresh")], count=1)

    assert read(ticket, renew) == DATA[100:5000]
    assert [request.query["X-Amz-Signature"] for request in server.seen("/o")] == [SECRET, "fresh"]
    assert len(calls) == 1


def test_parts_that_expire_together_are_renewed_together(server: Server) -> None:
    server.put("/o", DATA)
    parts = [server.signed("/o", n, n + 9) for n in range(0, 900, 9)]
    calls = []

    def expired(request: Request) -> Reply:
        old = request.query["X-Amz-Signature"] == SECRET
        return Reply(403, EXPIRED) if old else server._object(request)

    def renew() -> Ticket:
        calls.append(1)
        return make_ticket(
            [server.signed("/o", n, n + 9, signature="fresh") for n in range(0, 900, 9)], count=1
        )

    server.routes["/o"] = expired
    assert read(make_ticket(parts, count=1), renew) == DATA[:900]
    assert len(calls) == 1


def test_an_expired_url_without_a_service_says_so(server: Server) -> None:
    ticket = one_part(server, lives_for=timedelta(seconds=-1))
    server.faults["/o"] = [Reply(403, b"<Error><Code>AccessDenied</Code></Error>")]
    with pytest.raises(TicketExpired, match="SLICERY_URL and SLICERY_TOKEN"):
        read(ticket)


def test_a_fresh_url_that_is_expired_as_well_is_an_error(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(403, EXPIRED)] * 3
    with pytest.raises(TicketExpired, match="refused as expired as well"):
        read(ticket, lambda: one_part(server))
    assert len(server.seen("/o")) == 2


def test_a_service_that_cannot_renew_is_named(server: Server) -> None:
    def renew() -> Ticket:
        raise ServiceUnavailable("the service is down")

    ticket = one_part(server)
    server.faults["/o"] = [Reply(403, EXPIRED)]
    with pytest.raises(TicketExpired, match="the service is down"):
        read(ticket, renew)


def test_a_ticket_that_is_cut_differently_afresh_is_refused(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(403, EXPIRED)]
    with pytest.raises(FetchError, match="cut differently"):
        read(ticket, lambda: one_part(server, 100, 4999))


def test_a_refusal_that_is_not_expiry_is_an_error_at_once(server: Server) -> None:
    ticket = one_part(server)
    server.faults["/o"] = [Reply(403, DENIED)]
    with pytest.raises(FetchError, match="HTTP 403 SignatureDoesNotMatch The signature is wrong") as caught:
        read(ticket)
    assert not isinstance(caught.value, TicketExpired)
    assert SECRET not in whole_story(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        Reply(drop=True),
        Reply(503),
        Reply(206, DATA[100:5000], cut=9),
        Reply(412),
        Reply(200, DATA),
        Reply(404),
    ],
    ids=["dropped", "503", "short", "412", "200", "404"],
)
def test_no_error_and_no_log_tells_the_signature(
    server: Server, fault: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ticket = one_part(server)
    server.faults["/o"] = [fault] * 9
    with pytest.raises(FetchError) as caught:
        read(ticket)
    assert SECRET not in whole_story(caught.value)
    assert SECRET not in caplog.text
    assert f"{server.url}/o" in str(caught.value)


def test_a_refused_connection_does_not_tell_the_signature(server: Server) -> None:
    ticket = one_part(server)
    server.close()
    with pytest.raises(FetchError) as caught:
        read(ticket)
    assert SECRET not in whole_story(caught.value)
    assert "refused" in str(caught.value)


def test_redirects_are_followed_with_the_same_headers(server: Server) -> None:
    server.put("/o", DATA)
    server.routes["/v1/parts/c"] = lambda _: Reply(
        307, headers={"Location": f"{server.url}/o?X-Amz-Signature=x"}
    )
    stable = Part(f"{server.url}/v1/parts/c", 10, {"Range": "bytes=5-14", "If-Match": '"v1"'})
    assert read(make_ticket([stable], count=1)) == DATA[5:15]


def test_redirects_end(server: Server) -> None:
    server.routes["/loop"] = lambda _: Reply(307, headers={"Location": "/loop"})
    with pytest.raises(FetchError, match="more than 5 redirects"):
        read(make_ticket([Part(f"{server.url}/loop", 1)], count=1))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x"])
def test_a_part_is_http_or_inline(url: str) -> None:
    with pytest.raises(InvalidTicket, match=r"http\(s\) or data"):
        read(make_ticket([Part(url, 1)], count=1))


def test_parts_are_fetched_side_by_side(server: Server) -> None:
    together = threading.Barrier(4, timeout=10)

    def answer(request: Request) -> Reply:
        together.wait()
        return server._object(request)

    server.put("/o", DATA)
    server.routes["/o"] = answer
    parts = [server.signed("/o", n, n + 4) for n in range(0, 16, 4)]
    assert read(make_ticket(parts, count=1)) == DATA[:16]


def test_closing_stops_the_downloads(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(32 << 20)
    server.put("/o", data)
    monkeypatch.setattr(crew, "_crew", crew.Crew())
    monkeypatch.setattr(crew, "IDLE_SECONDS", 0.05)
    before = set(threading.enumerate())
    blocks = fetch(Signer(make_ticket([server.signed("/o", 0, len(data))], count=1)), 0)
    next(blocks)
    blocks.close()
    deadline = time.monotonic() + 20
    while any(each.name == "slicery-part" and each not in before for each in threading.enumerate()):
        assert time.monotonic() < deadline, f"{threading.active_count()} threads, {len(before)} before"
        time.sleep(0.01)


def test_memory_stays_bounded_however_large_the_part(server: Server) -> None:
    data = bytes(96 << 20)
    server.routes["/o"] = lambda _: Reply(206, data)
    blocks = fetch(Signer(make_ticket([server.signed("/o", 0, len(data))], count=1)), 0)
    tracemalloc.start()
    try:
        n_bytes = len(next(blocks))
        time.sleep(0.1)  # the download runs ahead of a slow reader
        n_bytes += sum(map(len, blocks))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_bytes == len(data)
    assert peak < 16 << 20
