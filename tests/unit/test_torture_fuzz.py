"""The fuzzer itself, and a little of it over every target; the full row is `lsmlab torture --only K`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from experiments.torture import row_k_fuzz
from experiments.torture.fuzz import build
from experiments.torture.fuzz.seeds import REPORTED, seeds

needs_compiler = pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="the fuzzer has sanitizers of its own")


@pytest.fixture(scope="module")
def driver() -> Path:
    try:
        return build.driver()
    except build.NoCompiler as e:
        pytest.skip(str(e))


@needs_compiler
def test_every_target_has_seeds(driver: Path) -> None:
    listed = subprocess.run([driver, "--list"], capture_output=True, text=True, check=True).stdout.split()
    assert tuple(listed) == row_k_fuzz.TARGETS
    assert all(len(seeds(t)) >= 3 for t in listed)


@needs_compiler
@pytest.mark.parametrize(("target", "data"), [(t, d) for t, all_of in REPORTED.items() for d in all_of])
def test_what_ended_other_engines_does_not_end_this_one(driver: Path, tmp_path: Path, target: str, data: bytes) -> None:
    (tmp_path / "input").write_bytes(data)
    done = subprocess.run([driver, target, "--repeat", tmp_path / "input"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no problem\n"), done.stderr


@needs_compiler
@pytest.mark.parametrize("target", row_k_fuzz.TARGETS)
def test_targets_in_c(driver: Path, target: str) -> None:
    found = row_k_fuzz.run({"target": target, "runs": 3000, "seed": 1})
    assert not found.violations
    assert found.cases == 3000
    assert found.more["places reached"] > 100
    assert found == row_k_fuzz.run({"target": target, "runs": 3000, "seed": 1})


@needs_compiler
def test_a_crashing_input_is_kept_and_can_be_repeated(driver: Path, tmp_path: Path) -> None:
    (tmp_path / "seed").write_bytes(b"\1\0\0\0\0")
    broken = tmp_path / "broken.c"
    broken.write_text(
        '#include "experiments/torture/fuzz/fuzz.h"\n'
        "static void run(const uint8_t *p, size_t n) { if (n > 2 && p[1] == 7) { volatile uint8_t *q = 0; *q = p[0]; } }\n"
        'const fuzz_target fuzz_targets[] = {{"broken", 0, run}, {0, 0, 0}};\n'
    )
    program = tmp_path / "driver"
    own = str(build.HERE / "driver.c")
    flags = ["-std=gnu11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{build.ROOT}"]
    subprocess.run(["cc", *flags, own, str(broken), "-o", str(program)], check=True)
    again = [program, "broken", tmp_path, "--runs", "200000", "--seed", "1", "--keep", tmp_path]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    kept = next(line.split()[-1] for line in done.stderr.splitlines() if line.startswith("FUZZ broken"))
    assert Path(kept).read_bytes()[1] == 7
    empty = tmp_path / "empty"
    empty.mkdir()
    assert subprocess.run([program, "broken", "--repeat", kept], cwd=empty, capture_output=True, check=False).returncode != 0
    assert not list(empty.iterdir()), "what is repeated is kept already"
    assert subprocess.run([program, "broken", "--repeat", tmp_path / "seed"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("target", row_k_fuzz.IN_PYTHON)
def test_targets_in_python(target: str) -> None:
    found = row_k_fuzz.run({"target": target, "runs": 1000 if target in row_k_fuzz.SLOW else 2000, "seed": 1})
    assert not found.violations
    assert found.more["accepted"] > 10
    assert found.more["refused"] > 100


def test_without_a_compiler_the_row_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    found = row_k_fuzz.run({"target": "block", "runs": 10, "seed": 1})
    assert "no C compiler" in found.missing
    assert found.cases == 0
