"""The commands `lsmlab backup ...`: create, list, verify, prune, restore."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

import lsm

from .cli_db import Db, Json
from .console import PROBLEMS, emit, guarded, open_database, out, print_table, progress

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Backups and point-in-time restore.\n\nExample: lsmlab backup create my.db /mnt/b"
)
Target = Annotated[Path, typer.Argument(help="Directory of the backups.")]
Key = Annotated[str | None, typer.Option("--key", help="Of an encrypted target: file:PATH or env:NAME, 32 bytes or 64 hexadecimal digits.")]
LATEST = (1 << 63) - 1


def when(time_ns: int) -> str:
    """A time as people read it, UTC."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00") if time_ns else "-"


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of an ISO time (UTC unless it says otherwise), or "latest". ValueError."""
    if text == "latest":
        return LATEST
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; allowed: like 2026-05-01T12:30:00.250 (UTC), or with +02:00 behind it, or latest") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86400 + since.seconds) * 10**6 + since.microseconds) * 1000 + 999


@app.command()
def create(
    db: Db,
    target: Target,
    compress: Annotated[str, typer.Option("--compress", help="none or zstd.")] = "none",
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Add a backup of a database that no program has open for writing; only what the target has not is copied.

    Example: lsmlab backup create my.db /mnt/backups --compress zstd
    """
    with guarded(), open_database(db, create=False, read_only=True) as opened, progress(None, "backup") as told:
        made = opened.backup(target, key=key, codec=compress, told=lambda name, done, _: told(name, done))
    emit(asdict(made), as_json, lambda: out.print(f"backup {made.id}: {made.files} files, {made.bytes:,} bytes, {made.new_bytes:,} new"))


@app.command("list")
def list_(target: Target, key: Key = None, as_json: Json = False) -> None:
    """List the backups of a target, oldest first.

    Example: lsmlab backup list /mnt/backups
    """
    with guarded():
        found = lsm.Backups(target, key=key).backups()
        rows = [
            [b.id, f"{b.database}-{b.timeline}", when(b.created), when(b.time), *(f"{n:,}" for n in (b.seq, b.bytes, b.new_bytes))]
            for b in found
        ]
        header = ["backup", "database-timeline", "made", "last commit", "sequence", "bytes", "new bytes"]
        emit([asdict(b) for b in found], as_json, lambda: print_table(str(target), header, rows, 4))


@app.command()
def verify(target: Target, key: Key = None, as_json: Json = False) -> None:
    """Read and verify every record and object of a target; exit code 1 when something is wrong.

    Example: lsmlab backup verify /mnt/backups
    """
    with guarded(), progress(None, "verify") as told:
        problems = lsm.Backups(target, key=key).verify(lambda what, done, _: told(what, done))
        emit({"problems": problems}, as_json, lambda: out.print("\n".join(problems or ["no problems found"]), markup=False))
        if problems:
            raise typer.Exit(PROBLEMS)


@app.command()
def prune(
    target: Target,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Backups to keep of each database.")],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Remove old backups, and what only they need.

    Example: lsmlab backup prune /mnt/backups --keep 7
    """
    with guarded():
        gone = lsm.Backups(target, key=key).prune(keep)
        text = f"{len(gone.backups)} backups, {gone.segments} log segments, {gone.objects} objects of {gone.bytes:,} bytes removed"
        emit(asdict(gone), as_json, lambda: out.print(text))


@app.command()
def restore(
    target: Target,
    directory: Annotated[Path, typer.Argument(help="Directory to make; it must not be there, or be empty.")],
    backup: Annotated[str | None, typer.Option("--backup", help="Begin with this one; the newest that will do unless given.")] = None,
    to_seq: Annotated[int | None, typer.Option("--to-seq", min=0, help="As it was after this sequence number.")] = None,
    to_time: Annotated[str | None, typer.Option("--to-time", help="As it was then: an ISO time (UTC), or latest.")] = None,
    database: Annotated[str | None, typer.Option("--database", help="Which database, where the target has several.")] = None,
    key: Key = None,
    encrypt: Annotated[str | None, typer.Option("--encrypt", help="Encrypt the restored database: file:PATH or env:NAME.")] = None,
    as_json: Json = False,
) -> None:
    """Restore a backup, or a moment after it that the archived log leads to, into a new directory.

    Example: lsmlab backup restore /mnt/backups restored.db --to-time 2026-05-01T12:30:00
    """
    with guarded(), progress(None, "restore") as told:
        moment = None if to_time is None else parse_time(to_time)
        done = lsm.Backups(target, key=key).restore(
            directory,
            backup=backup,
            to_seq=to_seq,
            to_time=moment,
            database=database,
            encryption=encrypt,
            told=lambda name, n, _: told(name, n),
        )
        text = f"{directory}: backup {done.backup} and {done.records:,} log records, up to sequence {done.seq:,} ({when(done.time)})"
        emit(asdict(done), as_json, lambda: out.print(text, markup=False))
