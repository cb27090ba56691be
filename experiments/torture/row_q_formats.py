"""Row Q: files of every format version that ever was are opened, read, written and opened again, under options drawn at random.

A fixture is a folder ``tests/golden/db_v<version>*``: a database as it was written then, and what is in it, ``content.json``. Fixtures are
never written again: a new version gets a folder of its own (`write_fixture`).
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import lsm
import recovery
from lsm.secondary import col, near, text

from . import draws
from .row import Found, Row, Slice

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
CONTENT = "content.json"
_PATH = "/db"
QUESTIONS: dict[str, Any] = {
    "n = 3": col("n") == 3,
    "n > 4 and s = b": (col("n") > 4) & (col("s") == "b"),
    "s starts with a": col("s").startswith("a"),
    "n < 2": col("n") < 2,
    "near": near("at", (3, 3), 2),
    "text": text("s", "beta"),
    "tags": col("tags").isin(["x"]),
    "unique": col("u") == 11,
}


def fixtures() -> list[Path]:
    """Return the folders of databases that are kept; none where the tests are not."""
    return sorted(p for p in GOLDEN.glob("db_v*") if (p / CONTENT).exists())


def load(folder: Path) -> recovery.MemoryFileSystem:
    """Return a file system in memory with a copy of a fixture as /db, all of it durable."""
    fs = recovery.memory()
    fs.mkdir(_PATH)
    for path in sorted(folder.iterdir()):
        if path.name != CONTENT:
            fs.write_all(f"{_PATH}/{path.name}", path.read_bytes(), sync=True)
    fs.sync_dir(_PATH)
    fs.sync_dir("/")
    return fs


def content(db: lsm.DB) -> dict[str, Any]:
    """Return all that is in a database as plain values: pairs of each keyspace, rows, answers of every index."""
    table = db.table("people", key="id") if "people" in db.keyspaces() else None
    found: dict[str, Any] = {
        "pairs": {n: [[k.hex(), v.hex()] for k, v in db.keyspace(n).scan()] for n in db.keyspaces() if not n.startswith("people")}
    }
    if table is not None:
        found["rows"] = sorted(table, key=lambda r: int(r["id"]))
        found["indexes"] = sorted([x["name"], x["kind"]] for x in table.indexes())
        found["answers"] = {name: sorted(r["id"] for r in table.find(asked)) for name, asked in QUESTIONS.items()}
        found["scrub"] = table.scrub()
    return found


def wrong(folder: Path, options: draws.Options) -> str:
    """Open, read, write, reopen and read again; return what is not as it was, "" when all is."""
    expected = json.loads((folder / CONTENT).read_text())
    fs = load(folder)
    before = {path: fs.read_all(path) for path in fs.walk_files("/")}
    with lsm.open(_PATH, options, fs=fs, read_only=True) as db:
        if (found := content(db)) != expected:
            return f"opened read-only, it holds {found}"
    if {path: fs.read_all(path) for path in before} != before:
        return "opening read-only changed a file"
    with lsm.open(_PATH, options, fs=fs, create=False) as db:
        if (found := content(db)) != expected:
            return f"opened, it holds {found}"
        if problems := db.verify():
            return f"verify: {problems}"
        db.put(b"new", b"value")
        db.keyspace("other").delete_range(b"", b"\xff" * 9)
        for name in db.keyspaces():
            if name != "people.keys":
                db.keyspace(name).compact()
    expected["pairs"]["default"] = sorted([*expected["pairs"]["default"], [b"new".hex(), b"value".hex()]])
    expected["pairs"]["other"] = []
    with lsm.open(_PATH, options, fs=fs, create=False) as db:
        if (found := content(db)) != expected:
            return f"written, merged and opened again, it holds {found}"
    return ""


def slices(full: bool) -> list[Slice]:
    """Some sets of options for every fixture."""
    sets, count = (200, 5) if full else (10, 1)
    return [Slice(f"seed-{seed}", {"seed": seed, "sets": sets}) for seed in range(count)]


def run(given: dict[str, Any]) -> Found:
    """Open every fixture under sets of options."""
    if not fixtures():
        return Found(missing=f"no fixtures in {GOLDEN}: they come with the source tree, not with the wheel")
    found, rng = Found(), random.Random(given["seed"])
    for _ in range(given["sets"]):
        options = draws.draw_options(rng)
        for folder in fixtures():
            found.cases += 1
            try:
                problem = wrong(folder, options)
            except Exception as e:  # whatever is raised is wrong
                problem = f"{type(e).__name__}: {e}"
            if problem:
                expected = (folder / CONTENT).read_text()
                found.violations.append(f"{folder.name}: {problem}; expected {expected}; options {options}")
    return found


ROW = Row("Q", "databases of every format version", "openings", 20, 2_000, slices, run)


def write_fixture(folder: Path, *, clean: bool) -> None:
    """Write a database of the current format, small and with every part of it, ended cleanly or by the death of its process.

    FileExistsError when the folder is there: what was written once stays.
    """
    folder.mkdir(parents=True)
    fs = recovery.memory()
    options = {
        "threads": 0, "write_buffer": 1 << 20, "wal": {"sync": "every", "segment_bytes": 4096}, "cache": {"capacity": 0},
        "table": {"block_size": 512, "codec": "zstd", "filter": "ribbon", "range_filter": "surf"},
    }  # fmt: skip
    db = lsm.open(_PATH, options, fs=fs)
    other = db.keyspace(
        "other", {"memtable": "vector", "table": {"codec": "lz4", "filter": "bloom", "index": "two_level", "range_filter": "none"}}
    )
    for i in range(60):
        db.put(b"key/%04d" % (i * 37 % 60), b"%d" % i * (i % 7))
        other.put(b"\xff%d" % i, bytes([i]) * 12)
    people = db.table("people", key="id")
    people.put_many(_row(i) for i in range(40))
    indexes: list[tuple[str, Any, dict[str, Any]]] = [
        ("by_n", "n", {}), ("by_n_s", ["n", "s"], {"include": ["u"]}), ("hash_s", "s", {"kind": "hash"}), ("bits", "n", {"kind": "bitmap"}),
        ("tags", "tags", {"kind": "bitmap"}), ("slices", "u", {"kind": "sliced", "numbers": "int64"}), ("places", "at", {"kind": "rtree"}),
        ("words", "s", {"kind": "text"}), ("one_u", "u", {"unique": True}), ("some", "s", {"where": col("n") > 2}),
    ]  # fmt: skip
    for name, of, how in indexes:
        people.create_index(name, of, **how)
    db.flush()
    db.close()
    db = lsm.open(_PATH, options, fs=fs)  # a short manifest
    other, people = db.keyspace("other"), db.table("people")
    with db.snapshot():
        db.delete_range(b"key/0010", b"key/0020")
        db.put(b"key/0001", b"newer")
        db.delete(b"key/0002")
        other.delete(b"\xff7")
        db.compact()
    people.delete_many([1, 2])
    people.put_many(_row(i) | {"n": 9} for i in (3, 50))
    batch = lsm.Batch()  # the rest stays in the log
    batch.put(b"in the log", b"alone")
    batch.delete(b"key/0003")
    batch.put(b"in the log", b"too", keyspace=other)
    db.write(batch)
    if clean:
        db.close()
    kept = fs.crash_clone("process")
    with lsm.open(_PATH, options, fs=kept.crash_clone("process"), read_only=True) as copy:
        (folder / CONTENT).write_text(json.dumps(content(copy), separators=(",", ":")) + "\n")
    for path in kept.walk_files(_PATH):
        if not path.endswith("/LOCK"):
            (folder / Path(path).name).write_bytes(kept.read_all(path))
    if not clean:
        db.close()


def _row(i: int) -> dict[str, Any]:
    words = ["a", "b", "alpha beta", "beta gamma", "", "é"]
    return {"id": i, "n": i % 6, "s": words[i % 6], "u": i + 7, "at": [i % 8, i // 8], "tags": ["x", "y"][: i % 3], "f": i / 4, "no": None}
