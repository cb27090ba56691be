"""Lines of text as columns of numbers (``trace_text.h``), as typed Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _native

_ffi, _lib = _native.ffi, _native.lib


class Refused(Exception):
    """A line that is not of the form: how many lines are before it, and what is wrong."""

    def __init__(self, line: int, cell: str, column: int, why: str) -> None:
        """``column``: which of those asked for; ``why``: "width", "number" or "large"."""
        super().__init__(f"line {line}: {why}: {cell!r}")
        self.line, self.cell, self.column, self.why = line, cell, column, why


class Form(NamedTuple):
    """What lines look like: separator ("" for runs of blanks), cells a line, the columns wanted, ascending, and which of them are words."""

    separator: str
    width: int
    columns: Sequence[int]
    words: Sequence[bool]
    stars: bool = False


def rows(text: bytes, form: Form) -> NDArray[np.uint64]:
    """Return a row a line but empty ones; Refused at the first that is of another form. Without the interpreter's lock."""
    out = np.empty((text.count(b"\n") + 1, len(form.columns)), np.uint64)
    columns, words = _ffi.new("uint32_t[]", list(form.columns)), _ffi.new("uint8_t[]", [int(w) for w in form.words])
    plain: dict[str, Any] = {"separator": ord(form.separator or "\0"), "width": form.width, "columns": len(form.columns)}
    native = _ffi.new("evi_text_form *", plain | {"flags": form.stars and _lib.TEXT_STARS, "column": columns, "is_word": words})
    place = _ffi.new("evi_text_place *")
    n = _lib.evi_text_rows(_ffi.from_buffer(text), len(text), native, _ffi.from_buffer("uint64_t[]", out, require_writable=True), place)
    if n < 0:
        why = {_lib.TEXT_WIDTH: "width", _lib.TEXT_NUMBER: "number", _lib.TEXT_LARGE: "large"}[place.why]
        cell = text[place.begin : place.end].decode("utf-8", "replace")
        raise Refused(place.line, cell if why != "width" else str(place.cells), place.column, why)
    return out[:n]


def word(text: str | bytes) -> int:
    """Return the number of a word: what ``rows`` makes of it."""
    raw = text.encode() if isinstance(text, str) else text
    return int(_lib.evi_text_hash(raw, len(raw)))
