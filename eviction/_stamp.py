"""Refuse an extension that was built from other sources than those beside it (in a source tree; a wheel holds no sources)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from . import _build


def check(built: str) -> None:
    """Raise ImportError unless ``built`` is the stamp of the sources, by the rule of ``native_build.stamp``; no sources, no check."""
    here = Path(__file__).resolve().parent
    own = sorted((here / "csrc").glob("*.[ch]"))
    if not any(path.suffix == ".c" for path in own):
        return
    digest = hashlib.blake2b(digest_size=8)
    for path in [*own, *sorted(here.parent / name for name in _build.INCLUDES), here / "_build.py"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    if digest.hexdigest() != built:
        raise ImportError(f"{here.name}/_native is stale: run make build")
