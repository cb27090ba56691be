"""What the manifest keeps of a table: its key, the names of its columns, its indexes, and the files of its components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import NotADatabase
from .index import Index
from .leaves import expression_from_json, expression_to_json, predicate_from_json, predicate_to_json
from .predicate import Predicate

if TYPE_CHECKING:
    from ..db import DB
    from ..keyspace import Keyspace
    from .table import Table

FORMAT = 1


def begin(db: DB, space: Keyspace, key: str | None) -> Mapping[str, Any]:
    """Return the attachment of a table, made for a keyspace that is new. ValueError: another key, or a keyspace with other things in it."""
    row = db.state.attached.get(space.number)
    if row is None:
        if next(iter(space.keys(limit=1)), None) is not None:
            raise ValueError(f"keyspace {space.name!r} holds pairs of its own; a table begins in an empty one")
        row = {"format": FORMAT, "key": key or "id", "key_kind": None, "names": [], "next_index": 1, "indexes": []}
        row |= {"covered": 0, "components": [], "files": []}
        db.check_writable()
        with db.executor.lock:
            db.attach(space, row)
            space.manage()
    if row["format"] != FORMAT:
        raise NotADatabase(f"table {space.name!r} has format {row['format']}; this program knows format {FORMAT}")
    if key is not None and row["key"] != key:
        raise ValueError(f"key is {key!r}; table {space.name!r} has {row['key']!r}")
    return row


def describe(table: Table) -> dict[str, Any]:
    """Return the table's part of the attachment."""
    return {
        "format": FORMAT,
        "key": table.key,
        "key_kind": table.key_kind,
        "names": list(table.names),
        "next_index": table.next_index,
        "indexes": [x.to_row() for x in table.riding.indexes.values()],
    }


def define(
    number: int, name: str, kind: str, columns: Any, *, unique: bool, where: Predicate | None, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the definition of an index as plain values."""
    listed = list(columns) if isinstance(columns, list | tuple) else [columns]
    return {
        "id": number,
        "name": name,
        "kind": kind,
        "columns": [expression_to_json(c) for c in listed],
        "unique": unique,
        "where": None if where is None else predicate_to_json(where),
        "params": dict(params),
    }


def open_index(row: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Index:
    """Return an index from its row. KeyError names a function that `DB.table` must be given."""
    definition = {k: row[k] for k in ("id", "name", "kind", "columns", "unique", "where", "params")}
    columns = tuple(expression_from_json(c) for c in row["columns"])
    where = None if row["where"] is None else predicate_from_json(row["where"])
    more = {k: row[k] for k in ("state", "epoch", "parts", "resume") if k in row}
    return Index(definition, columns, where, functions, **more)
