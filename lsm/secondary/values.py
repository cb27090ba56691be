"""Kinds of values in rows: only those of one kind compare."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any
from uuid import UUID

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "bool"),
    ((int, float), "number"),
    (str, "str"),
    (bytes, "bytes"),
    (datetime, "datetime"),
    (date, "date"),
    (UUID, "uuid"),
    ((list, tuple), "list"),
)
_EXACT = {t: kind for types, kind in _KINDS for t in (types if isinstance(types, tuple) else (types,))} | {type(None): "null"}


def kind_of(value: Any) -> str:
    """Return the kind of a plain value: null, bool, number, str, bytes, datetime, date, uuid, list."""
    return _EXACT.get(type(value)) or next((kind for types, kind in _KINDS if isinstance(value, types)), "null")


def rank(value: Any) -> tuple[int, Any]:
    """Return what compares as values of one kind do: NaN comes after +inf."""
    return (1, 0) if isinstance(value, float) and math.isnan(value) else (0, value)
