"""A user's policy file: where it begins, and what it registers."""

from __future__ import annotations

import importlib.util
import keyword
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import lsm


class PolicyFileError(ValueError):
    """A file that holds no policy: which, and what is wrong."""


def starting_point(name: str) -> str:
    """The text of a new policy file. ValueError for a name that Python could not import."""
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        raise ValueError(f"the name of a policy is {name!r}; allowed: letters, digits and _, not beginning with a digit, no word of Python")
    return resources.files("experiments").joinpath("templates", "policy.txt").read_text(encoding="utf-8").replace("NAME", name)


def load(path: Path) -> list[str]:
    """Run a file; the names of the compaction policies that it registers, in order. PolicyFileError."""
    try:
        spec = importlib.util.spec_from_file_location(f"lsmlab_policy_{path.stem}", path)
        if path.suffix != ".py" or not path.is_file() or spec is None or spec.loader is None:
            raise PolicyFileError(f"{path} is not a Python file; lsmlab policy new NAME writes one to begin with")
        before = dict(lsm.COMPACTIONS)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    except PolicyFileError:
        raise
    except Exception as e:  # the code of a user
        raise PolicyFileError(f"{path} does not run: {type(e).__name__}: {e}") from e
    names = [n for n, factory in lsm.COMPACTIONS.items() if before.get(n) is not factory]
    if not names:
        raise PolicyFileError(f"{path} registers no compaction policy: call lsm.register_policy or lsm.register_compaction in it")
    return names


def make(name: str) -> Any:
    """The policy of a name. PolicyFileError when its factory does not make one."""
    try:
        policy = lsm.COMPACTIONS[name]()
    except Exception as e:  # the code of a user
        raise PolicyFileError(f"the policy {name!r} cannot be made: {type(e).__name__}: {e}") from e
    if not callable(getattr(policy, "plan", None)):
        raise PolicyFileError(f"the policy {name!r} has no plan(view): {policy!r:.60}")
    return policy
