"""The queue, on a real broker."""

from __future__ import annotations

import base64
import json
import logging
import socket
import time

import pytest
import redis

from slicery_service import queue
from slicery_service.config import get_settings
from slicery_service.errors import QueueUnavailable


def test_a_task_is_sent_by_name_with_its_arguments(broker: redis.Redis):
    queue.enqueue(queue.INDEX_UNITS, "j_1", 7)
    message = json.loads(broker.lpop(queue.QUEUE))
    assert message["headers"]["task"] == "slicery.index_units"
    assert json.loads(base64.b64decode(message["body"]))[0] == ["j_1", 7]


def test_a_job_is_sent_to_be_indexed(broker: redis.Redis):
    assert queue.send_job("j_1")
    assert json.loads(broker.lpop(queue.QUEUE))["headers"]["task"] == "slicery.index_dataset"


def test_a_dead_broker_is_a_problem_at_once(without_broker: None):
    started = time.monotonic()
    with pytest.raises(QueueUnavailable, match="does not answer"):
        queue.enqueue(queue.INDEX_DATASET, "j_1")
    with pytest.raises(QueueUnavailable):
        queue.check()
    assert time.monotonic() - started < 2


def test_a_broker_that_hangs_is_a_problem_within_two_seconds(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("SLICERY_REDIS_URL", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        get_settings.cache_clear()
        for call in (queue.check, lambda: queue.enqueue(queue.INDEX_DATASET, "j_1")):
            started = time.monotonic()
            with pytest.raises(QueueUnavailable):
                call()
            assert time.monotonic() - started < 2


def test_a_job_that_cannot_be_sent_is_left_to_the_sweeper(
    without_broker: None, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        assert not queue.send_job("j_1")
    assert "job j_1 stays queued" in caplog.text


def test_an_answering_broker_passes_the_check():
    queue.check()
