"""The formats the service knows: what they hold, how they are cut, how they are recognised.

A format's descriptor is an entry point in the group `slicery.formats`, beside its indexer, its decoder and,
where its slices need one, its wrapper. The service describes and checks formats without importing workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from slicery_service.compression import Compression, peek, sniff
from slicery_service.errors import InvalidRequest, UnknownFormat
from slicery_service.planning.strategies import UNIVERSAL

GROUP = "slicery.formats"

log = logging.getLogger(__name__)


class NoOptions(BaseModel):
    """A format that takes no options at registration."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Format:
    """What the service must know of a format.

    `kind` is its index kind (DESIGN: records, chunks, tiles, columns), `unit` the word for one record,
    `suffixes` the usual endings of a key without `.gz`, the most usual first, `media_type` that of an uncompressed
    slice, and `looks_like` tells from the first uncompressed bytes whether they can be of this format. What the
    `decoder_options` name in a dataset's summary goes with each of its tickets. `strategies` are those that it has
    besides the universal ones, and `selection` is a model whose members are what it can select by; a planner of
    the same name (`slicery.planners`) knows them. Where an option says what a record is, `unit_option` names it:
    its value is the word then. `pair_option` is the one that makes each two objects mates: the first records of
    both are one record, a pair, and so on; its indexer and its planner know of it.

    `universal` names those of the universal strategies that make sense for it. Slices whose names cannot end as their
    object's does, as they are files of another kind, have a `slice_suffix`. A dataset that consists of several objects
    is registered by the name of one where `companions` returns, for a key, the keys of all in their order, each with
    other spellings that may stand for it; and it is recognised by its keys alone where there is `looks_like_listing`.
    """

    name: str
    kind: Literal["records", "chunks", "tiles", "columns"]
    unit: str
    description: str
    suffixes: tuple[str, ...]
    media_type: str
    looks_like: Callable[[bytes], bool]
    options: type[BaseModel] = NoOptions
    decoder_options: tuple[str, ...] = ()
    strategies: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    selection: type[BaseModel] | None = None
    unit_option: str | None = None
    pair_option: str | None = None
    universal: tuple[str, ...] = tuple(UNIVERSAL)
    slice_suffix: str | None = None
    companions: Callable[[str], Sequence[tuple[str, ...]]] | None = None
    looks_like_listing: Callable[[Sequence[str]], bool] | None = None

    def unit_of(self, options: Mapping[str, Any]) -> str:
        """Return the word for one record of a dataset that was registered with these options."""
        word = str(options.get(self.unit_option, self.unit)) if self.unit_option else self.unit
        return f"{word} pair" if self.is_paired(options) else word

    def is_paired(self, options: Mapping[str, Any]) -> bool:
        """Tell whether each two objects of a dataset that was registered with these options hold mates."""
        return self.pair_option is not None and bool(options.get(self.pair_option))

    @property
    def all_strategies(self) -> Mapping[str, type[BaseModel]]:
        """Those of the universal strategies that the format has, and its own."""
        return {**{name: UNIVERSAL[name] for name in self.universal}, **self.strategies}

    def validate_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options as they will be kept; InvalidRequest names the one that does not fit."""
        try:
            return self.options.model_validate(options).model_dump(exclude_none=True)
        except ValidationError as exc:
            first = exc.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "options"
            known = ", ".join(self.options.model_fields) or "none"
            raise InvalidRequest(
                f"option {where!r} of format {self.name}: {first['msg']}, found {first['input']!r}",
                hint=f"Options of {self.name}: {known}.",
            ) from exc


@dataclass(frozen=True, slots=True)
class Detection:
    """What an object's name and first bytes say it is."""

    format: str
    compression: Compression


def all_formats() -> list[Format]:
    """Return the formats that could be loaded, by name."""
    return [_loaded()[name] for name in sorted(_loaded())]


def get(name: str) -> Format:
    """Return the format of this name; UnknownFormat lists the ones there are."""
    try:
        return _loaded()[name]
    except KeyError:
        raise UnknownFormat(
            f"there is no format {name!r}", hint=f"Formats: {', '.join(sorted(_loaded()))}."
        ) from None


def detect(key: str, head: bytes) -> Detection:
    """Tell format and compression from a key and the object's first bytes (up to 64 KiB).

    A telling suffix outweighs the content, so that a damaged FASTQ fails as FASTQ instead of passing as text.
    """
    text, stem, compression = peek(head), without_compression_suffix(key.lower()), sniff(head)
    ranked = sorted(
        all_formats(), key=lambda each: (_score(each, stem, text), _usual(each, stem)), reverse=True
    )
    if ranked and ranked[0].kind != "records" and compression != "none" and _score(ranked[0], stem, text) > 3:
        raise UnknownFormat(
            f"{key!r} seems to hold {ranked[0].name} compressed with {compression}, which cannot be cut",
            hint="Store it without that compression; what is inside has its own.",
        )
    if not ranked or _score(ranked[0], stem, text) <= 0:
        raise UnknownFormat(
            f"the format of {key!r} could not be told from its name and first bytes",
            hint=f"Name it in `format`: {', '.join(each.name for each in all_formats())}.",
        )
    return Detection(ranked[0].name, compression)


def of_listing(keys: Sequence[str]) -> Format | None:
    """Return the format whose datasets are folders of such keys, or None."""
    return next(
        (each for each in all_formats() if each.looks_like_listing and each.looks_like_listing(keys)), None
    )


@lru_cache(maxsize=1)
def _loaded() -> dict[str, Format]:
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = points.setdefault(point.name, point)
        if other.value != point.value:
            raise RuntimeError(f"format {point.name!r} is claimed by {other.value} and by {point.value}")
    formats = {}
    for name, point in points.items():
        try:
            formats[name] = point.load()
        except Exception:
            log.exception("format %s is disabled: its plug-in %s does not load", name, point.value)
    return formats


def _score(each: Format, stem: str, text: bytes) -> int:
    named = 4 if stem.endswith(each.suffixes) else 0
    if each.name == "text":  # anything may be text
        return named + (1 if each.looks_like(text) else 0)
    return named + (3 if each.looks_like(text) else 0)


def _usual(each: Format, stem: str) -> int:
    """Return the length of a format's first suffix, where the name ends with it: formats may share the others."""
    return len(each.suffixes[0]) if each.suffixes and stem.endswith(each.suffixes[0]) else 0


def without_compression_suffix(key: str) -> str:
    """Return a key, given in lower case, without `.gz` and the like."""
    for suffix in (".gz", ".bgz", ".bgzf", ".gzip"):
        if key.endswith(suffix):
            return key[: -len(suffix)]
    return key
