"""CSV of every kind, written by Python's csv module and pandas, and read by the former as judge."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pandas as pd

csv.field_size_limit(1 << 30)

TEXTS = [
    "",
    "plain",
    "Größe",
    "слово 漢字",
    "🧬",
    'say "hi"',
    "a,b",
    "x;y",
    "\t",
    "two\nlines",
    "crlf\r\n",
    '"',
    "\\",
]


@dataclass(frozen=True)
class Csv:
    """Content with its options, and how Python's csv module is told of them."""

    name: str
    content: bytes
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    dialect: dict[str, Any] = field(default_factory=dict, hash=False)
    encoding: str = "utf-8-sig"
    has_header: bool = True

    def __repr__(self) -> str:
        return self.name

    @property
    def read(self) -> Callable[[bytes], list[list[str]]]:
        """An independent reader of a file's rows, without its header."""
        return lambda text: rows_of(text, self.encoding, **self.dialect)[self.has_header :]


def rows_of(text: bytes, encoding: str = "utf-8-sig", **dialect: Any) -> list[list[str]]:
    """Read rows with Python's csv module; it gives an empty line as an empty row, which is none."""
    return [row for row in csv.reader(io.StringIO(text.decode(encoding), newline=""), **dialect) if row]


def written(rows: Sequence[Sequence[Any]], encoding: str = "utf-8", **dialect: Any) -> bytes:
    """Write rows with Python's csv module."""
    file = io.StringIO(newline="")
    csv.writer(file, **{"lineterminator": "\n", **dialect}).writerows(rows)
    return file.getvalue().encode(encoding)


def table(n: int, *, seed: int = 1) -> list[list[Any]]:
    """Make rows of every type, below a header; texts with everything that can be in quotes."""
    rng = random.Random(seed)
    rows: list[list[Any]] = [["id", "text", "score", "day", "at", "ok", "note"]]
    for i in range(n):
        rows.append(
            [
                i - n // 2,
                rng.choice(TEXTS),
                rng.choice(["", repr(rng.uniform(-1, 1) * 10.0 ** rng.randrange(-9, 9))]),
                f"20{rng.randrange(10, 30)}-0{rng.randrange(1, 10)}-1{rng.randrange(10)}",
                f"2024-02-1{rng.randrange(10)}T0{rng.randrange(10)}:30:00",
                rng.choice(["true", "false"]),
                rng.choice(TEXTS) * rng.randrange(30),
            ]
        )
    return rows


def numbers(n_rows: int, n_columns: int) -> bytes:
    """Write doubles with pandas."""
    rng = random.Random(2)
    data = {f"c{c}": [rng.uniform(-1, 1) for _ in range(n_rows)] for c in range(n_columns)}
    return pd.DataFrame(data).to_csv(index=False).encode()


@cache
def csv_samples() -> tuple[Csv, ...]:
    """Return small CSV of every kind."""
    rows = table(300)
    simple = [["a", "b"], *([f"{i}", f"t{i % 7}"] for i in range(200))]
    plain, no_header = written(rows), written(simple[1:])
    bare = written(simple, quoting=csv.QUOTE_NONE)
    no_returns = [[str(field).replace("\r", "") for field in row] for row in rows]  # csv does not escape them
    return (
        Csv("plain", plain),
        Csv("all-quoted", written(rows, quoting=csv.QUOTE_ALL)),
        Csv("crlf", written(rows, lineterminator="\r\n")),
        Csv("lone-returns", written(simple, lineterminator="\r")),
        Csv("semicolons", written(rows, delimiter=";"), {"delimiter": ";"}, {"delimiter": ";"}),
        Csv("tabs", written(rows, delimiter="\t"), {"delimiter": "\t"}, {"delimiter": "\t"}),
        Csv("blanks", written(simple, delimiter=" "), {"delimiter": " "}, {"delimiter": " "}),
        Csv("single-quotes", written(rows, quotechar="'"), {"quote": "'"}, {"quotechar": "'"}),
        Csv("no-quotes", bare.replace(b"t3", b'"'), {"quote": None}, {"quoting": csv.QUOTE_NONE}),
        Csv(
            "escaped",
            written(no_returns, quoting=csv.QUOTE_NONE, escapechar="\\"),
            {"quote": "", "escape": "\\", "header": True},
            {"quoting": csv.QUOTE_NONE, "escapechar": "\\"},
        ),
        Csv(
            "escaped-quotes",
            written(rows, doublequote=False, escapechar="\\"),
            {"escape": "\\", "header": True},
            {"doublequote": False, "escapechar": "\\"},
        ),
        Csv("no-header", no_header, has_header=False),
        Csv("no-header-bom", b"\xef\xbb\xbf" + no_header, has_header=False),
        Csv("bom", b"\xef\xbb\xbf" + plain),
        Csv("bom-quoted-header", b"\xef\xbb\xbf" + written([['a,"\n', "b"], *rows_of(no_header)])),
        Csv("latin-1", written(simple, "latin-1").replace(b"t5", b"\xe4"), encoding="latin-1"),
        Csv("latin-1-declared", b"a,b\n" + "é,1\n".encode("latin-1") * 50, {"encoding": "latin-1"}, encoding="latin-1"),
        Csv("no-final-newline", plain.removesuffix(b"\n")),
        Csv("ends-in-an-empty-field", b"a,b\n" + b"x,\n" * 60 + b"y,"),
        Csv("ends-in-quotes", b"a,b\n" + b"x,1\n" * 60 + b'y,""'),
        Csv("empty-lines", b"\n\r\n" + bare.replace(b"\n", b"\n\n\r\n") + b"\n\n", {"header": True}),
        Csv("empty-lines-no-header", b"\n\n" + no_header.replace(b"\n", b"\r\n\r\n"), has_header=False),
        Csv("one-column", written([["n"], *([i] for i in range(150))])),
        Csv("one-column-quoted-empties", written([["n"], *([rng] for rng in ["", "x"] * 60)])),
        Csv("one-row", b"a,b\n1,2\n"),
        Csv("one-row-no-newline", b"a,b\n1,2"),
        Csv("wide", numbers(8, 1500)),
        Csv("long-fields", written([["a", "b"], *([i, "ab\n" * 3000] for i in range(12))])),
        Csv("quotes-in-the-middle", b'a,b\n' + b'x"y,5" tape\n"x"y"z,"1" 2\n' * 40),
        Csv("kept-rows", b"a,b,c\n" + b"1\n1,2\n1,2,3\n1,2,3,4\n,\n" * 20, {"on_bad_row": "keep"}),
        Csv("nul", b"a,b\n" + b"x\0y,1\n" * 30),
    )  # fmt: skip


@cache
def large_csv() -> Csv:
    """Return 12,000 rows, 1.6 MB."""
    return Csv("large", written(table(12_000, seed=3)))
