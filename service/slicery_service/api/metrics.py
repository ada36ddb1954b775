"""Metrics in Prometheus' text format: requests and their latency, datasets and jobs by state.

With several processes (`serve --workers N`) the counters are shared through files in the folder that
PROMETHEUS_MULTIPROC_DIR names, so that a scrape sees all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from slicery_service.db import transaction
from slicery_service.views import count_states

MEDIA_TYPE = CONTENT_TYPE_LATEST
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
METHODS = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"}


class Metrics:
    """The counters of one app."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series each, never drawn
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "slicery_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "slicery_request_seconds",
            "Seconds from a request's arrival to the end of its answer",
            ["method", "route"],
            buckets=BUCKETS_SECONDS,
            registry=self._registry,
        )

    def count(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Record one request; `route` is the template of its path, so that labels stay few."""
        known = method if method in METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._latency.labels(known, route).observe(seconds)

    def to_text(self) -> bytes:
        """Write all metrics as they are now; asks the database for the states."""
        own = self._registry
        if os.environ.get(MULTIPROCESS_VARIABLE):
            own = CollectorRegistry()
            MultiProcessCollector(own)  # type: ignore[no-untyped-call]
        states = CollectorRegistry()
        states.register(_States())
        return generate_latest(own) + generate_latest(states)


class _States(Collector):
    def collect(self) -> Iterable[GaugeMetricFamily]:
        with transaction() as session:
            counted = count_states(session)
        for what, by_state in counted.items():
            family = GaugeMetricFamily(f"slicery_{what}s", f"Number of {what}s by state", labels=["state"])
            for state, count in by_state.items():
                family.add_metric([state], count)
            yield family
