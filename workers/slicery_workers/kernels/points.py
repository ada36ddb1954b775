"""The loop over LAS points: for each chunk its bounds and its points by return, of all of them what the catalog shows.

A point begins with X, Y and Z as 32-bit integers; byte 14 has the return number, in 3 bits up to point format 5 and in
4 from 6 on; the class is the low 5 bits of byte 15, or all of byte 16 (LAS 1.4 R15 §2.6).

points      uint8 (·,), whole points of `size` bytes each, from the beginning of a chunk on
extents     int32 (chunks, 6), takes the least X, Y and Z, and how far the largest ones are from them
returns     uint32 (chunks, 16), counts by return number
classes     int64 (256,), counts by class
density     int64 (rows, columns), counts by pixel of the rectangle `frame`, rows from the south
heights     int64 (bins,), counts by Z
frame       float64 (6,): least X and Y and how many columns and rows a step of one is; so for Z, and its bins
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels.bare import byte_at, inner, outer, word_at


@outer
def scan(
    points: NDArray[np.uint8],
    size: int,
    chunk_points: int,
    is_modern: bool,
    extents: NDArray[np.int32],
    returns: NDArray[np.uint32],
    classes: NDArray[np.int64],
    density: NDArray[np.int64],
    heights: NDArray[np.int64],
    frame: NDArray[np.float64],
) -> None:
    """Go over some chunks; the last one may have fewer points."""
    n_points = len(points) // size
    n_chunks = (n_points + chunk_points - 1) // chunk_points
    class_at, class_mask, return_mask = (16, 255, 15) if is_modern else (15, 31, 7)
    rows, columns = density.shape
    for chunk in range(n_chunks):
        low_x = low_y = low_z = np.int64(2147483647)
        high_x = high_y = high_z = np.int64(-2147483648)
        stop = min((chunk + 1) * chunk_points, n_points)
        for at in range(chunk * chunk_points * size, stop * size, size):
            word = word_at(points, at)
            x = np.int64(np.int32(word & 0xFFFFFFFF))
            y = np.int64(word) >> 32
            z = np.int64(np.int32(word_at(points, at + 8) & 0xFFFFFFFF))
            low_x, high_x = min(low_x, x), max(high_x, x)
            low_y, high_y = min(low_y, y), max(high_y, y)
            low_z, high_z = min(low_z, z), max(high_z, z)
            returns[chunk, byte_at(points, at + 14) & return_mask] += 1
            classes[byte_at(points, at + class_at) & class_mask] += 1
            column = _bin(x, frame[0], frame[1], columns)
            density[_bin(y, frame[2], frame[3], rows), column] += 1
            heights[_bin(z, frame[4], frame[5], len(heights))] += 1
        extents[chunk, 0], extents[chunk, 3] = low_x, high_x - low_x
        extents[chunk, 1], extents[chunk, 4] = low_y, high_y - low_y
        extents[chunk, 2], extents[chunk, 5] = low_z, high_z - low_z


@inner
def _bin(value: int, low: float, per_step: float, n: int) -> int:
    """Return the bin of a coordinate; what lies outside all bins belongs to the outer ones."""
    return max(0, min(n - 1, int((value - low) * per_step)))
