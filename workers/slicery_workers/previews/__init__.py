"""Previews: what people see first of a dataset, made once, when its index has gone live.

    make.py        the border: a preview of any dataset, or the words why there is none
    sampling.py    the first records of a few slices, within a budget of bytes
    cells.py       values as they may be shown: short, and without characters that do something
    statistics.py  histograms, counts and profiles of values
    tables.py, reads.py, sequences.py, variants.py, texts.py, points.py    rows and statistics by format

A preview is read from the dataset's own slices by the client's decoders, so that it shows what a job would get. Its
shape is told in `slicery_service.previews`.
"""
