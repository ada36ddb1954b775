"""Let casacore read a folder in a process of its own: it ends the process on some damaged tables, and may not return.

The process is `measurementset_child`. They talk through a pipe, in JSON; the child begins, with one of

    {"at": what}                        what it is reading, often
    {"read": [object, start, stop]}     asks for bytes of an object, which are the only answers
    {"problem": [detail, hint]}         the dataset is malformed
    {"failed": text}                    anything else went wrong
    {"found": {…}}                      it is done, and the tables are files in the folder `found`
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.measurementset_aipsio import COPY_AGAIN
from slicery_workers.indexers.measurementset_folder import MAIN, Folder
from slicery_workers.indexers.measurementset_structure import without_place
from slicery_workers.tables import Found, ObjectTables, Picture

CHILD = "slicery_workers.indexers.measurementset_child"
SILENCE_SECONDS = 300.0
"""How long the child may take for one step, such as a block of rows; casacore can loop on damaged tables."""
BEAT_SECONDS = 2.0
"""How often the job is told that its worker is alive."""
_NOT_ITS_FAULT = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def indexed_apart(folder: Folder, root: Path, options: Mapping[str, Any]) -> Found:
    """Index a folder that is on disk at `root`; MalformedRecord where it is damaged, whatever casacore does."""
    (root.parent / "found").mkdir()
    errors = root.parent / "errors.txt"
    request = {
        "objects": [[each.key, each.size] for each in folder.objects],
        "root": str(root),
        "options": dict(options),
    }
    with _started(errors) as (process, pipe):
        talk = _Talk(folder, process, pipe, errors)
        talk.send(json.dumps(request).encode())
        told = talk.until_found()
    return _loaded(folder, root.parent / "found", told)


@contextmanager
def _started(errors: Path) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """Start the child; kill it in the end, which is after its last word."""
    ours, theirs = Pipe()
    with ours, errors.open("wb") as words:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", CHILD, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                pass_fds=(theirs.fileno(),),
            )
        try:
            yield process, ours
        finally:
            process.kill()
            process.wait()


class _Talk:
    """Answers the child, and beats for it."""

    def __init__(
        self, folder: Folder, process: subprocess.Popen[bytes], pipe: Connection, errors: Path
    ) -> None:
        self._folder, self._process, self._pipe, self._errors = folder, process, pipe, errors
        self._at, self._due = "the table", time.monotonic() + BEAT_SECONDS

    def send(self, data: bytes) -> None:
        """Send bytes; when the child is dead, `until_found` says so."""
        with suppress(ConnectionError):
            self._pipe.send_bytes(data)

    def until_found(self) -> dict[str, Any]:
        """Return the child's last word."""
        while True:
            kind, said = self._next()
            if kind == "read":
                number, start, stop = said
                self.send(self._folder.objects[number].read(start, stop))
            elif kind == "problem":
                raise MalformedRecord(said[0], hint=said[1])
            elif kind == "failed":
                raise RuntimeError(f"reading {self._at} failed: {said}")
            elif kind == "found":
                return dict(said)
            else:
                self._at = str(said)

    def _next(self) -> tuple[str, Any]:
        stop = time.monotonic() + SILENCE_SECONDS
        while not self._pipe.poll(min(BEAT_SECONDS, SILENCE_SECONDS)):
            self._beat()
            if time.monotonic() > stop:
                raise MalformedRecord(
                    f"casacore has been reading {self._at} for {SILENCE_SECONDS:g} s, and came to no end",
                    hint="The table is damaged or not whole. " + COPY_AGAIN,
                )
        self._beat()
        try:
            ((kind, said),) = json.loads(self._pipe.recv_bytes()).items()
        except (EOFError, ConnectionError):
            raise self._death() from None
        return str(kind), said

    def _beat(self) -> None:
        """Read a byte, which tells the job that its worker is alive."""
        if time.monotonic() >= self._due:
            self._folder.object(MAIN).read(0, 1)
            self._due = time.monotonic() + BEAT_SECONDS

    def _death(self) -> Exception:
        """Say how the child ended, and on what."""
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        words = self._errors.read_text(errors="replace").partition("what():")[2].strip()
        text = f"casacore ended with {how} while reading {self._at}"
        if -code in _NOT_ITS_FAULT:
            return RuntimeError(text)
        said = f": {without_place(words)[:300]}" if words else ""
        return MalformedRecord(text + said, hint="The table is damaged or not whole. " + COPY_AGAIN)


def _loaded(folder: Folder, place: Path, told: Mapping[str, Any]) -> Found:
    """Read what the child has written."""
    tables = {file.stem: np.load(file, allow_pickle=False) for file in sorted(place.glob("*.npy"))}
    pictures = {
        name: Picture(media_type, (place / f"{name}.picture").read_bytes(), title)
        for name, (media_type, title) in told["pictures"].items()
    }
    held = [ObjectTables({}, 0)] * len(folder.objects)
    held[folder.numbers[MAIN]] = ObjectTables(tables, int(told["n_rows"]))
    return Found(held, told["summary"], pictures)
