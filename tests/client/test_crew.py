"""Threads that are kept for a while do every task, whoever is idle, and end by themselves."""

from __future__ import annotations

import os
import threading
import time
from queue import SimpleQueue

import pytest

from slicery import crew


def test_tasks_are_done_side_by_side_by_threads_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "IDLE_SECONDS", 0.2)
    own, gate, done = crew.Crew(), threading.Barrier(5), SimpleQueue[threading.Thread]()

    def task() -> None:
        gate.wait(10)
        done.put(threading.current_thread())

    def five() -> set[threading.Thread]:
        for _ in range(4):
            own.do(task)
        gate.wait(10)
        return {done.get(timeout=10) for _ in range(4)}

    first = five()
    assert len(first) == 4
    while own._n_free < 4:
        time.sleep(0.001)
    assert five() == first
    for thread in first:
        thread.join(10)
        assert not thread.is_alive()
    assert not five() & first


def test_a_task_that_comes_as_a_thread_is_leaving_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "IDLE_SECONDS", 0.001)
    own, done = crew.Crew(), SimpleQueue[int]()
    for number in range(500):
        own.do(lambda: done.put(1))
        time.sleep(0.0001 * (number % 30))
    assert sum(done.get(timeout=10) for _ in range(500)) == 500


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX systems fork")
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # a process with threads forks, as workers of pools do
def test_a_forked_process_has_a_crew_of_its_own() -> None:
    done = SimpleQueue[int]()
    crew.do(lambda: done.put(1))
    assert done.get(timeout=10) == 1
    time.sleep(0.05)  # the thread is idle now
    child = os.fork()
    if child == 0:
        code = 1
        try:
            crew.do(lambda: done.put(2))
            code = 0 if done.get(timeout=10) == 2 else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
