"""The commands `lsmlab view` and `lsmlab explain`: a database's tree over time, and why it costs what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

import lsm

from .compare import label
from .console import emit, guarded, key_source, out, progress
from .results import SUFFIX, read, read_all

Db = Annotated[Path, typer.Argument(help="Directory of the database; it may be open elsewhere.")]


Layout = Annotated[str, typer.Option("--layout", help="Its layout, for what the models say: leveling, tiering, ...")]
Ratio = Annotated[int, typer.Option("--size-ratio", "-T", min=2, help="Its size ratio, for what the models say.")]
Params = Annotated[str, typer.Option("--layout-params", help="Parameters of the layout, as 'K=3 Z=1' of fluid.")]

_RATIO = lsm.CompactionOptions().size_ratio


def _compaction(layout: str, size_ratio: int, params: str) -> lsm.CompactionOptions | None:
    if params and not layout:
        raise ValueError(f"--layout-params is {params!r}; allowed: with --layout")
    return lsm.CompactionOptions(layout=layout, size_ratio=size_ratio, layout_params=params) if layout else None


def view_(
    db: Db,
    out_file: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("tree.html"),
    layout: Layout = "",
    size_ratio: Ratio = _RATIO,
    layout_params: Params = "",
    reads: Annotated[
        Path | None, typer.Option("--reads", help="An operation trace (lsmlab trace): colour tables by how often their keys are read.")
    ] = None,
) -> None:
    """Write a page that shows the tree through every flush, merge and move since the database was opened last, and where its bytes went.

    Example: lsmlab view my.db --out tree.html
    """
    from .views import Heat, write_page

    with guarded(), progress(None, "reading the history") as told:
        told("reading the history", 0)
        options = _compaction(layout, size_ratio, layout_params)
        of = _history(db)
        heat = Heat.of_trace(reads) if reads is not None else None
        path = write_page(of, out_file, db.resolve().name, options, heat)
    out.print(f"page: {path.resolve()} ({sum(len(h) - 1 for h in of.values())} steps)", markup=False)


def explain_(
    db: Annotated[
        Path, typer.Argument(help="Directory of a database, which may be open elsewhere; or a folder of records, or one of them.")
    ],
    keyspace: Annotated[str, typer.Option("--keyspace", help="Of this keyspace alone.")] = "",
    layout: Layout = "",
    size_ratio: Ratio = _RATIO,
    layout_params: Params = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say in words why write amplification is what it is: which merges wrote how much, what moved for nothing, what would cost less. Of a
    database from its manifest, of runs from the ledgers in their records.

    Example: lsmlab explain my.db --layout leveling --size-ratio 10
    """
    from .views import explain

    with guarded():
        if db.suffix == SUFFIX or (db.is_dir() and any(db.glob(f"*{SUFFIX}"))):
            if keyspace or layout or layout_params:
                raise ValueError("a record has its own options and one keyspace; allowed beside it: --json")
            value = _runs(db)
        else:
            of = _history(db)
            if keyspace and keyspace not in of:
                raise ValueError(f"there is no keyspace {keyspace!r}; allowed: {', '.join(of)}")
            options = _compaction(layout, size_ratio, layout_params)
            value = {name: explain(h, options) for name, h in of.items() if keyspace in ("", name)}

        def show() -> None:
            for name, words in value.items():
                if len(value) > 1:
                    out.print(f"{name}:", markup=False)
                for line in words:
                    out.print(f"- {line}", markup=False)

        emit(value, as_json, show)


def _history(db: Path) -> Mapping[str, tuple[lsm.Step, ...]]:
    """The history of a database. ValueError for a folder that holds neither a database nor records."""
    if db.is_dir() and not (db / "CURRENT").exists():
        raise ValueError(f"{db} holds no database, and no records of runs")
    return lsm.history(db, encryption=key_source())


def _runs(path: Path) -> dict[str, list[str]]:
    """Of each record: its workload, point and seed, and the words."""
    from .views import explain_run

    records = [read(path)] if path.is_file() else read_all(path)
    return {f"{r.workload} {label(r)}, seed {r.seed} ({r.id})": explain_run(r) for r in records}
