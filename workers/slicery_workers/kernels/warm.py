"""Compile the kernels of all formats before the first job needs them: they go over a few bytes of each."""

from __future__ import annotations

import gzip
import struct
import time
from collections.abc import Iterator

from slicery_workers.testing.memory import index_bytes
from slicery_workers.testing.tables import TableDataset

SAMPLES: dict[str, tuple[bytes, ...]] = {
    "csv": (
        b'id,x,day,at,ok,word\n1,2.5,2020-01-01,2020-01-01T10:00:00Z,true,"a ""b"" \xc3\xa4"\n2,,,,,c\n',
        b"1\n2\n",
    ),
    "fasta": (b">a first\nACGT\nAC\n>b\nACGTAC\n",),
    "fastq": (b"@a\nACGT\n+\nIIII\n",),
    "jsonl": (b'{"a": [1, 2.5, "\\u00e4", null]}\n',),
    "text": ("größe and words\n\nmore\n".encode(),),
    "vcf": (
        b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        b"chr1\t10\t.\tA\t<DEL>\t.\tPASS\tSVLEN=-5;END=15\nchr2\t1\t.\tAC\tG\t.\tPASS\t.\n",
    ),
}
"""A little of each format; each kind of field, so that no kernel is left out."""

LINES = b"".join(b"%d\n" % (number**3 % 1_000_003) for number in range(60_000))
"""Text whose gzip has several blocks, and is long enough to be cut."""

_LAS = b"LASF" + bytes(20) + b"\1\2" + bytes(68) + struct.pack("<HIIBHII", 227, 227, 0, 0, 20, 1, 1)
_LAS += bytes(16) + struct.pack("<12d", 1, 1, 1, *(0,) * 9) + bytes(20)

_IMZML = b"""<mzML><fileDescription/><referenceableParamGroupList><referenceableParamGroup id="a">
<cvParam accession="MS:1000514"/><cvParam accession="MS:1000521"/></referenceableParamGroup>
</referenceableParamGroupList><run><spectrumList count="0"></spectrumList></run></mzML>"""

TABLES: dict[str, dict[str, bytes]] = {
    "las": {"sample": _LAS},
    "imzml": {"sample.imzML": _IMZML, "sample.ibd": bytes(16)},
}
"""The same for formats of tables that have kernels, as objects."""

_OPTIONS: dict[str, list[dict[str, object]]] = {"text": [{}, {"boundary": "word"}, {"boundary": "paragraph"}]}


def compile_kernels() -> Iterator[tuple[str, float]]:
    """Index each sample, whole and in stretches; yield each format and how many seconds it took."""
    for form, samples in SAMPLES.items():
        began = time.perf_counter()
        for sample in samples:
            for options in _OPTIONS.get(form, [{}]):
                index_bytes(sample, form, options=options)
                index_bytes(sample, form, options=options, stretch=max(1, len(sample) // 2))
        yield form, time.perf_counter() - began
    began = time.perf_counter()
    index_bytes(gzip.compress(LINES), "text")
    yield "gzip", time.perf_counter() - began
    for form, objects in TABLES.items():
        began = time.perf_counter()
        TableDataset.of(form, objects)
        yield form, time.perf_counter() - began
