"""Kernels without reference counts, for loops whose every step takes nanoseconds, and two instructions for them.

A kernel that allocates nothing need not count who holds its arrays: that alone makes one that passes them to other
kernels ten times as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import types
from numba.extending import intrinsic

Function = Callable[..., Any]


def outer(function: Function) -> Function:
    """Compile a kernel that allocates nothing: no array, and no slice of one."""
    return _compiled(function, {})


def inner(function: Function) -> Function:
    """Compile a kernel that allocates nothing into each of those that call it."""
    return _compiled(function, {"forceinline": True})


def _compiled(function: Function, options: dict[str, Any]) -> Function:
    compile_: Callable[..., Callable[[Function], Function]] = njit  # its stubs do not know `_nrt`
    options = {"nogil": True, "error_model": "numpy", "_nrt": False, **options}
    try:
        return compile_(cache=True, **options)(function)
    except RuntimeError:  # numba found no place for its cache
        return compile_(**options)(function)


def _lowest_bit(_context: Any, word: Any) -> Any:  # noqa: ARG001 - numba calls it by name
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], _context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), generate


def _swapped(_context: Any, word: Any) -> Any:  # noqa: ARG001 - numba calls it by name
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bswap(arguments[0])

    return types.uint64(types.uint64), generate


lowest_bit: Function = intrinsic(_lowest_bit)
"""The number of zero bits below a word's lowest one; 64 where there is none."""

swapped: Function = intrinsic(_swapped)
"""A word with its bytes in the other order: then words compare as their texts do."""
