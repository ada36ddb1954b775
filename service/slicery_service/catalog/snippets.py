"""What to run on a partition, ready to be copied: Python, Dask, Ray, Spark, a SLURM array, the command line, curl.

All take the key from SLICERY_TOKEN; none holds one. What comes from a request, such as the service's address, is
written as a literal of the language.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import dedent

SLURM_TASKS = 1000
"""Tasks of one array: SLURM's MaxArraySize is 1,001 unless it is set up for more."""

_EXTRAS = {"las": "pointcloud", "laz": "pointcloud", "copc": "pointcloud", "geotiff": "raster"}
_RECORDS = {
    "fastq": "# record.name, record.sequence, record.quality",
    "fasta": "# record.name, record.description, record.sequence",
    "vcf": "# record.chrom, record.pos, record.ref, record.alt",
}
_LOADED = {
    "las": ("points", "len(points)", "laspy.LasData"),
    "laz": ("points", "len(points)", "laspy.LasData"),
    "copc": ("points", "len(points)", "laspy.LasData"),
    "geotiff": ("raster", "raster.mask.size", "raster.array, raster.transform, raster.crs"),
    "imzml": ("spectra", "len(spectra)", "a sequence of (coordinates, m/z, intensities)"),
    "measurementset": ("rows", "len(rows)", "columns by name, such as rows['DATA']"),
}
"""By format that is read whole: the name of what `load` returns, its number of records, and what it is."""

