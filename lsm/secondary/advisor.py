"""Which indexes serve a workload? Candidates, what they would cost and save, a choice under budgets, and a trial on a sample.

    workload --candidates--> indexes that might be --what-if--> gains --choice--> a set --verify--> measured on a sample --> advice

>>> import lsm, recovery
>>> from lsm.secondary import col
>>> with lsm.open("/t", fs=recovery.memory()) as db:
...     people = db.table("people", key="id")
...     people.put_many({"id": i, "city": f"city {i % 500}", "age": i % 90} for i in range(5000))
...     advice = people.advise([(col("city") == "city 7", None, (), None, 100)], verify=False)
...     made = advice.create()
...     len(made), people.count(col("city") == "city 7")
(1, 10)
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from . import advice_text, candidates, choice
from .constants import Constants, measured
from .leaves import expression_from_json
from .sample import Sample, take_sample
from .verify import Verified, Work, try_out
from .whatif import Definition, Hypothetical, WhatIf
from .workload import Workload, shape_of

if TYPE_CHECKING:
    from .index import Index
    from .table import Table

MOST = 32  # candidates that are weighed against each other


@dataclass(frozen=True)
class Recommended:
    """One index. ``alone``: microseconds that it alone would save the workload; ``share``: what it saves beside the others (without it,
    the workload would take so much longer); both less what it costs when rows are written. ``serves``: the queries that use it, by
    number. ``measured``: what it saved beside the others on the sample; None unless verified.
    """

    name: str
    definition: Definition
    space: int
    write: float
    alone: float
    share: float
    serves: tuple[int, ...]
    measured: Work | None = None
    measured_bytes: int | None = None

    @property
    def confirmed(self) -> bool | None:
        """Whether it saved rows or time when it was tried; None unless verified."""
        return None if self.measured is None else self.measured.rows > 0 or self.measured.time > 0


@dataclass(frozen=True)
class Advice:
    """What `advise` returns. Times are microseconds that the workload takes once; ``before`` has the indexes that the table has.

    ``gain`` is before - after, less the writes; ``rejected``: (definition, why); ``frontier``: (bytes, gain) of what other budgets would
    buy; ``unused``: indexes of the table that no query would use; ``notes``: what was left out, and why.
    """

    table: Table = field(repr=False)
    workload: Workload
    sample: Sample = field(repr=False)
    constants: Constants
    budget: tuple[float, float]
    indexes: tuple[Recommended, ...]
    before: float
    after: float
    gain: float
    rejected: tuple[tuple[str, str], ...]
    frontier: tuple[tuple[float, float], ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...]
    verified: Verified | None

    @property
    def space(self) -> int:
        """Bytes of all together."""
        return sum(r.space for r in self.indexes)

    @property
    def write(self) -> float:
        """Microseconds that they add to a row written."""
        return math.fsum(r.write for r in self.indexes)

    def report(self) -> str:
        """Return it as text."""
        return advice_text.text(self)

    def to_html(self) -> str:
        """Return it as a page."""
        return advice_text.html(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return advice_text.values(self)

    def create(self, *, confirmed_only: bool = False) -> list[str]:
        """Build the indexes, online, and return their names. ``confirmed_only``: without those that saved nothing when tried."""
        made = []
        for r in self.indexes:
            if confirmed_only and r.confirmed is False:
                continue
            d = r.definition
            self.table.create_index(r.name, list(d.columns), kind=d.kind, where=d.where, **d.arguments)
            made.append(r.name)
        return made


def advise(
    table: Table,
    workload: Any = None,
    *,
    space: float | None = None,
    write: float | None = None,
    writes: float | None = None,
    sample: int = 10_000,
    seed: int = 0,
    sketches: bool | None = None,
    constants: Constants | None = None,
    also: Iterable[Definition] = (),
    most: int = MOST,
    worth: float = 0.001,
    search: str = "greedy",
    verify: bool = True,
    repeats: int = 2,
) -> Advice:
    """Return which indexes would serve a workload.

    ``workload``: see `Table.advise`; ``writes``: rows written meanwhile, in place of what was logged. Budgets: ``space`` in bytes for all
    new indexes, ``write`` in microseconds that they may add to a row written. ``sample``: rows of it; ``seed`` of the draw; with the same
    seed and ``constants`` (measured on this machine unless given) the advice is the same. ``sketches``: see `take_sample`. ``also``:
    candidates of your own; the best ``most`` are weighed against each other. ``worth``: the share of the workload's time that an index
    must save at least. ``search``: "greedy", or "exhaustive" for at most 16 candidates. ``verify``: try it on the sample, each query
    ``repeats`` times. ValueError for a workload without queries or of columns that no row ever had.
    """
    load = _workload(table, workload, writes)
    limits = (_limit(space, "space"), _limit(write, "write"))
    if search not in ("greedy", "exhaustive"):
        raise ValueError(f"search is {search!r}; allowed: greedy, exhaustive")
    for q in load.queries:
        table.check_columns(q.reads())
    rows = take_sample(table, sample, seed, sketches)
    prices = constants or measured()
    study = Study(table, load, rows, prices)
    study.gather([*candidates.definitions(study.load, rows), *also], most)
    problem = study.problem(worth * study.before)
    chosen = sorted((choice.exhaustive if search == "exhaustive" else choice.choose)(problem, *limits))
    hypothetical = [study.new[i] for i in chosen]
    tried = None
    if verify and rows.rows:
        heavy = sorted(study.load.queries, key=lambda q: -q.weight * study.what_if.price(q, study.old).cost)
        key = table.key
        tried = try_out(rows, heavy, hypothetical, study.old, lambda s: WhatIf(s, prices, study.key), key, repeats)
    after = study.cost(hypothetical)
    indexes = tuple(study.recommended(i, frozenset(chosen), tried) for i in chosen)
    gain = problem.gain(frozenset(chosen)) + worth * study.before * len(chosen)
    rejected = tuple(study.rejected(problem, frozenset(chosen), limits))
    buys = tuple(choice.frontier(problem, limits[1]))
    unused, notes = study.unused(hypothetical), tuple(study.notes)
    return Advice(table, study.load, rows, prices, limits, indexes, study.before, after, gain, rejected, buys, unused, notes, tried)


def _workload(table: Table, given: Any, writes: float | None) -> Workload:
    if given is None:
        if not table.logs:
            raise ValueError("there is no workload: give one, or log one first, with table.log_queries()")
        given = table.logs[-1]
    load = Workload.of(given, writes)
    if not load.queries:
        raise ValueError("the workload has no queries")
    return load


def _limit(value: float | None, what: str) -> float:
    if value is None:
        return math.inf
    if not value >= 0:
        raise ValueError(f"{what} is {value!r}; allowed: 0 and more, or None")
    return float(value)


class Study:
    """One table, one workload: candidates and their prices. `gather`, then `problem`."""

    def __init__(self, table: Table, load: Workload, sample: Sample, constants: Constants) -> None:
        self.table, self.sample = table, sample
        self.key = table.key if table.key_kind == "int" else None
        self.what_if = WhatIf(sample, constants, self.key)
        self.notes: list[str] = []
        self.load = self._answerable(load)
        self.new: list[Hypothetical] = []
        self.dropped: list[tuple[str, str]] = []
        self.old = [h for x in table.ready().values() if (h := self._existing(x)) is not None]
        self.before = self.cost(())

    def _answerable(self, load: Workload) -> Workload:
        """Without the queries that cannot be checked on rows."""
        kept = []
        for q in load.queries:
            try:
                if q.node is not None:
                    self.sample.mask(q.node)
                kept.append(q)
            except Exception as e:  # a function of the user may raise anything
                self.notes.append(f"left out: {q}: {type(e).__name__}: {e}")
        return Workload(tuple(kept), load.writes)

    def _existing(self, index: Index) -> Hypothetical | None:
        row = index.definition
        params = tuple(sorted((k, v) for k, v in row["params"].items() if k != "include"))
        columns = tuple(expression_from_json(c) for c in row["columns"])
        made = Definition(row["kind"], columns, tuple(row["params"].get("include", ())), index.where, params)
        return self._try(index.id, index.name, made, exists=True)

    def _try(self, number: int, name: str, made: Definition, *, exists: bool = False) -> Hypothetical | None:
        try:
            return self.what_if.hypothesize(number, name, made, exists=exists)
        except (ValueError, TypeError, KeyError) as e:
            self.notes.append(f"left out: {made}: {e}")
            return None

    def cost(self, indexes: Sequence[Hypothetical]) -> float:
        """Microseconds of all queries with the indexes of the table and these."""
        return math.fsum(q.weight * self.what_if.price(q, (*self.old, *indexes)).cost for q in self.load.queries)

    def gather(self, made: Iterable[Definition], most: int = MOST) -> None:
        """Take candidates: each once, none that the table has, at most ``most``; of too many the best of each shape of query come first,
        then the second best, and so on, so that one heavy query does not take all places.
        """
        there = {h.definition for h in self.old}
        names = {x["name"] for x in self.table.indexes()}
        found: dict[str, Hypothetical] = {}
        for number, d in enumerate(dict.fromkeys(made), self.table.next_index):
            if d in there:
                continue
            name = _name_of(d, names)
            if (h := self._try(number, name, d)) is None:
                continue
            names.add(name)
            if self.before - self.cost((h,)) > 0:
                found[name] = h
            else:
                self.dropped.append((str(d), "saves nothing"))
        taken = list(self._in_turns(found))[:most]
        self.new = [found[name] for name in taken]
        self.dropped += [(str(h.definition), f"not among the best {most} candidates") for name, h in found.items() if name not in taken]

    def _in_turns(self, found: Mapping[str, Hypothetical]) -> Iterator[str]:
        """Yield the names: of each shape of queries the best, of each the second best ..."""
        saved: dict[Any, dict[str, float]] = {}
        for q in self.load.queries:
            mine = saved.setdefault(shape_of(q.node) if q.shape is None else q.shape, {})
            now = self.what_if.price(q, self.old).cost
            for name, h in found.items():
                mine[name] = mine.get(name, 0.0) + q.weight * (now - self.what_if.price(q, (*self.old, h)).cost)
        heavy = sorted(saved.values(), key=lambda mine: -max(mine.values(), default=0.0))
        ranked = [sorted((n for n, gain in mine.items() if gain > 0), key=lambda n: (-mine[n], n)) for mine in heavy]
        turns = (name for turn in zip_longest(*ranked) for name in turn if name is not None)
        return iter(dict.fromkeys(turns))

    def problem(self, worth: float) -> choice.Problem:
        """Return the choice to make. The gain of a set is what it saves, less its writes and ``worth`` an index."""

        def gain(chosen: frozenset[int]) -> float:
            some = [self.new[i] for i in sorted(chosen)]
            return self.before - self.cost(some) - self.load.writes * math.fsum(h.write for h in some) - worth * len(some)

        extends = {i: frozenset(j for j, b in enumerate(self.new) if j != i and _extends(a, b)) for i, a in enumerate(self.new)}
        return choice.Problem([h.bytes for h in self.new], [h.write for h in self.new], gain, extends)

    def recommended(self, i: int, chosen: frozenset[int], tried: Verified | None) -> Recommended:
        """Return what there is to say about one that was chosen."""
        h, all_of = self.new[i], [self.new[j] for j in sorted(chosen)]
        others = [x for x in all_of if x is not h]
        writes = self.load.writes * h.write
        alone = self.before - self.cost((h,)) - writes
        share = self.cost(others) - self.cost(all_of) - writes
        serves = tuple(n for n, q in enumerate(self.load.queries) if h.name in self.what_if.price(q, (*self.old, *all_of)).used)
        found = {} if tried is None else {"measured": tried.share(h.name), "measured_bytes": tried.bytes[h.name]}
        return Recommended(h.name, h.definition, round(h.bytes), h.write, alone, share, serves, **found)  # type: ignore[arg-type]

    def rejected(self, problem: choice.Problem, chosen: frozenset[int], limits: tuple[float, float]) -> list[tuple[str, str]]:
        """Say why of the candidates that were not chosen, what would have saved most first."""
        said = []
        for i, h in enumerate(self.new):
            if i in chosen:
                continue
            more = problem.gain(chosen | {i}) - problem.gain(chosen)
            if problem.gain(frozenset((i,))) <= 0:
                why = "costs more than it saves"
            elif more <= 0:
                why = "saves too little beside the others"
            elif not problem.fits(chosen | {i}, *limits):
                why = f"over the budget: would save {advice_text.seconds(more)} more for {advice_text.size(h.bytes)}"
            else:
                why = "another set is better"
            said.append((str(h.definition), why))
        return said + self.dropped

    def unused(self, chosen: Sequence[Hypothetical]) -> tuple[str, ...]:
        """Return the indexes of the table that no query uses; unique ones are there for more."""
        used = {name for q in self.load.queries for name in self.what_if.price(q, (*self.old, *chosen)).used}
        return tuple(h.name for h in self.old if h.name not in used and not self.table.index(h.name).unique)


def _extends(a: Hypothetical, b: Hypothetical) -> bool:
    """Tell whether a does what b does, and more."""
    x, y = a.definition, b.definition
    if x.kind != y.kind or x.params != y.params:
        return False
    longer = x.columns[: len(y.columns)] == y.columns and x.kind == "ordered"
    return (longer or x.columns == y.columns) and set(y.include) <= {*x.include, *x.columns} and x.where in (None, y.where)


def _name_of(d: Definition, taken: Iterable[str]) -> str:
    parts = [c if isinstance(c, str) else f"{c.function}_{'_'.join(c.columns)}" for c in d.columns]
    prefix = "by" if d.kind == "ordered" else d.kind
    told = "_".join([prefix, *parts, *(["with", *d.include] if d.include else []), *(["some"] if d.where is not None else [])])
    name = stem = re.sub(r"\W+", "_", told)[:56]
    n = 2
    while name in taken:
        name, n = f"{stem}_{n}", n + 1
    return name
