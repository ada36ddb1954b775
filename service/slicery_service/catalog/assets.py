"""Static files under a path that names their content, so that browsers may keep them for ever."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from fastapi import APIRouter
from starlette.responses import Response

from slicery_service.errors import NotFound

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


class Asset(NamedTuple):
    """A file's content and type."""

    content: bytes
    media_type: str


@router.get("/favicon.ico")
def icon() -> Response:
    """Return the mark to browsers that ask for it without being told."""
    return asset("", "mark.svg")


@router.get("/assets/{digest}/{name}")
def asset(digest: str, name: str) -> Response:
    """Return a static file; it may be kept when the path names the content that there is."""
    found = _assets().get(name)
    if found is None:
        raise NotFound(f"there is no asset {name[:40]!r}")
    caching = FOR_EVER if digest == folder_digest() else "no-store"
    headers = {"Cache-Control": caching, "Cross-Origin-Resource-Policy": "same-origin"}
    return Response(found.content, media_type=found.media_type, headers=headers)


def url_of(name: str) -> str:
    """Return the path of a static file."""
    if name not in _assets():
        raise KeyError(name)
    return f"/assets/{folder_digest()}/{name}"


@lru_cache(maxsize=1)
def folder_digest() -> str:
    """Return a digest of all files: they refer to each other, so they change together."""
    digest = hashlib.sha256()
    for name, each in sorted(_assets().items()):
        digest.update(name.encode() + b"\0" + each.content + b"\0")
    return digest.hexdigest()[:16]


@lru_cache(maxsize=1)
def _assets() -> dict[str, Asset]:
    folder = files("slicery_service.catalog") / "static"
    return {
        each.name: Asset(each.read_bytes(), media_type)
        for each in folder.iterdir()
        for suffix, media_type in MEDIA_TYPES.items()
        if each.name.endswith(suffix)
    }
