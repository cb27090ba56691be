"""make bench-compare: a kernel that got slower is measured again and then named; the baseline holds ratios and nothing else."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare", ROOT / "benchmarks" / "compare.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "BASELINE", tmp_path / "baseline.json")
    monkeypatch.setattr(sys, "argv", ["compare.py"])
    return module


def measuring(compare: ModuleType, monkeypatch: pytest.MonkeyPatch, *rounds: dict[str, float]) -> list[int]:
    """Let the measurements give these figures one after another, the last for good; which were made."""
    made: list[int] = []

    def measured() -> dict[str, float]:
        made.append(min(len(made), len(rounds) - 1))
        return dict(rounds[made[-1]])

    monkeypatch.setattr(compare, "measured", measured)
    return made


def test_a_slower_kernel_is_named(compare: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    compare.BASELINE.write_text('{"a": 1.0, "b": 2.0}')
    made = measuring(compare, monkeypatch, {"a": 1.1, "b": 2.5})
    assert compare.main() == 1
    assert len(made) == 3, "measured again before it is named"
    assert "more than 20 % slower than the baseline: b\n" in capsys.readouterr().out


def test_a_bad_moment_is_no_regression(compare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    compare.BASELINE.write_text('{"a": 1.0, "b": 2.0}')
    made = measuring(compare, monkeypatch, {"a": 1.1, "b": 2.5}, {"a": 1.5, "b": 2.1})
    assert compare.main() == 0
    assert made == [0, 1]


def test_kernels_that_come_or_go_are_told(compare: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    compare.BASELINE.write_text('{"a": 1.0, "old": 2.0}')
    measuring(compare, monkeypatch, {"a": 1.0, "new": 3.0})
    assert compare.main() == 1
    told = capsys.readouterr().out
    assert "no more measured: old" in told and "not in the baseline; make bench-compare UPDATE=1 stores it: new" in told


def test_the_baseline_is_stored(compare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["compare.py", "--update"])
    measuring(compare, monkeypatch, {"a": 1.3}, {"a": 1.23456}, {"a": 1.4})
    assert compare.main() == 0
    assert json.loads(compare.BASELINE.read_text()) == {"a": 1.2346}, "the best of three"


def test_the_baseline_of_the_tree_has_ratios_of_the_kernels_and_nothing_else() -> None:
    baseline = json.loads((ROOT / "benchmarks" / "baseline.json").read_text())
    kernels = (ROOT / "benchmarks" / "test_kernels.py").read_text()
    assert all(isinstance(ratio, float) and 0 < ratio < 1000 for ratio in baseline.values())
    assert all(f"def {name.partition('[')[0]}(" in kernels for name in baseline)
    assert {name.partition("[")[0] for name in baseline} == {w.partition("(")[0] for w in kernels.split("\ndef ") if w.startswith("test_")}


def test_the_kernels_run() -> None:
    pytest.importorskip("pytest_benchmark")
    spec = importlib.util.spec_from_file_location("compare", ROOT / "benchmarks" / "compare.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.measured().keys() == json.loads((ROOT / "benchmarks" / "baseline.json").read_text()).keys()
