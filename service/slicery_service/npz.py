"""Arrays by name as bytes: npz, which numpy reads, without pickle (numpy.lib.format, version 1.0)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUICKLY, WELL = 1, 5
"""Levels of zlib: the first takes half of the time, and makes a twentieth more of bytes; 6 takes twice that of 5 for
a hundredth less."""

Arrays = Mapping[str, NDArray[Any]]


def write(arrays: Arrays, stored: Arrays | None = None, *, level: int = WELL) -> bytes:
    """Write arrays deflated, at a level of zlib, and those in `stored` as they are, for deflate would only cost time.

    ValueError where one holds Python objects.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for how, group in ((zipfile.ZIP_DEFLATED, arrays), (zipfile.ZIP_STORED, stored or {})):
            for name, array in group.items():
                content = io.BytesIO()
                np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
                file.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getbuffer(), how, level)
    return buffer.getvalue()


def read(payload: bytes) -> dict[str, NDArray[Any]]:
    """Read what `write` wrote."""
    with np.load(io.BytesIO(payload), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
