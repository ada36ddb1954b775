"""Wait for what workers make of a dataset once it is indexed."""

from __future__ import annotations

import time

from slicery import Dataset


def with_preview(dataset: Dataset) -> Dataset:
    """Return an indexed dataset once its preview is there, or will not be."""
    for _ in range(200):
        if "being made" not in (dataset.preview()["problem"] or ""):
            break
        time.sleep(0.02)
    return dataset
