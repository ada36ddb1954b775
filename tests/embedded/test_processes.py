"""Child processes: order, failure, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from slicery_service.embedded.errors import Interrupted, NotReady, ProgramFailed, StackError
from slicery_service.embedded.processes import Program, Supervisor

# Tells of its start and its end in a file, and starts a process of its own that ignores signals.
TALKER = """
import pathlib, signal, subprocess, sys, time
name, diary = sys.argv[1], open(sys.argv[2], "a", buffering=1)
def end(*_):
    diary.write(f"end {name}\\n")
    sys.exit()
signal.signal(signal.SIGTERM, end)
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(99)"
child = subprocess.Popen([sys.executable, "-c", deaf])
pathlib.Path(sys.argv[2] + name).write_text(str(child.pid))
diary.write(f"start {name}\\n")
time.sleep(99)
"""
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(99)"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor()
    with (tmp_path / "lock").open("w") as lock:
        supervisor.open(logs=tmp_path, lock=lock.fileno())
        yield supervisor
        supervisor.stop()


def program(tmp_path: Path, name: str, script: str, *arguments: str, grace_seconds: float = 5) -> Program:
    command = [sys.executable, "-c", script, *arguments]
    return Program(name, command, env=dict(os.environ), cwd=tmp_path, grace_seconds=grace_seconds)


def eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def says(diary: Path, line: str) -> bool:
    return diary.exists() and line in diary.read_text()


def start_talkers(supervisor: Supervisor, tmp_path: Path) -> list[int]:
    """Start two programs; return the process ids of both and of their children."""
    diary = tmp_path / "diary"
    pids = []
    for name in ("first", "second"):
        child = supervisor.start(program(tmp_path, name, TALKER, name, str(diary)))
        supervisor.wait_until(child, partial(says, diary, f"start {name}"), seconds=10)
        pids += [child.process.pid, int(Path(f"{diary}{name}").read_text())]
    return pids


def test_stopping_ends_the_last_first_and_what_it_started(supervisor: Supervisor, tmp_path: Path) -> None:
    pids = start_talkers(supervisor, tmp_path)
    supervisor.stop()
    diary = (tmp_path / "diary").read_text().split("\n")[:-1]
    assert diary == ["start first", "start second", "end second", "end first"]
    assert eventually(lambda: not any(is_running(pid) for pid in pids))


def test_killing_the_parent_ends_the_children_in_order_as_well(tmp_path: Path) -> None:
    script = f"""
import sys; from pathlib import Path; sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_processes as t
tmp_path = Path({str(tmp_path)!r}); supervisor = t.Supervisor()
supervisor.open(logs=tmp_path, lock=(tmp_path / "lock").open("w").fileno())
print(*t.start_talkers(supervisor, tmp_path), flush=True)
t.time.sleep(99)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 4
        parent.kill()
    assert eventually(lambda: not any(is_running(pid) for pid in pids))
    diary = (tmp_path / "diary").read_text().split("\n")[:-1]
    assert diary == ["start first", "start second", "end second", "end first"]


def test_a_program_that_ignores_its_signal_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(program(tmp_path, "stubborn", STUBBORN, grace_seconds=0.2))
    supervisor.wait_until(child, lambda: "deaf" in child.log.read_text(), seconds=10)
    supervisor.stop()
    assert child.process.returncode == -signal.SIGKILL


def test_killing_waits_for_no_grace(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(program(tmp_path, "stubborn", STUBBORN, grace_seconds=60))
    supervisor.kill()
    assert child.process.wait(5) == -signal.SIGKILL


def test_a_child_is_beyond_the_terminals_reach(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(program(tmp_path, "child", "import time; time.sleep(99)"))
    assert os.getsid(child.process.pid) == child.process.pid != os.getsid(0)


def test_a_program_that_ends_by_itself_is_shown_with_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(program(tmp_path, "Short Lived", "import sys; sys.exit('no disk')"))
    with pytest.raises(
        ProgramFailed, match=r"Short Lived ended with exit code 1(.|\n)*short-lived\.log:\n  no disk"
    ):
        supervisor.wait_until(child, lambda: False, seconds=10)


def test_a_program_that_was_killed_is_shown_with_the_signal(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(program(tmp_path, "victim", "import time; time.sleep(99)"))
    child.process.kill()
    with pytest.raises(ProgramFailed, match="victim was ended by SIGKILL"):
        supervisor.wait_until(child, lambda: False, seconds=10)


def test_a_program_that_cannot_be_started_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="ghost cannot be started"):
        supervisor.start(Program("ghost", [str(tmp_path / "ghost")], env={}, cwd=tmp_path))


def test_a_program_that_never_gets_ready_is_given_up(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(program(tmp_path, "slow", STUBBORN, grace_seconds=0))
    supervisor.wait_until(child, lambda: "deaf" in child.log.read_text(), seconds=10)
    with pytest.raises(NotReady, match=r"slow is not ready after 0\.1 s(.|\n)*deaf"):
        supervisor.wait_until(child, lambda: False, seconds=0.1)


def test_an_interruption_ends_the_waiting(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(program(tmp_path, "slow", "import time; time.sleep(99)"))
    supervisor.interrupted = True
    with pytest.raises(Interrupted):
        supervisor.wait_until(child, lambda: False, seconds=10)


def test_running_a_program_returns_its_output_and_logs_errors(supervisor: Supervisor, tmp_path: Path) -> None:
    script = "import sys; print('result'); print('warning', file=sys.stderr)"
    assert supervisor.run(program(tmp_path, "tool", script), seconds=10) == "result\n"
    assert (tmp_path / "tool.log").read_text() == "warning\n"
    with pytest.raises(ProgramFailed, match="tool ended with exit code 3"):
        supervisor.run(program(tmp_path, "tool", "raise SystemExit(3)"), seconds=10)


def test_the_end_of_the_watchdog_is_noticed(supervisor: Supervisor, tmp_path: Path) -> None:
    assert eventually(lambda: len(watchdogs()) > 0), "no watchdog was started"
    watchdogs()[-1].kill()
    assert eventually(lambda: raises_about_watchdog(supervisor))


def watchdogs() -> list[psutil.Process]:
    """The watchdogs among this process's children; one just started has no command line for a moment."""
    return [child for child in psutil.Process().children() if "watchdog.py" in " ".join(child.cmdline())]


def raises_about_watchdog(supervisor: Supervisor) -> bool:
    try:
        supervisor.check()
    except StackError as exc:
        return "watchdog" in str(exc)
    return False


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
