"""Slicery workers: bytes of a dataset in, an index in Postgres out."""
