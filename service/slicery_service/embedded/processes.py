"""Child processes: started in order, watched, stopped in reverse order, never left behind.

Each child leads a session of its own, so that Ctrl-C in the terminal reaches this process alone. A watchdog
process stops the children should this process be killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from slicery_service.embedded import watchdog
from slicery_service.embedded.errors import Interrupted, NotReady, ProgramFailed, StackError

POLL_SECONDS = 0.03
TAIL_LINES = 20


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to end it: `stop_signal`, then SIGKILL after `grace_seconds`."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0


class Child:
    """A running program and its log file."""

    def __init__(self, program: Program, log: Path, stdout: int | None = None) -> None:
        self.program = program
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                program.argv,
                stdin=subprocess.DEVNULL,
                stdout=output if stdout is None else stdout,
                stderr=output,
                env=dict(program.env),
                cwd=program.cwd,
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        """End the program, gently first, and whatever it has left in its process group."""
        self.process.send_signal(self.program.stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(self.program.grace_seconds)
        self.kill()
        self.process.wait()

    def kill(self) -> None:
        """Kill the program's process group, without waiting for its end."""
        # macOS says EPERM for a group of zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def describe_end(self) -> str:
        """Say how the program ended, with the tail of its log."""
        code = self.process.returncode
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"{self.program.name} {how}. {self.describe_log()}"

    def describe_log(self) -> str:
        """Quote the last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"The end of {self.log}:", *(f"  {line}" for line in lines)])


class Supervisor:
    """Starts programs in order and stops them in reverse order."""

    def __init__(self) -> None:
        self.interrupted = False
        self._children: list[Child] = []
        self._watchdog: subprocess.Popen[str] | None = None
        self._logs = Path()

    def open(self, *, logs: Path, lock: int) -> None:
        """Start the watchdog; it holds the open file `lock` until all children have ended."""
        self._logs = logs
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd="/",
            pass_fds=[lock],
            start_new_session=True,
        )

    def start(self, program: Program, stdout: int | None = None) -> Child:
        """Start a program; its output goes to its log, its standard output to `stdout` where given."""
        if self._watchdog is None:
            raise StackError("The supervisor is not open.")
        log = self._logs / f"{program.name.lower().replace(' ', '-')}.log"
        try:
            child = Child(program, log, stdout)
        except OSError as exc:
            raise ProgramFailed(f"{program.name} cannot be started: {exc}") from exc
        self._children.append(child)
        self._tell(f"+ {child.process.pid} {program.stop_signal.value} {program.grace_seconds}")
        return child

    def run(self, program: Program, *, seconds: float) -> str:
        """Run a program to its end and return its standard output; ProgramFailed when it fails."""
        with tempfile.TemporaryFile() as output:
            child = self.start(program, output.fileno())
            self._wait(child, lambda: child.has_ended, seconds=seconds, may_end=True)
            self._forget(child)
            if child.process.returncode:
                raise ProgramFailed(child.describe_end())
            output.seek(0)
            return output.read().decode()

    def wait_until(self, child: Child, is_ready: Callable[[], bool], *, seconds: float) -> None:
        """Ask `is_ready` until it says yes; raises as `check` does, or NotReady after so many seconds."""
        self._wait(child, is_ready, seconds=seconds, may_end=False)

    def check(self, may_end: Child | None = None) -> None:
        """Raise Interrupted when a signal asked to stop, ProgramFailed when a child has ended by itself."""
        if self.interrupted:
            raise Interrupted("interrupted")
        for child in self._children:
            if child is not may_end and child.has_ended:
                raise ProgramFailed(child.describe_end())
        if self._watchdog is not None and self._watchdog.poll() is not None:
            raise StackError("The watchdog process was ended from outside.")

    def stop(self) -> None:
        """Stop all children, the last started first, and the watchdog."""
        for child in reversed(self._children.copy()):
            child.stop()
            self._forget(child)
        if self._watchdog is not None and self._watchdog.stdin is not None:
            with suppress(BrokenPipeError):
                self._watchdog.stdin.close()
            self._watchdog.wait()

    def kill(self) -> None:
        """Kill all children at once; safe in a signal handler, for it waits for nothing and takes no lock."""
        for child in reversed(self._children):
            child.kill()

    def _wait(self, child: Child, is_done: Callable[[], bool], *, seconds: float, may_end: bool) -> None:
        deadline = time.monotonic() + seconds
        while not is_done():
            self.check(child if may_end else None)
            if time.monotonic() > deadline:
                raise NotReady(
                    f"{child.program.name} is not ready after {seconds:g} s. {child.describe_log()}"
                )
            time.sleep(POLL_SECONDS)

    def _forget(self, child: Child) -> None:
        self._children.remove(child)
        self._tell(f"- {child.process.pid}")

    def _tell(self, event: str) -> None:
        if self._watchdog is None or self._watchdog.stdin is None:
            return
        with suppress(BrokenPipeError):  # `check` reports the watchdog's end
            self._watchdog.stdin.write(event + "\n")
            self._watchdog.stdin.flush()
