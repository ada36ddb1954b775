"""Threads that are kept for a while: starting one takes a millisecond where others are busy, and slices need many."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

IDLE_SECONDS = 5.0

Task = Callable[[], None]


class Crew:
    """Does tasks, each in a thread: one that is idle, or else a new one. Threads end with the process, or when idle."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        self._lock = threading.Lock()
        self._n_free = 0
        """Threads that wait for a task, less the tasks that are on their way to one."""

    def do(self, task: Task) -> None:
        """Have a task done, which must not raise."""
        with self._lock:
            is_one_free = self._n_free > 0
            self._n_free -= is_one_free
        if is_one_free:
            self._tasks.put(task)
        else:
            threading.Thread(target=self._work, args=(task,), name="slicery-part", daemon=True).start()

    def _work(self, task: Task | None) -> None:
        while task is not None:
            task()
            with self._lock:
                self._n_free += 1
            task = self._next()

    def _next(self) -> Task | None:
        """Wait for a task; None when none has come for long."""
        try:
            return self._tasks.get(timeout=IDLE_SECONDS)
        except Empty:
            with self._lock:
                if self._n_free > 0:
                    self._n_free -= 1
                    return None
            return self._tasks.get()  # it is on its way


_crew = Crew()


def do(task: Task) -> None:
    """Have a task done in a thread of the process's crew."""
    _crew.do(task)


def _begin_anew() -> None:
    global _crew
    _crew = Crew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
