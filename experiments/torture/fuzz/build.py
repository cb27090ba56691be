"""Compiling the fuzzer: the readers with sanitizers and coverage, the driver and the targets; once for a state of the sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
_COUNTING = "--coverage" in os.environ.get("LSMLAB_CFLAGS", "")  # `make coverage`: built as the extensions are there, so that counts add up
_FLAGS = [
    "-std=gnu11", "-pthread", "-fno-omit-frame-pointer", "-I.",
    *(shlex.split(os.environ["LSMLAB_CFLAGS"]) if _COUNTING else
      ["-O1", "-g1", "-UNDEBUG", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]),
]  # fmt: skip
_COVERAGE = ["-fsanitize-coverage=trace-pc"]


class NoCompiler(RuntimeError):
    """The fuzzer cannot be made here; says why."""


def _sources() -> list[Path]:
    """Return the C files that need no interpreter."""
    found = []
    for package in ("recovery", "indexes", "lsm"):
        for path in sorted((ROOT / package / "csrc").glob("*.c")):
            text = path.read_text()
            if not any(header in text for header in ("Python.h", "typed_impl.h", "bridge_python.h", "builtins.h")):
                found.append(path)
    return found


def driver() -> Path:
    """Return the program, compiled if it is not there yet. NoCompiler; RuntimeError: our own sources do not compile."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if not (HERE / "driver.c").exists() or not (sources := _sources()):
        raise NoCompiler("the C sources are not here: run it in the source tree")
    if compiler is None:
        raise NoCompiler("no C compiler: install gcc, or set CC")
    digest = hashlib.blake2b(shlex.join(_FLAGS).encode(), digest_size=8)
    for path in [*sources, *sorted(ROOT.glob("*/csrc/*.h")), *sorted(HERE.glob("*.[ch]"))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    folder = ROOT / "build" / "fuzz" / digest.hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # slices begin at the same time
        program = folder / "driver"
        if not program.exists():
            _check_compiler(compiler, folder)
            _compile(compiler, sources, folder, program)
    return program


def _check_compiler(compiler: str, folder: Path) -> None:
    """Raise NoCompiler unless a program of one line can be made with the sanitizers and the coverage."""
    (folder / "one.c").write_text("int main(void) { return 0; }\n")
    source = str(folder / "one.c")
    for step in ([*_COVERAGE, "-c", source, "-o", str(folder / "one.o")], [source, "-o", str(folder / "one")]):
        done = subprocess.run([compiler, *_FLAGS, *step], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoCompiler(f"{compiler} has no sanitizers or no coverage: {done.stderr.strip()[-300:]}")


def _compile(compiler: str, sources: list[Path], folder: Path, program: Path) -> None:
    def one(path: Path, more: list[str]) -> str:
        target = folder / f"{path.parent.parent.name}-{path.stem}.o"
        source = str(path.relative_to(ROOT))
        order = [compiler, *_FLAGS, *more, "-c", source, "-o", str(target)]
        done = subprocess.run(order, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{compiler} does not compile {path.name}: {done.stderr.strip()[-300:]}")
        return str(target)

    own = sorted(HERE.glob("*.c"))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        objects = list(pool.map(lambda p: one(p, [] if p in own else _COVERAGE), [*sources, *own]))
    temporary = program.with_suffix(".new")
    done = subprocess.run([compiler, *_FLAGS, "-o", str(temporary), *objects, "-ldl", "-lm"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{compiler} does not link the fuzzer: {done.stderr.strip()[-300:]}")
    temporary.rename(program)
