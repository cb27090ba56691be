"""The ledger of a folder of records: an SQLite file with a row a run, so that what is there is found without opening every record.

Rows are immutable: triggers refuse to change or remove one, and each holds the digest of its record's file. The records are what counts: a
ledger that is lost is written anew from them.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from .results import SUFFIX, Record, RecordError, read
from .suite import config_id

NAME = "ledger.sqlite"
_SCHEMA = """
create table if not exists runs (
    id text primary key, config_id text not null, code text not null, suite text not null, workload text not null, seed integer not null,
    point text not null, config text not null, summary text not null, steady text not null, finished text not null,
    file_digest text not null
) strict;
create index if not exists runs_by_config on runs (config_id);
create table if not exists attempts (started text not null, run_id text not null, label text not null, problem text not null) strict;
create trigger if not exists runs_stay before update on runs begin select raise(abort, 'rows of finished runs are immutable'); end;
create trigger if not exists runs_remain before delete on runs begin select raise(abort, 'rows of finished runs are immutable'); end;
"""
_COLUMNS = ("id", "config_id", "code", "suite", "workload", "seed", "point", "config", "summary", "steady", "finished", "file_digest")


class Ledger:
    """The ledger of one folder. Any process may use it at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.folder / NAME, timeout=60)) as db, db:
                db.executescript(_SCHEMA)
                yield db
        except sqlite3.DatabaseError as e:
            raise RecordError(f"{self.folder / NAME}: {e}; it can be removed, and is made anew from the records") from None

    def add(self, record: Record, path: Path) -> None:
        """Note a record that is in its file. A run that is noted already is left as it is."""
        row = (
            record.id, record.config_id(), record.code, record.suite, record.workload, record.seed, json.dumps(record.point),
            json.dumps(record.config), json.dumps(record.summary), json.dumps(record.steady), _now(), _digest(path),
        )  # fmt: skip
        with self._open() as db:
            db.execute(f"insert or ignore into runs values ({', '.join('?' * len(_COLUMNS))})", row)

    def failed(self, run_id: str, label: str, problem: str) -> None:
        """Note an attempt that came to nothing."""
        with self._open() as db:
            db.execute("insert into attempts values (?, ?, ?, ?)", (_now(), run_id, label, problem))

    def refresh(self) -> int:
        """Note the records that have no row yet; gives how many. RecordError for a file that is none. O(files)."""
        known = {row["id"] for row in self.rows()}
        new = [p for p in sorted(self.folder.glob("*" + SUFFIX)) if p.stem not in known]
        for path in new:
            self.add(read(path), path)
        return len(new)

    def rows(self) -> list[dict[str, Any]]:
        """All finished runs, oldest first; what is JSON in the file is parsed."""
        with self._open() as db:
            found = db.execute(f"select {', '.join(_COLUMNS)} from runs order by finished, id").fetchall()
        rows = [dict(zip(_COLUMNS, row, strict=True)) for row in found]
        return [row | {k: json.loads(row[k]) for k in ("point", "config", "summary", "steady")} for row in rows]

    def attempts(self) -> list[tuple[str, str, str, str]]:
        """Attempts that failed: when, id, label, what was said."""
        with self._open() as db:
            return [(a, b, c, d) for a, b, c, d in db.execute("select started, run_id, label, problem from attempts order by started")]

    def done(self) -> tuple[set[str], set[str]]:
        """Ids of runs that have a row and a file, and of their configurations."""
        rows = [row for row in self.rows() if (self.folder / (row["id"] + SUFFIX)).exists()]
        return {row["id"] for row in rows}, {row["config_id"] for row in rows}

    def problems(self) -> list[str]:
        """What is not as it was noted: files that are gone or changed, records without a row or under another name. O(bytes)."""
        out = []
        rows = {row["id"]: row for row in self.rows()}
        for name, row in rows.items():
            path = self.folder / (name + SUFFIX)
            if not path.exists():
                out.append(f"{path.name}: the file is gone")
            elif _digest(path) != row["file_digest"]:
                out.append(f"{path.name}: the file has changed since the run")
            elif config_id(row["config"]) != row["config_id"]:
                out.append(f"{path.name}: the configuration of its row has changed since the run")
        out += [f"{p.name}: not in the ledger" for p in sorted(self.folder.glob("*" + SUFFIX)) if p.stem not in rows]
        return out


def export(records: Iterable[Record], metrics: Iterable[str], out: IO[str]) -> int:
    """Write a CSV with a row a record: what was varied, the summary, and metrics by id of their definition. Gives the number of rows."""
    from .definitions import METRICS

    some = list(records)
    names = list(metrics)
    points = list(dict.fromkeys(k for r in some for k in r.point))
    figures = list(dict.fromkeys(k for r in some for k in r.summary))
    writer = csv.writer(out)
    writer.writerow(["id", "suite", "workload", "seed", *points, *figures, *names, "steady"])
    for r in some:
        values = [METRICS[n].of(r) for n in names]
        writer.writerow(
            [r.id, r.suite, r.workload, r.seed, *(r.point.get(p, "") for p in points), *(r.summary.get(f, "") for f in figures)]
            + ["" if v is None else repr(float(v)) for v in values]
            + [{True: "yes", False: "no"}.get(r.steady.get("steady"), "")]  # type: ignore[arg-type]
        )
    return len(some)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
