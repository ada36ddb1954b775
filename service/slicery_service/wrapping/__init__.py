"""Turn cuts into the parts of a valid file: untouched byte ranges of the object, and a few inline bytes.

A wrapper is pure: it sees an object's index and numbers of cuts, never a store. `WRAPPERS` holds one for each
compression of the record formats.
"""

from __future__ import annotations

from slicery_service.wrapping import bgzf, gzip, plain
from slicery_service.wrapping.parts import Wrapper

WRAPPERS: dict[str, Wrapper] = {"none": plain.wrap, "gzip": gzip.wrap, "bgzf": bgzf.wrap}
EMPTY_FILES: dict[str, bytes] = {"none": b"", "gzip": gzip.EMPTY, "bgzf": bgzf.EMPTY}
"""The valid file without any content, by compression."""
