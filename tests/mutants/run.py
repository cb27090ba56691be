"""Plants each defect in a copy of the tree, builds what it touches and runs its test, which must fail.

    build/mutants/clean   the tree as it is, built with -O1 and assertions; all named tests must pass here first
    build/mutants/0 ..    a copy of it for each job: a defect is planted, the test runs, the files are put back

``python tests/mutants/run.py [NAME ...]`` runs those (all when none is named); ``-j 4`` at once, ``--list`` prints them, ``--docs``
writes their table into docs/mutants.md. Exit code 1 when a defect survives, does not apply or does not build.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from defects import PAGE, ROOT, Defect, load, page

PACKAGES = ("recovery", "eviction", "indexes", "lsm")
LIMIT = 90.0  # seconds for one test; a hang counts as caught, and is told
CAUGHT = ("caught", "hang", "crash")
RUNNING: set[subprocess.Popen[str]] = set()  # each leads a process group, which Ctrl-C does not reach


@dataclass(frozen=True)
class Verdict:
    """What became of a defect: one of CAUGHT, "survived", "not applied", "not built", "no test"."""

    defect: Defect
    outcome: str
    seconds: float
    output: str = ""

    @property
    def is_caught(self) -> bool:
        """Whether its test failed, as it should."""
        return self.outcome in CAUGHT


def environment(tree: Path) -> dict[str, str]:
    """Return the variables for a process in a tree. No bytecode: a file changed twice in a second would be taken for the old one."""
    flags = {"LSMLAB_CHECK": "1", "LSMLAB_CFLAGS": "-O1 -Wno-error"}
    return {**os.environ, **flags, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def call(command: Sequence[str], tree: Path, limit: float | None = None) -> tuple[int | None, str]:
    """Run a command in a tree; its process group dies with it. Returns the exit code (None: the limit came first) and the output."""
    with subprocess.Popen(
        command, cwd=tree, env=environment(tree), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        RUNNING.add(process)
        try:
            output, _ = process.communicate(timeout=limit)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            return None, f"no end after {limit:.0f} s"
        finally:
            RUNNING.discard(process)
            end(process)


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def build(tree: Path) -> tuple[int | None, str]:
    """Build the extensions of a tree whose sources changed."""
    return call([sys.executable, "native_build.py", "--stale"], tree)


def pytest(tree: Path, tests: Sequence[str], *options: str, limit: float | None = None) -> tuple[int | None, str]:
    """Run tests in a tree."""
    fixed = ["-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=0"]
    return call([sys.executable, "-m", "pytest", *fixed, *options, *tests], tree, limit)


def copy_of(root: Path, to: Path) -> None:
    """Copy the tree's files, those not committed yet included."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, capture_output=True, check=True).stdout
    shutil.rmtree(to, ignore_errors=True)
    for name in names.decode().split("\0"):
        if name and (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, to / name)


def put_back(clean: Path, tree: Path, defect: Defect) -> None:
    """Undo a defect: the sources, and the extensions that were built of them."""
    for name in [*defect.files(), *(f"{package}/_native.abi3.so" for package in PACKAGES)]:
        if (clean / name).exists() and (clean / name).read_bytes() != (tree / name).read_bytes():
            shutil.copyfile(clean / name, tree / f"{name}.new")
            os.replace(tree / f"{name}.new", tree / name)


def judge(defect: Defect, clean: Path, tree: Path, limit: float = LIMIT) -> Verdict:
    """Plant a defect in a tree, run its test, put everything back."""
    began = time.monotonic()

    def verdict(outcome: str, output: str = "") -> Verdict:
        return Verdict(defect, outcome, time.monotonic() - began, output)

    try:
        defect.plant(tree)
    except (OSError, ValueError) as e:
        return verdict("not applied", str(e))
    try:
        if any(name.endswith((".c", ".h")) for name in defect.files()):
            code, output = build(tree)
            if code != 0:
                return verdict("not built", output)
        code, output = pytest(tree, [defect.test], limit=limit)
    finally:
        put_back(clean, tree, defect)
    if code is None:
        return verdict("hang", output)
    if code < 0:
        return verdict("crash", output)
    return verdict({0: "survived", 1: "caught"}.get(code, "no test"), output)


def judge_all(defects: Sequence[Defect], clean: Path, jobs: int, limit: float = LIMIT) -> list[Verdict]:
    """Judge defects, some at once, each in its own copy of the clean tree; a line each as they come."""
    trees: queue.Queue[Path] = queue.Queue()
    for n in range(min(jobs, len(defects))):
        tree = clean.with_name(str(n))
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(clean, tree, ignore=shutil.ignore_patterns("build", ".hypothesis", "__pycache__"))
        trees.put(tree)

    def one(defect: Defect) -> Verdict:
        tree = trees.get()
        try:
            return judge(defect, clean, tree, limit)
        finally:
            trees.put(tree)

    found = []
    pool = ThreadPoolExecutor(jobs)
    try:
        for done in as_completed([pool.submit(one, d) for d in defects]):
            v = done.result()
            found.append(v)
            print(f"{v.outcome:12} {v.seconds:6.1f} s  {v.defect.name}  {v.defect.test}", flush=True)
            if not v.is_caught:
                print(v.output[-4000:], flush=True)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(RUNNING):
            end(process)
        raise
    finally:
        pool.shutdown()
    return found


def main(args: Sequence[str] | None = None) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python tests/mutants/run.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="the defects to plant; all when none is named")
    parser.add_argument("-j", "--jobs", type=int, default=min(4, os.cpu_count() or 1), help="how many at once")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree, its defects in tests/mutants/defects/")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for one test")
    parser.add_argument("--list", action="store_true", help="print the defects")
    parser.add_argument("--docs", action="store_true", help="write their table into docs/mutants.md")
    asked = parser.parse_args(args)
    defects = load(asked.root / "tests" / "mutants" / "defects")
    if asked.docs:
        PAGE.write_text(page(PAGE.read_text(), defects))
        return 0
    if unknown := sorted(set(asked.names) - {d.name for d in defects}):
        parser.error(f"no defect {', '.join(unknown)}; there are {', '.join(d.name for d in defects)}")
    chosen = [d for d in defects if not asked.names or d.name in asked.names]
    if asked.list:
        for d in chosen:
            print(f"{d.name}: {d.what} [{', '.join(map(str, d.modes))}] {d.test}")
        return 0
    clean = asked.root / "build" / "mutants" / "clean"
    copy_of(asked.root, clean)
    tests = sorted({d.test for d in chosen})
    for problem, step in (
        ("the tree does not build", lambda: build(clean)),
        ("a named test does not exist", lambda: pytest(clean, tests, "--collect-only")),
        ("a named test fails without a defect", lambda: pytest(clean, tests, "-n", str(asked.jobs))),
    ):
        code, output = step()
        if code != 0:
            print(f"{problem}:\n{output[-8000:]}")
            return 1
    print(f"{len(tests)} tests pass on the tree as it is; now with each of {len(chosen)} defects", flush=True)
    found = judge_all(chosen, clean, asked.jobs, asked.limit)
    missed = [v for v in found if not v.is_caught]
    print(f"{len(found) - len(missed)} of {len(found)} caught" + "".join(f"\n{v.outcome}: {v.defect.name}" for v in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
