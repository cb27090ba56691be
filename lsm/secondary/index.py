"""An index in use: a kind, what it is of, and how far its build is."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from .changes import Changes, Gathered
from .kinds import IndexType, Row, make_type
from .leaves import columns_of, compile_rows, value_of
from .predicate import Expression, Predicate


class Index:
    """``epoch``: the last one whose changes did not reach it. ``state``: "building" or "ready"."""

    def __init__(
        self,
        definition: Mapping[str, Any],
        columns: tuple[str | Expression, ...],
        where: Predicate | None,
        functions: Mapping[str, Callable[..., Any]],
        *,
        state: str = "ready",
        epoch: int = 0,
        parts: Sequence[int] = (),
        resume: int = 0,
    ) -> None:
        """ValueError: a kind or parameters that are not known. KeyError: a function that is not given."""
        self.id, self.name = int(definition["id"]), str(definition["name"])
        self.definition, self.columns, self.where = definition, columns, where
        self.type: IndexType = make_type(definition["kind"], columns, functions, definition["params"])
        self.unique = bool(definition["unique"])
        self.state, self.epoch, self.parts, self.resume = state, epoch, list(parts), resume
        self._functions = functions
        self._computed = [c for c in columns if not isinstance(c, str)]
        self._holds = None if where is None else compile_rows(where, functions)
        for expression in self._computed:
            if expression.function not in functions:
                raise KeyError(
                    f"index {self.name!r} needs the function {expression.function!r}: give it as db.table(..., functions={{...}})"
                )

    def takes_all(self) -> bool:
        """Tell whether no row of at most SHORT stored bytes is ever refused, so that its payloads may be gathered after it was written."""
        return self._holds is None and not self._computed and not self.unique and self.type.takes_all()

    def payloads(self, row: Row) -> Sequence[Any]:
        """Return what the index keeps of a row. ValueError: its function or predicate failed on the row, or its kind refuses it."""
        try:
            if self._holds is not None and self._holds(row) is not True:
                return ()
            if self._computed:
                return self.type.payloads({**row, **{e: value_of(e, row, self._functions) for e in self._computed}})
            return self.type.payloads(row)
        except Exception as e:
            raise ValueError(f"index {self.name!r} cannot take the row {dict(row)!r:.80}: {type(e).__name__}: {e}") from e

    def needs(self) -> list[str] | None:
        """Return the columns of a row that it reads; None: maybe all."""
        of = self.type.needs()
        if of is None:
            return None
        return [n for c in of for n in ((c,) if isinstance(c, str) else c.columns)] + columns_of(self.where)

    def gather(self, rows: Sequence[Row]) -> Gathered:
        """Return what the index keeps of many rows. ValueError as `payloads`, of the first row that is refused."""
        if self._holds is None and not self._computed:
            with suppress(Exception):  # one by one below, which says which row it is
                return self.type.gather(rows)
        found = [(place, payload) for place, row in enumerate(rows) for payload in self.payloads(row)]
        return Gathered([place for place, _ in found], [payload for _, payload in found])

    def to_row(self) -> dict[str, Any]:
        """Return plain values for the manifest."""
        row = {**self.definition, "name": self.name, "state": self.state}
        return row if self.state == "ready" else row | {"epoch": self.epoch, "parts": self.parts, "resume": self.resume}


def changes_of(ids: Iterable[int], rows: Sequence[Row], indexes: Iterable[Index]) -> Changes:
    """Return the changes that make the first of ids these rows, and delete the others."""
    all_ids = array("Q", ids)
    gathered = {x.id: x.gather(rows) for x in indexes} if rows else {}
    if len(all_ids) > len(rows):  # the deleted have no payloads
        gathered = {i: g.placed(range(len(rows))) for i, g in gathered.items()}
    return Changes(all_ids, gathered)
