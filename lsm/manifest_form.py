"""The form of manifest records, checked before they are believed: types, ranges of numbers, lengths."""

from __future__ import annotations

from typing import Any

from .native import MAX_KEY
from .stored_json import LARGEST, Bad, check, match

_U32, _U63, _SEQ = range(1 << 32), range(LARGEST), range(1 << 56)
_LEVEL = range(64)


def _key(value: Any) -> None:
    if not isinstance(value, str) or len(value) > 2 * MAX_KEY:
        raise Bad(f"is {value!r:.40}; allowed: a key of up to {MAX_KEY} bytes in hexadecimal")
    bytes.fromhex(value)


def _name(value: Any) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= 128:
        raise Bad(f"is {value!r:.40}; allowed: a name of 1 to 128 characters")


def id_digits(value: Any) -> None:
    """Raise Bad unless it is a number in 16 hexadecimal digits."""
    if not isinstance(value, str) or len(value) != 16 or int(value, 16) < 0:
        raise Bad(f"is {value!r:.40}; allowed: 16 hexadecimal digits")


def _drop(value: Any) -> None:
    match(value, [_U32] if isinstance(value, list) else _U32)


def _perhaps_seq(value: Any) -> None:
    if value is not None:
        match(value, _SEQ)


_TABLE = {
    "number": _U63, "size": _U63, "entries": _U63, "deletions": _U63, "smallest": _key, "largest": _key, "largest_exclusive?": bool,
    "min_seq?": _SEQ, "max_seq?": _SEQ, "range_deletes?": _U63, "footer_crc?": _U32,
    "oldest_tombstone?": _SEQ, "created?": _SEQ,
    "values?": [(_U63, range(1, LARGEST), _U63)],
}  # fmt: skip
_VALUES = {
    "number": _U63, "size": _U63, "records": _U63, "bytes": _U63, "min_seq": _SEQ, "max_seq": _SEQ, "heat": range(3), "footer_crc": _U32,
    "keyspace": _U32,
}  # fmt: skip
_ATTACHED = {"files?": [_U63], "components?": [_U63], "covered?": _SEQ, "epoch?": _U63, "names?": [str], "indexes?": [dict]}
_CREATE = {"id": _U32, "name": _name, "options": dict}
_SPACE = {**_CREATE, "flushed": _SEQ, "levels": [[(_U63, [_TABLE])]], "attached?": _ATTACHED, "values?": [_VALUES]}
_EDIT = {
    "keyspace": _U32, "removed": [_U63], "added": [(_LEVEL, _U63, _TABLE)], "flushed": _perhaps_seq, "attached?": _ATTACHED,
    "values?": [_VALUES],
}  # fmt: skip
_RECORD = {
    "next_file": _U63, "last_seq": _SEQ, "log_floor": _U63, "next_run": _U63, "edits?": [_EDIT], "create?": _CREATE, "drop?": _drop,
    "set?": {"id": _U32, "options": dict},
    "close?": {"log": _U63, "used": _U63, "seq": _SEQ},
}  # fmt: skip
_FIRST = {**_RECORD, "database": id_digits, "timeline?": id_digits, "next_keyspace": range(1 << 33), "keyspaces": [_SPACE]}


def check_records(rows: list[dict[str, Any]]) -> None:
    """Raise ValueError unless all records have their form."""
    for i, row in enumerate(rows):
        check(row, _RECORD if i else _FIRST, f"record {i}")
    if len(rows[0]["keyspaces"]) > 1 << 20 or any(len(s["levels"]) > len(_LEVEL) for s in rows[0]["keyspaces"]):
        raise Bad(f"record 0 has more keyspaces or levels than there can be; allowed: {len(_LEVEL)} levels")
