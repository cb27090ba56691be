"""The form of the records in a backup store, checked before they are believed: names, types, ranges of numbers."""

from __future__ import annotations

import re
from typing import Any

from recovery import MAX_OBJECT, BackupStore, StoreDamage

from . import manifest_form
from .stored_json import LARGEST, Bad, check, check_depth

FORMAT = 1
_NAMES = {"backup": re.compile(r"[0-9]{6,18}"), "segment": re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}-[0-9]{6,18}")}
_U63, _SEQ = range(LARGEST), range(1 << 56)


def _object(value: Any) -> None:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{40}", value):
        raise Bad(f"is {value!r:.40}; allowed: 40 hexadecimal digits")


def _manifest(value: Any) -> None:
    if not isinstance(value, dict):
        raise Bad(f"is {value!r:.40}; allowed: an object")
    manifest_form.check_records([value])


_LOG = {"number": _U63, "size": _U63, "first_seq": _SEQ, "end_seq": _SEQ, "first_time": _U63, "last_time": _U63, "next": _U63}
_FILE = {"name": str, "object": _object, "size": range(MAX_OBJECT + 1), "identity?": str}
_BACKUP = {
    "database": manifest_form.id_digits, "timeline": manifest_form.id_digits, "created": _U63, "seq": _SEQ, "time": _U63,
    "manifest": _manifest, "logs": [_LOG], "files": [_FILE], "new_bytes": _U63,
}  # fmt: skip
_FORMS = {"backup": _BACKUP, "segment": {"log": _LOG, "files": [_FILE], "created": _U63}}


def _path(store: BackupStore, kind: str, name: str) -> str:
    path = f"{store.path}/records/{kind}-{name}"
    if not _NAMES[kind].fullmatch(name):
        raise StoreDamage(f"{name!r:.60} is no name of a {kind}", path)
    return path


def names(store: BackupStore, kind: str) -> list[str]:
    """Return the names of the records of a kind, sorted. StoreDamage for one that is none of ours."""
    found = store.names(kind)
    for name in found:
        _path(store, kind, name)
    return found


def record(store: BackupStore, kind: str, name: str) -> dict[str, Any]:
    """Return a record that has its form. StoreDamage names the file."""
    path = _path(store, kind, name)
    row = store.record(kind, name)
    try:
        check_depth(row)
        if kind == "backup" and row.get("format") != FORMAT:
            raise Bad(f"format {row.get('format')!r:.40}; this program knows format {FORMAT}")
        check(row, _FORMS[kind])
        for log in [row["log"]] if kind == "segment" else row["logs"]:
            if set(log) != set(_LOG):
                raise Bad(f"a log has the fields {', '.join(log)}; allowed: {', '.join(_LOG)}")
        if kind == "segment" and (len(row["files"]) != 1 or int(name.rpartition("-")[2]) != row["log"]["number"]):
            raise Bad(f"{len(row['files'])} files of log {row['log']['number']}; allowed: the one that it is named by")
    except ValueError as e:
        raise StoreDamage(f"the record contradicts itself: {e}", path) from None
    return row
