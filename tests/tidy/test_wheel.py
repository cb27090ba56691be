"""The wheel holds exactly what it should, and works away from the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("lsm", "indexes", "eviction", "recovery", "experiments")

pytestmark = [
    pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="a wheel of an instrumented build is nobody's product"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout: which files belong to the project is not known"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    source = out / "source"
    source.mkdir()
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for name in filter(None, files):
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_is_one_for_all_pythons(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    got = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    want = {f"{p}/_native.abi3.so" for p in PACKAGES[:4]}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            shim = path.suffix == ".c" and not {"csrc", "fuzz"} & set(path.parts)  # compiled where it is used; fuzzing needs the sources
            if path.suffix in {".py", ".h", ".toml", ".html", ".txt", ".csv"} or path.name == "py.typed" or shim:
                want.add(str(path.relative_to(ROOT)))
    assert got == want


def test_the_installed_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = "import lsm; d = lsm.open('db'); d[b'k'] = b'v'; d.close(); d = lsm.open('db'); assert d[b'k'] == b'v'; d.close(); "
    code += "print(lsm.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
