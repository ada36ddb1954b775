"""The built wheel of the service brings all that its pages are made of."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "service" / "slicery_service"


def test_the_wheel_of_the_service_holds_templates_and_static_files(tmp_path: Path) -> None:
    source = tmp_path / "service"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT / "service", source, ignore=ignored)
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations", ignore=ignored)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(tmp_path),
    ]
    subprocess.run([*command, str(source)], check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {
            name: archive.read(name) for name in archive.namelist() if name.startswith("slicery_service/")
        }
    shown = [
        each for each in PACKAGE.rglob("*") if each.is_file() and {"templates", "static"} & set(each.parts)
    ]
    assert len(shown) > 40
    for each in shown:
        name = each.relative_to(PACKAGE.parent).as_posix()
        assert held.get(name) == each.read_bytes(), name
    modules = {each.relative_to(PACKAGE.parent).as_posix() for each in PACKAGE.rglob("*.py")}
    assert modules <= held.keys()
