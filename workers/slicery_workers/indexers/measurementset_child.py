"""Run by `measurementset_apart`, which says how they talk: index a folder on disk with python-casacore.

python -m slicery_workers.indexers.measurementset_child FILE_DESCRIPTOR
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.measurementset_folder import Folder
from slicery_workers.indexers.measurementset_tables import make_tables
from slicery_workers.reader import ObjectReader
from slicery_workers.tables import SourceObject

MOST_MEMORY_BYTES = 2 << 30
"""A damaged length must not take the machine's memory; casacore then says that there is none."""
TELL_SECONDS = 0.2


def main() -> None:
    """Answer one request, which tells the objects, where they are on disk, and the options."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Connection(int(sys.argv[1])) as pipe:
        parent = _Parent(pipe)
        try:
            parent.say("found", _found(parent, json.loads(pipe.recv_bytes())))
        except MalformedRecord as exc:
            parent.say("problem", [exc.detail, exc.hint])
        except Exception:  # noqa: BLE001 - the process' border: the parent raises it
            parent.say("failed", traceback.format_exc())


def _found(parent: _Parent, request: Mapping[str, Any]) -> dict[str, Any]:
    """Index, write the tables and pictures as files, and return the rest."""
    root = Path(request["root"])
    objects = [_Asked(parent, number, *each) for number, each in enumerate(request["objects"])]
    folder = Folder.of(objects, root)
    tables, n_rows, summary, pictures = make_tables(folder, root, request["options"], parent.tell)
    place = root.parent / "found"
    for name, table in tables.items():
        np.save(place / f"{name}.npy", table, allow_pickle=False)
    for name, picture in pictures.items():
        (place / f"{name}.picture").write_bytes(picture.content)
    about = {name: [each.media_type, each.title] for name, each in pictures.items()}
    return {"n_rows": n_rows, "summary": summary, "pictures": about}


class _Parent:
    """The process that started this one."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()
        self._told, self._due = "", 0.0

    def say(self, kind: str, said: Any) -> None:
        """Send a message."""
        self._pipe.send_bytes(json.dumps({kind: said}).encode())

    def tell(self, what: str) -> None:
        """Say what is being read: at once where it is something else, and else not too often."""
        if what != self._told or time.monotonic() >= self._due:
            with self._lock:
                self.say("at", what)
            self._told, self._due = what, time.monotonic() + TELL_SECONDS

    def ask(self, number: int, start: int, stop: int) -> bytes:
        """Return bytes of an object."""
        with self._lock:
            self.say("read", [number, start, stop])
            return self._pipe.recv_bytes()


class _Asked(SourceObject):
    """An object that the parent reads."""

    def __init__(self, parent: _Parent, number: int, key: str, size: int) -> None:
        self.key, self.size = key, size
        self._parent, self._number = parent, number

    def read(self, start: int, stop: int) -> bytes:
        return self._parent.ask(self._number, start, stop) if stop > start else b""

    @contextmanager
    def open(self, stop: int | None = None) -> Iterator[ObjectReader]:
        with ObjectReader(
            lambda wanted: self.read(wanted.start, wanted.stop),
            self.size,
            on_bytes=lambda _: None,
            ahead_stop=stop,
        ) as reader:
            yield reader


if __name__ == "__main__":
    main()
