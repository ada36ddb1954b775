"""Slicery service: registers datasets, plans partitions, signs tickets."""
