"""Decompress an object once, and find where its compressed bytes may be cut."""
