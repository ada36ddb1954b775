"""The most memory that this process has taken; getrusage tells that of its parent where that was more."""

from __future__ import annotations

import re
from pathlib import Path


def peak_bytes() -> int:
    """Return the largest resident set so far (proc_pid_status(5), VmHWM)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) << 10
