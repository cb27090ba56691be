"""Refuse an extension that was not built from the sources beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path


def require_fresh(built: str) -> None:
    """Raise ImportError when the sources are here (a source tree, no wheel) and their fingerprint is not the extension's."""
    here = Path(__file__).resolve().parent
    if not any((here / "csrc").glob("*.c")):
        return
    digest = hashlib.blake2b(digest_size=8)
    for path in [*sorted((here / "csrc").glob("*.[ch]")), here / "_build.py"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    if digest.hexdigest() != built:
        raise ImportError("indexes._native is stale: run make build")
