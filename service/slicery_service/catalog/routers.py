"""All routers of the catalog."""

from __future__ import annotations

from fastapi import APIRouter

from slicery_service.catalog import (
    assets,
    dataset,
    download,
    jobs,
    keys,
    lab,
    listing,
    live,
    login,
    register,
    sources,
)

ROUTERS: tuple[APIRouter, ...] = (
    listing.router,
    register.router,
    dataset.router,
    lab.router,
    download.router,
    jobs.router,
    sources.router,
    keys.router,
    login.router,
    live.router,
    assets.router,
)
