"""Running what the lab prints: a program in an empty folder with nothing but the key.

Ray and Spark are run where they are installed; elsewhere a stand-in provides their interface, and nothing else: the
functions of `ray` and `pyspark` that the snippets call. SLURM is the number that it gives each task.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .lab_reading import snippet

RAY = """
def remote(function):
    function.remote = lambda *given: function(*given)
    return function

def init():
    pass

def get(values):
    return values
"""
SPARK = """
class _Rdd:
    def __init__(self, values):
        self.values = values
    def map(self, function):
        return _Rdd([function(value) for value in self.values])
    def sum(self):
        return sum(self.values)

class SparkSession:
    class builder:
        @staticmethod
        def appName(name):
            return SparkSession.builder
        @staticmethod
        def config(name, value):
            assert name == "spark.executorEnv.SLICERY_TOKEN" and value
            return SparkSession.builder
        @staticmethod
        def getOrCreate():
            return SparkSession
    class sparkContext:
        @staticmethod
        def parallelize(values, n):
            assert len(values) == n
            return _Rdd(list(values))
"""
STAND_INS = {"ray": {"ray.py": RAY}, "pyspark": {"pyspark/__init__.py": "", "pyspark/sql.py": SPARK}}

OF_NEIGHBOURS = "comes with records of its neighbours; slicery drops them"
"""What the snippet of curl says of slices that have to be trimmed."""


@dataclass(frozen=True)
class Runner:
    """A folder, and the key of a service."""

    folder: Path
    api_key: str

    def __call__(self, *command: str, **environment: str) -> str:
        """Run a program; return what it prints, and fail where it complains."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        given = {
            "PATH": path,
            "HOME": str(self.folder),
            "SLICERY_TOKEN": self.api_key,
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**given, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = [line for line in done.stderr.splitlines() if not line.endswith(OF_NEIGHBOURS)]
        assert not told or "dask" in done.stderr.lower() or "ray" in done.stderr.lower(), done.stderr
        return done.stdout

    def written(self, name: str, text: str) -> str:
        """Write a file; return its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def python(self, page: str, name: str, library: str = "") -> int:
        """Run a program that a page shows; return the number that it prints last."""
        environment = {}
        if library in STAND_INS and find_spec(library) is None:
            for file, text in STAND_INS[library].items():
                (self.folder / "stand_in" / file).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / "stand_in" / file).write_text(text)
            environment["PYTHONPATH"] = str(self.folder / "stand_in")
        program = self.written(f"{name}_slices.py", snippet(page, name))
        return int(self(sys.executable, program, **environment).splitlines()[-1])

    def slurm(self, page: str, n_tasks: int) -> int:
        """Run each task of a job script that a page shows; return how many records they tell of."""
        script = self.written("slices.sh", snippet(page, "slurm"))
        self("bash", "-n", script)
        told = [self("sh", script, SLURM_ARRAY_TASK_ID=str(number)) for number in range(n_tasks)]
        return sum(json.loads(line)["records"] for text in told for line in text.splitlines())

    def cli(self, page: str) -> int:
        """Run the commands that a page shows; return how many records they tell of."""
        told = self("sh", "-c", snippet(page, "cli"))
        return sum(json.loads(line)["records"] for line in told.splitlines())
