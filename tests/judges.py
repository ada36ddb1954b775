"""Judges: what independent readers make of a file. None of our own code is in here."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import dnaio
import pysam

Read = tuple[str, str, str]

BGZF_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The block that `bgzip` and samtools expect at the end (SAMv1 §4.1.2)."""


def reads_by_dnaio(text: bytes) -> list[Read]:
    """Read FASTQ with dnaio: strictly four lines a read."""
    with dnaio.open(io.BytesIO(text), fileformat="fastq") as file:
        return [(read.name, read.sequence, read.qualities or "") for read in file]


def reads_by_pysam(text: bytes) -> list[Read]:
    """Read FASTQ with htslib's kseq, which also takes wrapped reads and empty lines."""
    with on_disk(text, ".fastq") as path, pysam.FastxFile(str(path)) as file:
        return [
            (f"{read.name} {read.comment}" if read.comment else read.name, read.sequence, read.quality or "")
            for read in file
        ]


def lines(text: bytes) -> list[bytes]:
    """Return the lines of a text with their line feeds, as Python's file objects see them."""
    return io.BytesIO(text).readlines()


def words(text: bytes) -> list[bytes]:
    """Return the words of a text."""
    return text.split()


def paragraphs(text: bytes) -> list[bytes]:
    """Return the paragraphs of a text, without what is blank around them."""
    return [part.strip() for part in re.split(rb"\n\s*\n", text) if part.strip()]


def json_lines(text: bytes) -> list[Any]:
    """Return the values of JSON Lines, line by line."""
    return [_json_value(line) for line in text.decode("utf-8-sig").split("\n") if line.strip(" \t\r")]


@lru_cache(1 << 14)
def _json_value(line: str) -> Any:
    return json.loads(line)


def gunzipped(file: bytes) -> bytes:
    """Decompress a gzip file with Python's gzip module; an error where it is not valid."""
    return gzip.decompress(file)


def gzip_test(file: bytes) -> str:
    """Return what `gzip -t` complains about; nothing where it is content."""
    with on_disk(file, ".gz") as path:
        return subprocess.run(["gzip", "-t", str(path)], capture_output=True, text=True, check=False).stderr


def zcat(file: bytes) -> bytes:
    """Decompress with the zcat program."""
    with on_disk(file, ".gz") as path:
        return subprocess.run(["zcat", str(path)], capture_output=True, check=True).stdout


def bgzf_text(file: bytes) -> bytes:
    """Read BGZF with htslib; an error where the last block is not the empty one."""
    assert file.endswith(BGZF_EOF), "the empty block at the end is missing"
    with on_disk(file, ".gz") as path, pysam.BGZFile(str(path), "r") as opened:
        return opened.read()


@contextmanager
def on_disk(content: bytes, suffix: str) -> Iterator[Path]:
    """Put bytes into a file for programs that want one."""
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(content)
        file.flush()
        yield Path(file.name)


def sequences_by_dnaio(text: bytes) -> list[tuple[str, str]]:
    """Read FASTA with dnaio: header line and residues."""
    with dnaio.open(io.BytesIO(text), fileformat="fasta") as file:
        return [(each.name, each.sequence) for each in file]


def sequences_by_pysam(text: bytes) -> list[tuple[str, str]]:
    """Read FASTA with htslib's kseq: header line and residues."""
    with on_disk(text, ".fa") as path, pysam.FastxFile(str(path)) as file:
        return [
            (f"{each.name} {each.comment}" if each.comment else each.name, each.sequence or "")
            for each in file
        ]


@contextmanager
def faidx(text: bytes) -> Iterator[pysam.FastaFile]:
    """Open FASTA as `samtools faidx` indexes it; an error where its lines are not regular."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text.fa")
        path.write_bytes(text)
        with pysam.FastaFile(str(path)) as file:
            yield file
