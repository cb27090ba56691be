"""What the manifest keeps of a table: its key, the names of its columns, its indexes, and the files of its components."""

from __future__ import annotations

import json
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
        if space is db.default or space.managed:
            what = "the default keyspace is for pairs" if space is db.default else f"keyspace {space.name!r} belongs to another table"
            raise ValueError(f"{what}; a table has its own")
        _check_empty(space)
        space.flush()  # what was deleted before: the indexes need not hear of it
        row = {"format": FORMAT, "key": key or "id", "key_kind": None, "names": [], "next_index": 1, "indexes": []}
        row |= {"covered": db.state.flushed[space.number], "components": [], "files": []}
        with db.executor.lock:
            db.attach(space, row)
            space.manage()
    if row["format"] != FORMAT:
        raise NotADatabase(f"table {space.name!r} has format {row['format']}; this program knows format {FORMAT}")
    if key is not None and row["key"] != key:
        raise ValueError(f"key is {key!r}; table {space.name!r} has {row['key']!r}")
    return row


def _check_empty(space: Keyspace) -> None:
    if next(iter(space.keys(limit=1)), None) is not None:
        raise ValueError(f"keyspace {space.name!r} holds pairs of its own; a table begins in an empty one")


def keys_of(name: str) -> str:
    """Return the name of the keyspace that leads from the keys of a table to its row ids."""
    return f"{name}.keys"


def begin_keys(db: DB, name: str) -> Keyspace:
    """Return that keyspace, made when it is not there. ValueError: it holds other things."""
    space = db.keyspace(keys_of(name))
    _check_empty(space)
    space.manage()
    return space


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
    """Return the definition of an index as plain values. TypeError for parameters that are none."""
    try:
        json.dumps(params)
    except (TypeError, ValueError) as e:
        raise TypeError(f"the parameters of index {name!r} are {dict(params)!r:.80}; allowed: plain values ({e})") from None
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
    more = {k: row[k] for k in ("state", "since", "parts", "resume") if k in row}
    return Index(definition, columns, where, functions, **more)
