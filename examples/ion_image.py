"""Make the image of an m/z window of an imaging run: the sum of its intensities in each pixel, slice by slice.

    python examples/ion_image.py s3://lab/imaging/brain.imzML 760.5 760.7 image.npy [slices]

The client's settings, SLICERY_URL and SLICERY_TOKEN, say which service to ask. Each slice is read by a thread here; it
could be a job anywhere, as a slice needs neither the key nor the other slices.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery import Client, Slice

N_SLICES = 32


def window_sums(item: Slice, low: float, high: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the pixels of one slice, int64 (spectra, 3), and the sum of the window in each."""
    spectra = item.load()
    sums = [intensity[(mz >= low) & (mz <= high)].sum(dtype=np.float64) for _, mz, intensity in spectra]
    return spectra.coordinates, np.array(sums, np.float64)


def image(parts: Iterable[tuple[NDArray[np.int64], NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Put the pixels of all slices together: float64 (z, y, x), NaN where there is no spectrum."""
    places, sums = (np.concatenate(each) for each in zip(*parts, strict=True))
    x, y, z = (places - places.min(axis=0)).T
    found = np.full((z.max() + 1, y.max() + 1, x.max() + 1), np.nan)
    found[z, y, x] = sums
    return found


def main(uri: str, low: str, high: str, path: str, n_slices: Any = N_SLICES) -> None:
    client = Client()
    dataset = client.register(uri).wait()
    partition = dataset.partition("count", n=int(n_slices))
    with ThreadPoolExecutor() as pool:
        found = image(pool.map(partial(window_sums, low=float(low), high=float(high)), partition))
    np.save(path, found)
    print(f"{path}: {found.shape[::-1]} pixels, {np.count_nonzero(~np.isnan(found))} of them with a spectrum")


if __name__ == "__main__":
    main(*sys.argv[1:])