_ARRAYS = ("imzml", "measurementset")
"""Formats of which a slice's parts are arrays, and become a file by the decoder alone."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is run on: a partition of `n_slices` slices at a service; `unit` is the word for a record.

    `suffix` is what the names of slices end with.
    """

    api_url: str
    partition: str
    n_slices: int
    format: str
    unit: str
    suffix: str

    @property
    def requirement(self) -> str:
        """What to install."""
        extra = _EXTRAS.get(self.format)
        return f"'slicery[{extra}]'" if extra else "slicery"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text to copy: its id and title, the language it is written in, and what is needed for it."""

    id: str
    title: str
    language: str
    needs: str
    text: str


def snippets(target: Target) -> list[Snippet]:
    """Return what can be run on a partition."""
    key = "the key in SLICERY_TOKEN"
    made: list[tuple[str, str, str, str, Callable[[Target], str]]] = [
        ("python", "Python", "python", f"pip install {target.requirement}; {key}", python),
        ("dask", "Dask", "python", f"pip install dask {target.requirement}; {key} of every worker", dask),
        ("ray", "Ray", "python", f"pip install ray {target.requirement}; {key} of every worker", ray),
        (
            "spark",
            "Spark",
            "python",
            f"pip install pyspark {target.requirement} where the executors run; {key}",
            spark,
        ),
        (
            "slurm",
            "SLURM",
            "sh",
            f"pip install {_with_cli(target)} on the nodes; {key} where sbatch is called",
            slurm,
        ),
        ("cli", "Command line", "sh", f"pip install {_with_cli(target)}; {key}", cli),
        ("curl", "curl", "sh", f"curl and a POSIX shell; {key}{_for_whom(target)}", curl),
    ]
    return [Snippet(id, title, language, needs, write(target)) for id, title, language, needs, write in made]


def python(target: Target) -> str:
    """Return a program that reads all slices, one after another."""
    loaded = _LOADED.get(target.format)
    if loaded is None:
        about = _RECORDS.get(target.format, "")
        body = f"    for record in item.records():  {about}".rstrip() + "\n        n_records += 1"
    else:
        name, count, about = loaded
        body = f"    {name} = item.load()  # {about}\n    n_records += {count}"
    return (
        "from slicery import Client\n\n"
        f"client = Client({_py(target.api_url)})\n"
        f"partition = client.partition({_py(target.partition)})\n\n"
        "n_records = 0\n"
        f"for item in partition:\n{body}\n"
        "print(n_records)\n"
    )


def dask(target: Target) -> str:
    """Return a program with a task for each slice."""
    n = target.n_slices
    return (
        "import dask.bag\n\n"
        f"{_counting(target)}\n\n"
        'if __name__ == "__main__":\n'
        f"    numbers = dask.bag.from_sequence(range({n}), npartitions={n})\n"
        "    print(numbers.map(count).sum().compute())\n"
    )


def ray(target: Target) -> str:
    """Return a program with a task for each slice."""
    return (
        "import ray\n\n"
        f"{_counting(target, '@ray.remote')}\n\n"
        'if __name__ == "__main__":\n'
        "    ray.init()\n"
        f"    counts = ray.get([count.remote(number) for number in range({target.n_slices})])\n"
        "    print(sum(counts))\n"
    )


def spark(target: Target) -> str:
    """Return a program with a partition of an RDD for each slice."""
    n = target.n_slices
    return (
        "import os\n\n"
        "from pyspark.sql import SparkSession\n\n"
        f"{_counting(target)}\n\n"
        'if __name__ == "__main__":\n'
        '    builder = SparkSession.builder.appName("slices")\n'
        '    token = os.environ["SLICERY_TOKEN"]  # Spark leaves it out of its logs, for its name\n'
        '    spark = builder.config("spark.executorEnv.SLICERY_TOKEN", token).getOrCreate()\n'
        f"    numbers = spark.sparkContext.parallelize(range({n}), {n})\n"
        "    print(numbers.map(count).sum())\n"
    )


def slurm(target: Target) -> str:
    """Return a job script: each task takes the slice of its number, and every so many further where there are more."""
    n, tasks = target.n_slices, min(target.n_slices, SLURM_TASKS)
    get = f'slicery get {shlex.quote(target.partition)} "$number" --output slices --json'
    number = "number=$SLURM_ARRAY_TASK_ID\n"
    if n > tasks:
        work = f"  {get}\n  # work on what is in slices/ here\n  number=$((number + {tasks}))\n"
        loop = f'while [ "$number" -lt {n} ]; do\n{work}done\n'
    else:
        loop = f"{get}\n# work on what is in slices/ here\n"
    return (
        "#!/bin/sh\n"
        "# Submit with: sbatch slices.sh\n"
        "#SBATCH --job-name=slices\n"
        f"#SBATCH --array=0-{tasks - 1}\n"
        "#SBATCH --export=ALL\n"
        "#SBATCH --output=slices-%a.out\n"
        "set -eu\n"
        f"export SLICERY_URL={shlex.quote(target.api_url)}\n\n"
        f"mkdir -p slices\n{number}{loop}"
    )


def cli(target: Target) -> str:
    """Return commands that write all slices as files."""
    return (
        f"export SLICERY_URL={shlex.quote(target.api_url)}\n"
        "mkdir -p slices\n"
        f"for number in $(seq 0 {target.n_slices - 1}); do\n"
        f'  slicery get {shlex.quote(target.partition)} "$number" --output slices --json\n'
        "done\n"
    )


def curl(target: Target) -> str:
    """Return a shell function that puts a slice together from its parts, with nothing but curl."""
    head = dedent(
        """\
        # A ticket lists the parts of each file of a slice, in order: URLs, to be fetched with the headers they were
        # signed with, and bytes in base64. Concatenated, they are the file.
        slice() {
          file=-1
          curl -fsS -H "Authorization: Bearer $SLICERY_TOKEN" "$SLICERY_URL/v1/partitions/$PARTITION/slices/$1" |
            tr '{' '\\n' | while IFS= read -r line; do
              case $line in
                '"name":"'*'"media_type":"'*)
                  file=$((file + 1)); target=slices/$1.$file@SUFFIX@; : > "$target" ;;
                '"url":"data:'*)
                  inline=${line#*base64,}
                  printf %s "${inline%%\\"*}" | base64 -d >> "$target" ;;
                '"url":"'*)
                  url=${line#*:\\"}
                  IFS= read -r headers
                  range=${headers#*\\"Range\\":\\"}
                  etag=${headers#*\\"If-Match\\":\\"\\\\\\"}
                  curl -fsS -H "Range: ${range%%\\"*}" -H "If-Match: \\"${etag%%\\\\\\"*}\\"" \\
                    "${url%%\\"*}" >> "$target" ||
                    echo "slice $1 is incomplete" >&2 ;;
                '"op":"trim"'* | '"op":"region"'* | '"op":"clip"'* | '"op":"crop"'*)
                  echo "slice $1 comes with records of its neighbours; slicery drops them" >&2 ;;
              esac
            done
        }
        """
    )
    suffix = target.suffix if _is_plain(target.suffix) else ""
    return (
        f"SLICERY_URL={shlex.quote(target.api_url)}\nPARTITION={shlex.quote(target.partition)}\n\n"
        + head.replace("@SUFFIX@", suffix)
        + f"\nmkdir -p slices\nfor number in $(seq 0 {target.n_slices - 1}); do\n"
        '  slice "$number"\n'
        "done\n"
    )


def _counting(target: Target, decorator: str = "") -> str:
    """Return a function that reads the slice of a number wherever it is called: it needs the key, and nothing else."""
    return (
        "from slicery import Client\n\n\n" + (f"{decorator}\n" if decorator else "") + "def count(number):\n"
        f"    item = Client({_py(target.api_url)}).slice({_py(target.partition)}, number)\n"
        f"    return {_count(target)}\n"
    )


def _count(target: Target) -> str:
    loaded = _LOADED.get(target.format)
    if loaded is None:
        return "sum(1 for record in item.records())"
    name, count, _ = loaded
    return count.replace(name, "item.load()")


def _for_whom(target: Target) -> str:
    """Say of formats whose tickets bring arrays what files their parts make."""
    return "; the files are tables for slicery's decoder" if target.format in _ARRAYS else ""


def _with_cli(target: Target) -> str:
    extra = "casacore" if target.format == "measurementset" else _EXTRAS.get(target.format)
    return f"'slicery[cli,{extra}]'" if extra else "'slicery[cli]'"


def _is_plain(suffix: str) -> bool:
    return all(letter.isalnum() or letter in "._-" for letter in suffix)


def _py(text: str) -> str:
    """Write a text as a literal of Python, in double quotes where that is plain."""
    return (
        f'"{text}"' if text.isascii() and text.isprintable() and not set(text) & {'"', "\\"} else repr(text)
    )
