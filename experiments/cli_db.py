"""The commands of `lsmlab` that work on one database: get, put, delete, scan, load, stats, dump."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

import lsm

from .console import PROBLEMS, emit, err, guarded, open_database, out, parse_bytes, print_table, progress, show_bytes

app = typer.Typer()
Db = Annotated[Path, typer.Argument(help="Directory of the database.")]
Hex = Annotated[bool, typer.Option("--hex", help="Keys and values are hexadecimal, in and out.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Key = Annotated[str, typer.Argument(help="Key: text, or hexadecimal with --hex.")]
BATCH = 1_000


@app.command()
def get(db: Db, key: Key, as_hex: Hex = False, as_json: Json = False) -> None:
    """Print the value of a key; exit code 1 when there is none.

    Example: lsmlab get my.db user:1
    """
    with guarded(), open_database(db, create=False, read_only=True) as opened:
        value = opened.get(parse_bytes(key, as_hex))
        shown = None if value is None else show_bytes(value, as_hex)
        emit({"key": key, "value": shown}, as_json, lambda: err.print("no such key") if shown is None else out.print(shown, markup=False))
        if value is None:
            raise typer.Exit(PROBLEMS)


@app.command()
def put(db: Db, key: Key, value: Annotated[str, typer.Argument(help="Value, in the same form as the key.")], as_hex: Hex = False) -> None:
    """Write one pair, durable when the command returns; makes the database if there is none.

    Example: lsmlab put my.db user:1 Ada
    """
    with guarded(), open_database(db) as opened:
        batch = lsm.Batch()
        batch.put(parse_bytes(key, as_hex), parse_bytes(value, as_hex))
        opened.write(batch, sync=True)


@app.command()
def delete(
    db: Db,
    key: Key,
    until: Annotated[str | None, typer.Option("--until", help="Delete all keys from KEY up to, not including, this one.")] = None,
    as_hex: Hex = False,
) -> None:
    """Delete a key, or a range of keys, durable when the command returns.

    Example: lsmlab delete my.db user:1 --until user:5
    """
    with guarded(), open_database(db, create=False) as opened:
        batch = lsm.Batch()
        first = parse_bytes(key, as_hex)
        if until is None:
            batch.delete(first)
        else:
            batch.delete_range(first, parse_bytes(until, as_hex))
        opened.write(batch, sync=True)


@app.command()
def scan(
    db: Db,
    *,
    start: Annotated[str | None, typer.Option("--from", help="First key.")] = None,
    stop: Annotated[str | None, typer.Option("--to", help="End, not included.")] = None,
    prefix: Annotated[str | None, typer.Option("--prefix")] = None,
    reverse: Annotated[bool, typer.Option("--reverse")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=0)] = None,
    keys: Annotated[bool, typer.Option("--keys", help="Keys only.")] = False,
    as_hex: Hex = False,
    as_json: Json = False,
) -> None:
    """Print pairs in key order, a pair a line with a tab between; --json prints one object a line.

    Example: lsmlab scan my.db --prefix user: --limit 10
    """
    import json

    with guarded(), open_database(db, create=False, read_only=True) as opened:
        low, high, pre = (None if t is None else parse_bytes(t, as_hex) for t in (start, stop, prefix))
        for key, value in opened.scan(low, high, prefix=pre, reverse=reverse, limit=limit):
            shown = [show_bytes(key, as_hex), *([] if keys else [show_bytes(value, as_hex)])]
            sys.stdout.write((json.dumps(dict(zip(("key", "value"), shown, strict=False))) if as_json else "\t".join(shown)) + "\n")


@app.command()
def load(
    db: Db, source: Annotated[Path, typer.Argument(help="Lines of key, tab, value; - for standard input.")], as_hex: Hex = False
) -> None:
    """Load pairs from a file in batches of a thousand; a bad line stops it with its number, what came before stays.

    Example: lsmlab load my.db pairs.tsv
    """
    with guarded(), open_database(db) as opened, progress(None, "loading") as told:
        count = 0
        with sys.stdin.buffer if str(source) == "-" else source.open("rb") as stream:
            keys: list[bytes] = []
            values: list[bytes] = []
            for key, value in _pairs(stream, as_hex):
                keys.append(key)
                values.append(value)
                if len(keys) == BATCH:
                    opened.put_many(keys, values)
                    count += len(keys)
                    told("loading", count)
                    keys, values = [], []
            if keys:
                opened.put_many(keys, values)
        out.print(f"{count + len(keys)} pairs loaded", markup=False)


def _pairs(stream: BinaryIO, as_hex: bool) -> Iterator[tuple[bytes, bytes]]:
    for number, line in enumerate(stream, 1):
        key, tab, value = line.rstrip(b"\r\n").partition(b"\t")
        if not tab:
            raise ValueError(f"line {number}: no tab between key and value: {line[:60]!r}")
        yield (parse_bytes(key.decode(), True), parse_bytes(value.decode(), True)) if as_hex else (key, value)


@app.command()
def stats(db: Db, as_json: Json = False) -> None:
    """Show the levels of the tree and what opening it cost.

    Example: lsmlab stats my.db --json
    """
    with guarded(), open_database(db, create=False, read_only=True) as opened:
        s = opened.stats()

        def show() -> None:
            rows = [
                [f"L{lv.level}", str(lv.runs), str(lv.tables), f"{lv.entries:,}", f"{lv.bytes / 2**20:,.2f}"]
                for lv in opened.levels()
                if lv.tables
            ]
            print_table(str(db), ["level", "runs", "tables", "entries", "MiB"], rows)
            counters = [[name, f"{value:,}"] for name, value in s.counters.items() if value]
            if counters:
                print_table("counters since it was opened", ["what", "count"], counters)

        emit(s.to_dict(), as_json, show)


@app.command()
def dump(db: Db) -> None:
    """Print the tree as text: levels, runs, tables with their key ranges.

    Example: lsmlab dump my.db
    """
    with guarded(), open_database(db, create=False, read_only=True) as opened:
        out.print(opened.dump(), markup=False)
