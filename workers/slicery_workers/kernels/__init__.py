"""Byte loops of scanners, compiled by numba when they are first called.

What numba compiles is kept on disk, beside the source or in the user's cache, so that it takes seconds once on a
machine and nothing later. Kernels take and give arrays and numbers alone, hold no state, and let other threads
run. They are plain Python for everyone else: the same function tested with `py_func`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on its first call; without a cache where no folder can be written to."""
    try:
        compiled: Callable[..., Any] = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no place for its cache
        compiled = njit(nogil=True)(function)
    return compiled
