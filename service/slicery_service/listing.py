"""From the URIs that a dataset is registered by to its objects, in their order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from slicery_service import formats
from slicery_service.config import get_settings
from slicery_service.errors import (
    EmptyObject,
    InvalidRequest,
    ObjectMissing,
    ObjectUnreadable,
    SourceNotAllowed,
)
from slicery_service.globs import has_wildcard
from slicery_service.sources import ObjectInfo, Source, Sources
from slicery_service.store import Store, store_for
from slicery_service.uri import split_uri

PARALLEL = 8
"""URIs of one list that are looked up at the same time; each is a request or more."""

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Listing:
    """The objects that URIs mean, in the order of the URIs and of keys within each, and their source."""

    source: Source
    objects: list[ObjectInfo]

    @property
    def size_bytes(self) -> int:
        """Bytes of all objects."""
        return sum(each.size_bytes for each in self.objects)


def find(sources: Sources, uris: Sequence[str]) -> Listing:
    """List what the URIs mean, each an object, a folder or a pattern.

    Raises SourceNotAllowed, the ObjectUnreadable family, EmptyObject, and InvalidRequest where the URIs belong to
    several sources, name an object twice, or mean too many.
    """
    places = [sources.of_uri(uri) for uri in uris]
    source = places[0][0]
    for uri, (other, _, _) in zip(uris, places, strict=True):
        if other.name != source.name:
            raise InvalidRequest(
                f"{uris[0]} is in source {source.name} and {uri} in source {other.name}",
                hint="All objects of a dataset are in one source.",
            )
    found = Listing(source, _each_once(_expand(source, [(bucket, key) for _, bucket, key in places])))
    if found.size_bytes == 0:
        raise EmptyObject(f"{shown(uris)} holds no bytes", hint="Register it again once something is in it.")
    return found


def completed(found: Listing, companions: Callable[[str], Sequence[tuple[str, ...]]]) -> Listing:
    """Put the objects in that belong with those found, whichever of them was named; see formats.Format.

    Raises ObjectMissing where one is not there.
    """
    store = store_for(found.source)
    known = {(each.bucket, each.key): each for each in found.objects}
    objects: dict[tuple[str, str], ObjectInfo] = {}
    for each in found.objects:
        for spellings in companions(each.key) or ((each.key,),):
            present = (known.get((each.bucket, key)) for key in spellings)
            info = next(filter(None, present), None) or _first_there(store, each, spellings)
            objects[info.bucket, info.key] = known[info.bucket, info.key] = info
    return Listing(found.source, list(objects.values()))


def digest(uris: Sequence[str]) -> bytes:
    """Return what tells lists of URIs apart; no URI holds the NUL between them."""
    return hashlib.sha256("\0".join(uris).encode()).digest()


def shown(uris: Sequence[str]) -> str:
    """Name URIs in a message."""
    return uris[0] if len(uris) == 1 else f"{uris[0]} and {len(uris) - 1:,} more"


def default_name(uris: Sequence[str]) -> str:
    """Name a dataset after the end of its first key; after folder and pattern where the end is a pattern."""
    bucket, key = split_uri(uris[0])
    steps = [step for step in key.split("/") if step]
    name = "/".join(steps[-2:] if steps and has_wildcard(steps[-1]) else steps[-1:])
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    more = f" and {len(uris) - 1} more" if len(uris) > 1 else ""
    return (printable[-(LONGEST_NAME - len(more)) :].strip() or bucket) + more


def _expand(source: Source, places: Sequence[tuple[str, str]]) -> list[ObjectInfo]:
    limit, store = get_settings().max_objects, store_for(source)
    if len(places) == 1:
        return _objects(store, *places[0], limit)
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="listing") as pool:
        lists = list(pool.map(lambda place: _objects(store, place[0], place[1], limit), places))
    objects = [each for found in lists for each in found]
    if len(objects) > limit:
        raise InvalidRequest(
            f"the URIs mean {len(objects):,} objects, and this service allows {limit:,}",
            hint="Register fewer at once.",
        )
    return objects


def _objects(store: Store, bucket: str, key: str, limit: int) -> list[ObjectInfo]:
    """List what a URI means; also a folder named without its "/", where a format knows it as one dataset."""
    try:
        return store.expand(bucket, key, limit=limit)
    except ObjectMissing:
        if key and not key.endswith("/") and not has_wildcard(key):
            with suppress(ObjectUnreadable, SourceNotAllowed, InvalidRequest):
                found = store.expand(bucket, key + "/", limit=limit)
                if formats.of_listing([each.key for each in found]) is not None:
                    return found
        raise


def _first_there(store: Store, beside: ObjectInfo, spellings: Sequence[str]) -> ObjectInfo:
    for key in spellings:
        try:
            return store.head(beside.bucket, key)
        except ObjectMissing:
            continue
    raise ObjectMissing(
        f"s3://{beside.bucket}/{beside.key} belongs with {spellings[0]}, which is not there",
        hint="Put both into one folder under one name; each holds half of the dataset.",
    )


def _each_once(objects: list[ObjectInfo]) -> list[ObjectInfo]:
    seen: set[tuple[str, str]] = set()
    for each in objects:
        place = (each.bucket, each.key)
        if place in seen:
            raise InvalidRequest(
                f"s3://{each.bucket}/{each.key} is named twice",
                hint="Name each object once; a folder or a pattern may hold one that is named beside it.",
            )
        seen.add(place)
    return objects
