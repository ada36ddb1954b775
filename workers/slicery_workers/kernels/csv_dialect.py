"""Places in the array that tells kernels of a CSV's dialect (int64, (5,)); see `csv`."""

DELIMITER, QUOTE, ESCAPE, KEEP, NULLS_ARE_TEXT = range(5)
