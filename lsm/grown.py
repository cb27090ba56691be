"""The tree that a row of edits leads to, for those who need no version in between: a manifest that is read.

`Version.apply` makes a version that readers may hold, and copies what it changes. Here an edit costs what it says: O(tables that it adds
or removes); the rules of `Version.apply` are held against the end.
"""

from __future__ import annotations

from .version import Edit, TableInfo, ValueInfo, Version


class GrownTree:
    """Tables by level and run, the oldest run of a level first."""

    def __init__(self) -> None:
        """The empty tree."""
        self._levels: list[dict[int, dict[int, TableInfo]]] = []  # a level: id of a run -> number of a table -> the table
        self._homes: dict[int, tuple[int, int]] = {}
        self._values: dict[int, ValueInfo] = {}

    def add(self, edit: Edit) -> None:
        """Do an edit. ValueError when it removes a table that is not there, or adds one that is."""
        emptied = []
        for number in edit.removed:
            if number not in self._homes:
                raise ValueError(f"edit removes tables that are not there: [{number}]")
            level, run_id = self._homes.pop(number)
            run = self._levels[level][run_id]
            del run[number]
            if not run:
                emptied.append((level, run_id))
        for level, run_id, table in edit.added:
            if table.number in self._homes:
                raise ValueError(f"edit adds a table that is there: {table.number}")
            self._levels.extend({} for _ in range(len(self._levels), level + 1))
            self._levels[level].setdefault(run_id, {})[table.number] = table
            self._homes[table.number] = level, run_id
        for level, run_id in emptied:  # not before: what the same edit adds to a run keeps its place
            if not self._levels[level].get(run_id, True):
                del self._levels[level][run_id]
        self._values.update((v.number, v) for v in edit.values)

    def version(self) -> Version:
        """Return it. ValueError when tables of a run overlap, or point into value files that are not there."""
        added = tuple((n, run_id, t) for n, runs in enumerate(self._levels) for run_id, ts in runs.items() for t in ts.values())
        return Version().apply(Edit(0, (), added, values=tuple(self._values.values())))
