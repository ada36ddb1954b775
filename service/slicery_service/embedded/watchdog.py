"""A process that outlives a killed parent by a few seconds, to stop what the parent had started.

Run by its path, with the standard library alone. Its input is one line per event, `+ PID SIGNAL SECONDS`
for a program started and `- PID` for one that has ended. When the input ends, what is left is stopped in
reverse order: the signal, then SIGKILL to the process group after so many seconds.

A pipe tells of the parent's end on every Unix and in every thread. PR_SET_PDEATHSIG was rejected: it is for
Linux alone, fires when the starting *thread* ends, is lost when a child changes its user, does not reach
grandchildren, and cannot insist.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

POLL_SECONDS = 0.05


def follow(lines: Iterable[str]) -> dict[int, tuple[int, float]]:
    """Read events until they end; return what still runs: process id to signal and seconds of grace."""
    running: dict[int, tuple[int, float]] = {}
    for line in lines:
        match line.split():
            case ["+", pid, number, seconds]:
                running[int(pid)] = (int(number), float(seconds))
            case ["-", pid]:
                running.pop(int(pid), None)
    return running


def stop(pid: int, number: int, grace_seconds: float) -> None:
    """Signal a process, wait for its end, and kill what is left of its group."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        deadline = time.monotonic() + grace_seconds
        while _is_running(pid) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _is_running(pid: int) -> bool:
    """Tell whether a process runs; a zombie that nobody reaps, as in some containers, does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:  # no /proc, as on macOS, whose init reaps
        return Path("/proc/self").exists() is False
    return state != "Z"


def main() -> None:
    """Follow standard input to its end, then stop what still runs, the last started first."""
    for pid, (number, grace_seconds) in reversed(follow(sys.stdin).items()):
        stop(pid, number, grace_seconds)


if __name__ == "__main__":
    main()
