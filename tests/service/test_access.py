"""The line that the log gets for each request, and the headers that each answer has."""

from __future__ import annotations

import json
import logging

import httpx
import pytest

from slicery_service.logs import JsonLines

from .conftest import wait_until

LOGGER = "slicery_service.api.access"


def one_record(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """The only record of the log; it is written when the answer is on its way already."""

    def records() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.name == LOGGER]

    wait_until(lambda: bool(records()))
    (record,) = records()
    return record


def test_a_request_is_one_line_without_its_query(client: httpx.Client, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, LOGGER):
        answer = client.get("/v1/datasets", params={"q": "X-Amz-Signature=secret"})
        line = json.loads(JsonLines().format(one_record(caplog)))
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/datasets", 200)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert str(line["key_id"]).startswith("k_")
    assert float(str(line["ms"])) > 0
    assert "secret" not in json.dumps(line)
    assert "sk_" not in json.dumps(line)


def test_a_path_cannot_forge_a_line(anonymous: httpx.Client, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, LOGGER):
        anonymous.get("/v1/%0Aforged")
        record = one_record(caplog)
    assert "\n" not in record.getMessage()
    assert "\n" not in JsonLines().format(record)


@pytest.mark.parametrize("sent", ["with space", "x" * 65, "new\tline"])
def test_a_request_id_that_is_not_fit_for_a_log_is_replaced(anonymous: httpx.Client, sent: str):
    received = anonymous.get("/healthz", headers={"X-Request-Id": sent}).headers["x-request-id"]
    assert received != sent
    assert len(received) == 16


def test_answers_are_neither_kept_nor_guessed_at(client: httpx.Client):
    headers = client.get("/v1/datasets").headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_a_line_of_the_log_is_one_json_object_with_its_trace():
    try:
        raise ValueError("first\nsecond")
    except ValueError as exc:
        record = logging.LogRecord("a", logging.ERROR, "f.py", 1, "it %s", ("broke",), (type(exc), exc, None))
    text = JsonLines().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"]) == ("error", "a", "it broke")
    assert line["trace"].endswith("ValueError: first\nsecond")
