"""Files on this machine: written whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

LONGEST_NAME = 200  # most file systems allow 255 bytes; the suffix needs some


def write_file(path: Path, blocks: Iterator[bytes]) -> None:
    """Write a file under another name and rename it when it is whole; devices and pipes are written to."""
    if path.exists() and not path.is_file():
        with path.open("wb") as target:
            target.writelines(blocks)
        return
    path = path.resolve()  # a link stays, and what it points to is replaced
    unfinished = path.with_name(f".{path.name[:LONGEST_NAME]}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as target:
            target.writelines(blocks)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
