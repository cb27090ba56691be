"""Opening what somebody else may have made to do harm: everything is read and checked before anything of it is used.

Checksums tell accidents from intact files, not friends from enemies: whoever makes a file makes its checksums. So lengths, orders, counts
and names are checked too, sizes have limits, nothing is mapped into memory (a file that is cut meanwhile ends the process), nothing
is written, and options that are stored with the data are not used.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from recovery import FileSystem

from .errors import CorruptionError, InvalidOptions
from .options import Options
from .version import TableInfo

if TYPE_CHECKING:
    from .db import DB

_POINTER = 4096  # bytes of CURRENT


@dataclass(frozen=True)
class Limits:
    """What an untrusted directory may ask for, in bytes: of a block when it is decompressed, and so many times what is stored of it; of the
    manifest, of all logs together, of one index file; and how many files there may be.
    """

    block: int = 64 << 20
    ratio: int = 4096
    manifest: int = 64 << 20
    logs: int = 1 << 30
    index_file: int = 1 << 30
    files: int = 100_000

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1 << 31:
                raise InvalidOptions(f"untrusted.{f.name}", value, "an integer from 1 to 2147483648")


def limits_of(untrusted: bool | Limits) -> Limits | None:
    """Return the limits, those of the class for True. InvalidOptions for something else."""
    if isinstance(untrusted, Limits):
        return untrusted
    if not isinstance(untrusted, bool):
        raise InvalidOptions("untrusted", untrusted, "True, False or lsm.Limits")
    return Limits() if untrusted else None


def options_for(options: Options, limits: Limits | None) -> Options:
    """Return options that map nothing, where there are limits."""
    if limits is None:
        return options
    return replace(options, table=replace(options.table, read_mode="buffered"))


def check_directory(fs: FileSystem, path: str, limits: Limits | None) -> None:
    """Raise CorruptionError for a directory that asks for too much, before a file is read."""
    if limits is None:
        return
    names = fs.listdir(path)
    if len(names) > limits.files:
        raise CorruptionError(f"{len(names)} files; the limit is {limits.files}", path)
    logs = 0
    for name in names:
        size, is_directory = fs.stat(f"{path}/{name}")
        if is_directory:
            continue
        logs += size if name.endswith(".log") else 0
        most = _POINTER if name == "CURRENT" else limits.manifest if name.startswith("MANIFEST-") else 1 << 62
        most = limits.index_file if name.endswith(".idx") else most
        if size > most:
            raise CorruptionError(f"{size} bytes; the limit is {most}", f"{path}/{name}")
    if logs > limits.logs:
        raise CorruptionError(f"the logs have {logs} bytes; the limit is {limits.logs}", path)


def verify_all(db: DB) -> None:
    """Read and check every table, value file and index file, where there are limits. CorruptionError: damaged, or not as it says."""
    from .secondary.component import read_component

    if db.limits is None:
        return
    for space in db.spaces.values():
        for number, info in space.version.tables().items():
            table = space.tables[number]
            path = f"{db.path}/{number:06d}.sst"
            if (found := TableInfo.of(table.props)) != info:
                raise CorruptionError(f"the manifest says {_first_difference(info, found)}", path)
            table.verify()
        for value in space.version.values:
            file = space.value_files[value.number]
            if file.info != value:
                raise CorruptionError("the manifest and the file disagree on what is in it", file.path)
            file.verify()
    for number in sorted(db.state.attached_files()):
        read_component(db.fs, db.path, number, db.state.database_id, mapped=False)


def _first_difference(told: TableInfo, found: TableInfo) -> str:
    def shown(value: Any) -> str:
        return f"{value!r:.40}"

    name = next(f.name for f in fields(TableInfo) if getattr(told, f.name) != getattr(found, f.name))
    return f"{name} is {shown(getattr(told, name))}, the table {shown(getattr(found, name))}"
