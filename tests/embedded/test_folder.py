"""The stack's folder: its lock, and what it keeps."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from slicery_service.embedded.errors import FolderUnusable
from slicery_service.embedded.folder import LOOPBACK, Folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_in_use_is_refused_and_the_message_names_the_process(tmp_path: Path) -> None:
    first = Folder(tmp_path)
    first.open()
    try:
        with pytest.raises(FolderUnusable, match=f"already running in .*process {os.getpid()}"):
            Folder(tmp_path).open()
    finally:
        first.close()


def test_a_closed_folder_can_be_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        folder = Folder(tmp_path)
        folder.open()
        folder.close()
        folder.close()


def test_the_lock_of_a_killed_stack_does_not_count(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from slicery_service.embedded.folder import Folder\n"
    script += "Folder(Path(sys.argv[1])).open(); import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert (tmp_path / "lock").read_text()
    folder = Folder(tmp_path)
    folder.open()
    folder.close()


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match="file cannot be used"):
        Folder(tmp_path / "file").open()


def test_a_new_folder_is_private_and_an_existing_one_keeps_its_permissions(tmp_path: Path) -> None:
    existing = tmp_path / "existing"
    existing.mkdir(mode=0o755)
    for folder in (Folder(existing), Folder(tmp_path / "new")):
        folder.open()
        folder.private("logs")
        folder.close()
    assert mode(existing) == 0o755
    assert mode(tmp_path / "new") == 0o700
    assert mode(existing / "logs") == 0o700


def test_secrets_stay_the_same_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    secret = Folder(tmp_path).secret("password")
    assert Folder(tmp_path).secret("password") == secret
    assert len(secret) == 48
    assert mode(tmp_path / "secrets.json") == 0o600
    Folder(tmp_path).forget_secret("password")
    assert Folder(tmp_path).secret("password") != secret


def test_a_broken_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(FolderUnusable, match=r"secrets\.json is not JSON"):
        Folder(tmp_path).secret("password")


def test_a_port_stays_the_same_until_another_program_takes_it(tmp_path: Path) -> None:
    port = Folder(tmp_path).port("server")
    assert Folder(tmp_path).port("server") == port
    with socket.create_server((LOOPBACK, port)):
        other = Folder(tmp_path).port("server")
    assert other != port
    assert Folder(tmp_path).port("server") == other


def test_no_port_is_given_twice(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    ports = [folder.port(f"server-{number}") for number in range(50)]
    assert len(set(ports)) == 50
