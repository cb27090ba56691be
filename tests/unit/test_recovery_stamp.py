"""An extension built from other sources never runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import recovery
from recovery import _stamp

HOME = Path(recovery.__file__).parent


def test_another_stamp_is_refused() -> None:
    if not list(HOME.glob("csrc/*.c")):
        pytest.skip("installed without sources: there is nothing to compare with")
    with pytest.raises(ImportError, match="recovery/_native is stale: run make build"):
        _stamp.check("0123456789abcdef")


def test_a_missing_extension_says_what_to_do(tmp_path: Path) -> None:
    package = tmp_path / "recovery"
    package.mkdir()
    for source in HOME.glob("*.py"):
        (package / source.name).write_bytes(source.read_bytes())
    bare = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in getattr(f, '__module__', '')]; import recovery"
    done = subprocess.run([sys.executable, "-c", bare], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "run make build" in done.stderr
