"""Ids: a prefix that says of what, then 26 characters that sort by the time of their making."""

from __future__ import annotations

import secrets
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o, u, so that ids survive being read aloud."""

LENGTH = 26
RANDOM_BITS = 80


def new_id(prefix: str) -> str:
    """Make an id such as `d_01kanqx5…`: 48 bits of milliseconds since 1970, 80 random bits (a ULID)."""
    number = (time.time_ns() // 1_000_000) << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
    digits = [ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5)]
    return prefix + "_" + "".join(digits)
