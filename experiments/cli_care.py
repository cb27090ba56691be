"""The commands of `lsmlab` that keep a database well: check, repair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from lsm import check as checks
from lsm import repair as repairs

from .console import PROBLEMS, emit, err, guarded, key_source, out

Db = Annotated[Path, typer.Argument(help="Directory of the database.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def bytes_bar(what: str) -> Iterator[checks.Progress]:
    """A bar on standard error that counts bytes; its function takes the name of a file, the bytes done and the bytes to do."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda file, done, total: bar.update(task, description=f"{what} {file}", completed=done, total=total)


def check_(db: Db, as_json: Json = False) -> None:
    """Read and verify every byte of every file, and whether the files agree; exit code 1 when something is wrong.

    Works where opening fails, and writes nothing. Each problem names the file, the byte and the keys that it concerns.

    Example: lsmlab check my.db --json
    """
    with guarded():
        with bytes_bar("checking") as told:
            report = checks.check(db, encryption=key_source(), progress=told)
        emit(report.to_dict(), as_json, lambda: out.print(str(report), markup=False))
        if report.problems:
            raise typer.Exit(PROBLEMS)


def repair_(
    db: Db,
    to: Annotated[Path | None, typer.Option("--to", help="The new directory; the database's name with .repaired unless given.")] = None,
    copy: Annotated[
        Path | None, typer.Option("--copy", help="A checkpoint or a target of backups: what is damaged is taken from there.")
    ] = None,
    copy_key: Annotated[str | None, typer.Option("--copy-key", help="Of encrypted backups: file:PATH or env:NAME.")] = None,
    as_json: Json = False,
) -> None:
    """Save what can be saved into a new directory, and say exactly what is lost; exit code 1 unless nothing is.

    The damaged directory stays as it is. Files that could not be read whole are in NEW_DIR/quarantine.

    Example: lsmlab repair my.db --to my.db.repaired --copy backups
    """
    with guarded():
        with bytes_bar("repairing") as told:
            report = repairs.repair(db, to, encryption=key_source(), copy=copy, copy_key=copy_key, progress=told)
        emit(report.to_dict(), as_json, lambda: out.print(str(report), markup=False))
        if not report.nothing_lost or report.problems:
            raise typer.Exit(PROBLEMS)
