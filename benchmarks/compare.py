"""Compare the kernels with the stored baseline: `python benchmarks/compare.py [--update]`.

benchmarks/baseline.json has for each kernel its time over that of the reference loop (test_kernels.py), nothing else. A kernel that is more
than 20 % slower is measured twice again, and named when it stays so; exit code 1. All kernels run each time, in one order: what the ones
before did to the heap counts. `--update` stores what is measured now. The ratio
depends on the kind of processor, a little: store a baseline where you compare.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "baseline.json"
ALLOWED = 1.20
TRIES = 3


def measured() -> dict[str, float]:
    """Run the kernels; give the ratio of each. SystemExit when one fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        kernels = str(HERE / "test_kernels.py")
        order = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--benchmark-json={out}", kernels]
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}  # a worker of another run would not measure
        env |= {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}  # pages come once, not in every round
        done = subprocess.run(order, cwd=HERE.parent, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the kernels fail:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        return {b["name"]: b["extra_info"]["ratio"] for b in json.loads(out.read_text())["benchmarks"]}


def slower(now: dict[str, float], baseline: dict[str, float]) -> list[str]:
    """The kernels that are over what is allowed."""
    return [name for name, ratio in now.items() if name in baseline and ratio > ALLOWED * baseline[name]]


def show(now: dict[str, float], baseline: dict[str, float]) -> None:
    """A line a kernel."""
    print(f"{'kernel':32}{'baseline':>10}{'now':>10}{'change':>10}")
    for name, ratio in now.items():
        was = baseline.get(name)
        change = f"{100 * (ratio / was - 1):+.0f} %" if was else "new"
        print(f"{name:32}{was if was else float('nan'):>10.3f}{ratio:>10.3f}{change:>10}")


def main() -> int:
    """Measure, measure again what seems slower, show, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="store what is measured as the baseline")
    told = parser.parse_args()
    baseline: dict[str, float] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    now = measured()
    for _ in range(TRIES - 1):
        if told.update or slower(now, baseline):
            now |= {name: min(now[name], ratio) for name, ratio in measured().items()}
    show(now, baseline)
    if told.update:
        BASELINE.write_text(json.dumps({k: round(v, 4) for k, v in sorted((baseline | now).items())}, indent=2) + "\n")
        return 0
    if gone := sorted(set(baseline) - set(now)):
        print(f"in the baseline, and no more measured: {', '.join(gone)}")
    if bad := slower(now, baseline):
        print(f"more than {100 * (ALLOWED - 1):.0f} % slower than the baseline: {', '.join(bad)}")
    if fresh := sorted(set(now) - set(baseline)):
        print(f"not in the baseline; make bench-compare UPDATE=1 stores it: {', '.join(fresh)}")
    return int(bool(bad or gone or fresh))


if __name__ == "__main__":
    sys.exit(main())
