"""Keys and rows as functions of the interpreter itself (typed.h), bound to the types that they make and to their twins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from . import _native as builtins

try:
    from ._native import lib
except ImportError as problem:
    raise ImportError("lsm/_native is missing or does not load: run make build") from problem

if lib.lsm_install_typed():
    raise ImportError("lsm/_native does not fit this interpreter: run make build")

_BITS = 64
_SHARED: tuple[object, ...] = (datetime, UTC, datetime(1970, 1, 1, tzinfo=UTC), date, date(1970, 1, 1), UUID)
_SHARED += ("tzinfo", "days", "seconds", "microseconds", "int", _BITS)


def bind_keys(desc: type, encode: Callable[..., Any], decode: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """Return (encode, decode, indexed) in C, which leave to these functions what they do not do. desc: the type with a `part`."""
    bound: tuple[Callable[..., Any], ...] = builtins.bind_keys((*_SHARED, desc, "part", encode, decode))
    return bound


def bind_records(plain: Callable[[Any], Any], *slow: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """Return (encode, encode_many, field, fields, decode, column, decode_many) in C, which leave to these functions what they do not do.

    plain: makes values of other types plain.
    """
    bound: tuple[Callable[..., Any], ...] = builtins.bind_records((*_SHARED, "ids", "names", date.fromordinal, plain, *slow))
    return bound
