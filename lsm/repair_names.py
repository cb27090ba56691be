"""The true names of encrypted files: one that lies under another file's name cannot even be opened, as its key is bound to number and kind.

    damaged directory --hard links, or copies--> a staging directory, in which every file has the name that it authenticates under

Only where there is such a file. In clear nothing of the kind is needed: footers and checksums of blocks say what a file is.
"""

from __future__ import annotations

import errno
from contextlib import suppress

from recovery import CryptFileSystem, FileSystem

from .inventory import Inventory, take
from .recover import ours
from .repair_work import PIECE


def with_true_names(outer: FileSystem, fs: FileSystem, found: Inventory, staging: str) -> tuple[Inventory, list[str]]:
    """Return what is in the directory with every file under its true name, and a line for each that had another. Writes to staging only."""
    strangers = [n for n in found.names if ours(n) and n not in ("LOCK", "KEYS") and _is_refused(fs, f"{found.path}/{n}")]
    if not isinstance(fs, CryptFileSystem) or not strangers:
        return found, []
    outer.makedirs(staging)
    told, free = list[str](), [*strangers, *(n for n in _named(found) if n not in found.names)]
    for name in strangers:
        for true in [n for n in free if n != name]:
            trial = f"{staging}/{true}.0"  # of the same identity, and of another name: what is taken stays
            _link(outer, f"{found.path}/{name}", trial)
            if not _is_refused(fs, trial):
                outer.rename(trial, f"{staging}/{true}")
                free.remove(true)
                told.append(f"{name} is {true}")
                break
            outer.unlink(trial)
    if not told:
        return found, []
    moved = {line.partition(" ")[0] for line in told}
    for name in found.names:
        if name not in moved and not outer.exists(f"{staging}/{name}") and not outer.stat(f"{found.path}/{name}")[1]:
            _link(outer, f"{found.path}/{name}", f"{staging}/{name}")
    return take(fs, staging), told


def clear_staging(outer: FileSystem, staging: str) -> None:
    """Remove the staging directory, if there is one."""
    if outer.exists(staging):
        for name in outer.listdir(staging):
            outer.unlink(f"{staging}/{name}")
        outer.rmdir(staging)


def _is_refused(fs: FileSystem, path: str) -> bool:
    try:
        fs.open(path, "salvage").close()  # the header alone counts
    except OSError as e:
        return e.errno == errno.EBADMSG
    return False


def _named(found: Inventory) -> list[str]:
    """The files that the manifest names, as far as it can be read."""
    state = found.state
    if state is None:
        return []
    names = [f"{n:06d}.sst" for v in state.versions.values() for n in v.tables()]
    names += [f"{x.number:06d}.vlog" for v in state.versions.values() for x in v.values]
    return names + [f"{n:06d}.idx" for n in state.attached_files()]


def _link(fs: FileSystem, path: str, to: str) -> None:
    with suppress(OSError):  # another file system, or one without hard links
        fs.link(path, to)
        return
    with fs.open(path) as source, fs.open(to, "w") as target:
        for at in range(0, source.size(), PIECE):
            target.append(source.pread(PIECE, at))


__all__ = ["clear_staging", "with_true_names"]
