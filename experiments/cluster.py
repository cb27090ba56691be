"""Runs on a Ray cluster: each a task of one processor, whose record comes back to the folder here. Ray is optional: extra `cluster`.

Every node needs lsmlab at the same version; a run whose code is other than this machine's is refused, as its record would say so.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from .processes import code_id
from .results import SUFFIX
from .suite import Run, run_id


class NoRay(ValueError):
    """Ray cannot be imported: what to install."""


def _ray() -> Any:
    try:
        import ray
    except ImportError as e:
        raise NoRay(f"--on ray needs Ray ({e}); pip install 'lsmlab[cluster]'") from None
    return ray


def work(config: dict[str, Any], expected: str) -> tuple[str, bytes]:
    """On a node: do the run, give what went wrong or "", and the bytes of the record."""
    from . import worker
    from .results import write

    if code_id() != expected:
        return f"this node has other code: {code_id()}, not {expected}", b""
    with tempfile.TemporaryDirectory(prefix="lsmlab-run-") as home:
        try:
            record = worker.execute(config, Path(home) / "work" / run_id(config), False)
            return "", write(record, Path(home)).read_bytes()
        except Exception as e:
            return f"{type(e).__name__}: {e}", b""


class Ray:
    """A Place: the cluster at $RAY_ADDRESS, or one on this machine for as long as the sweep takes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._ray = folder, _ray()
        address = os.environ.get("RAY_ADDRESS")
        self._ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR", ignore_reinit_error=True)
        self._task = self._ray.remote(num_cpus=1, max_retries=2)(work)
        self._at_work: set[Any] = set()

    def run(self, run: Run) -> str:
        """Do one run on some node; a node that is lost is tried twice more elsewhere."""
        config = run.config()
        task = self._task.remote(config, code_id())
        self._at_work.add(task)
        try:
            problem, data = self._ray.get(task)
        except self._ray.exceptions.RayError as e:
            return f"Ray: {e}".strip().splitlines()[0]
        finally:
            self._at_work.discard(task)
        if not problem:
            draft = self.folder / f"{run_id(config)}.{os.getpid()}.draft"
            draft.write_bytes(data)
            draft.replace(self.folder / (run_id(config) + SUFFIX))
        return str(problem)

    def stop(self) -> None:
        """Cancel what is at work."""
        for task in list(self._at_work):
            self._ray.cancel(task, force=True)

    def close(self) -> None:
        """Let the cluster go."""
        self._ray.shutdown()
