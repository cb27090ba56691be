"""The commands of `lsmlab` about encryption at rest: keygen, encrypt, decrypt.

The other commands on a database take the source of its key from the environment variable LSMLAB_KEY.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

import recovery
from lsm.encryption import copy

from .console import emit, guarded, out, progress

app = typer.Typer()
Db = Annotated[Path, typer.Argument(help="Directory of the database; nobody may have it open.")]
Target = Annotated[Path, typer.Argument(help="New directory.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def keygen(file: Annotated[Path, typer.Argument(help="New file; only you can read it.")]) -> None:
    """Write a random master key to a new file, as 64 hex digits. Keep a copy elsewhere: without it the data is lost.

    Example: lsmlab keygen my.key
    """
    with guarded(), open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as f:
        f.write(secrets.token_hex(32) + "\n")
        f.flush()
        os.fsync(f.fileno())


@app.command()
def encrypt(
    db: Db,
    target: Target,
    key: Annotated[str, typer.Option("--key", help="Key of the copy: file:PATH or env:NAME.")],
    old_key: Annotated[str | None, typer.Option("--old-key", help="Key of DB, when it is encrypted already.")] = None,
    as_json: Json = False,
) -> None:
    """Copy a database to a new directory, encrypted; with --old-key, under new keys throughout.

    Example: lsmlab encrypt my.db my-encrypted.db --key file:my.key
    """
    _copy(db, target, old_key, key, as_json)


@app.command()
def decrypt(
    db: Db, target: Target, key: Annotated[str, typer.Option("--key", help="Key of DB: file:PATH or env:NAME.")], as_json: Json = False
) -> None:
    """Copy an encrypted database to a new directory, in clear.

    Example: lsmlab decrypt my-encrypted.db my.db --key file:my.key
    """
    _copy(db, target, key, None, as_json)


def _copy(db: Path, target: Path, key: str | None, new_key: str | None, as_json: bool) -> None:
    with guarded(), progress(None, "copying") as told:
        done = 0

        def heard(name: str) -> None:
            nonlocal done
            told(name, done)
            done += 1

        files = copy(recovery.posix(), os.path.abspath(db), os.path.abspath(target), key, new_key, heard)
        emit({"target": str(target), "files": files}, as_json, lambda: out.print(f"{files} files copied to {target}", markup=False))
