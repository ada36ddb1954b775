"""Kernels without reference counts, for loops whose every step takes nanoseconds, and instructions for them.

A kernel that allocates nothing need not count who holds its arrays: that alone makes one that passes them to other
kernels ten times as fast.

What numba keeps on disk of a kernel does not know of a change in another module: after editing a kernel that others
call, delete their `.nbi` files in `__pycache__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
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


def _word_at(_context: Any, text: Any, at: Any) -> Any:  # noqa: ARG001 - numba calls these by name
    return types.uint64(text, types.int64), _loading(64)


def _byte_at(_context: Any, text: Any, at: Any) -> Any:  # noqa: ARG001
    return types.int64(text, types.int64), _loading(8)


def _loading(n_bits: int) -> Function:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        read = context.get_value_type(types.Integer.from_bitwidth(n_bits, signed=False))
        pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), read.as_pointer())
        return builder.zext(builder.load(pointer, align=1), context.get_value_type(types.uint64))

    return generate


def _found_byte(_context: Any, text: Any, at: Any, byte: Any) -> Any:  # noqa: ARG001
    return types.uint64(text, types.int64, types.int64), _comparing("==")


def _found_below(_context: Any, text: Any, at: Any, byte: Any) -> Any:  # noqa: ARG001
    return types.uint64(text, types.int64, types.int64), _comparing("<")


def _comparing(relation: str) -> Function:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        lane, zero = ir.IntType(8), ir.Constant(ir.IntType(32), 0)
        wide = ir.VectorType(lane, LANES)
        pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), wide.as_pointer())
        nothing, everywhere = (
            ir.Constant(wide, ir.Undefined),
            ir.Constant(ir.VectorType(zero.type, LANES), None),
        )
        first = builder.insert_element(nothing, builder.trunc(arguments[2], lane), zero)
        wanted = builder.shuffle_vector(first, nothing, everywhere)
        found = builder.icmp_signed(relation, builder.load(pointer, align=1), wanted)
        return builder.bitcast(found, ir.IntType(LANES))

    return generate


def _lowest_bit(_context: Any, word: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), generate


def _n_bits(_context: Any, word: Any) -> Any:  # noqa: ARG001
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _swapped(_context: Any, word: Any) -> Any:  # noqa: ARG001
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bswap(arguments[0])

    return types.uint64(types.uint64), generate


word_at: Function = intrinsic(_word_at)
"""Eight bytes of a text (uint8, contiguous) from a place on, the first one lowest; nobody checks the place."""

byte_at: Function = intrinsic(_byte_at)
"""The byte at a place of a text; nobody checks the place."""

LANES = 64
"""Bytes that `found_byte` looks at."""

found_byte: Function = intrinsic(_found_byte)
"""A mask of LANES bits: which bytes of a text from a place on are a certain one; nobody checks the place."""

found_below: Function = intrinsic(_found_below)
"""A mask of LANES bits: which bytes of a text are less than a certain one, signed: those from 128 on are negative."""

lowest_bit: Function = intrinsic(_lowest_bit)
"""The number of zero bits below a word's lowest one; 64 where there is none."""

n_bits: Function = intrinsic(_n_bits)
"""How many bits of a word are set."""

swapped: Function = intrinsic(_swapped)
"""A word with its bytes in the other order: then words compare as their texts do."""
