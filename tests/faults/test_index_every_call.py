"""Each file call of a table's life fails in turn, and each file of an index is damaged: an error or a right answer, never a wrong one."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

import lsm
import recovery
from lsm.secondary import Table, building, col

OPERATIONS = ["open", "append", "pread", "sync", "allocate", "map", "rename", "unlink", "sync_dir", "list", "stat"]
OPTIONS: dict[str, Any] = {
    "threads": 0,
    "write_buffer": 4096,
    "wal": {"sync": "os"},
    "table": {"block_size": 256},
    "cache": {"capacity": 4096},
    "compaction": {"layout": "leveling", "size_ratio": 2, "output_bytes": 2048, "level_base": 4096, "l0_trigger": 2},
}
Rows = dict[Any, dict[str, Any]]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "STRETCH", 10)


class Run:
    """One pass of the workload; remembers which rows were acknowledged, and which may be there beside."""

    def __init__(self, fs: Any, key: str) -> None:
        self.fs, self.text = fs, key == "text"
        self.acked: Rows = {}
        self.flight: Rows | None = None
        self.errors: list[BaseException] = []

    def step(self, call: Any, after: Rows | None = None) -> Any:
        if self.errors:
            return None
        try:
            result = call()
        except lsm.Error as e:
            self.errors.append(e)
            self.flight = after if after is not None else self.flight
            return None
        if after is not None:
            self.acked = after
        return result

    def go(self) -> None:
        for half in range(2):
            db = self.step(lambda: lsm.open("/db", OPTIONS, fs=self.fs))
            if db is None:
                return
            try:
                table = self.step(lambda d=db: d.table("t", key="k"))
                if table is not None:
                    self.fill(table, half)
                    self.check(table)
            finally:
                errors, self.errors = self.errors, []
                self.step(db.close)
                self.errors = errors + self.errors

    def put(self, table: Table, rows: list[dict[str, Any]]) -> None:
        self.step(lambda: table.put_many(rows), {**self.acked, **{r["k"]: r for r in rows}})

    def fill(self, table: Table, half: int) -> None:
        if half == 0:
            self.step(lambda: table.create_index("a", "a"))
        for i in range(12):
            self.put(table, [{"k": f"k{j}" if self.text else j, "a": half * 100 + i, "b": j % 3} for j in range(i, i + 6)])
            if i % 2:
                self.step(table.flush)
            if i == 6:
                self.step(lambda: table.create_index(f"b{half}", "b", kind="bitmap"))
        gone = next(iter(self.acked), None)
        if gone is not None:
            self.step(lambda: table.delete(gone), {k: r for k, r in self.acked.items() if k != gone})
        if half == 1:
            self.step(lambda: table.drop_index("b0"))
        self.step(table.flush)

    def check(self, table: Table) -> None:
        legal = [self.acked] if self.flight is None else [self.acked, self.flight]
        for bound in (3, 103) if "b" in table.names else ():
            try:
                found = table.find(col("a") > bound, order_by="k")
                count = table.count(col("b") == 1)
            except lsm.Error:
                continue
            assert found in [sorted((r for r in rows.values() if r["a"] > bound), key=lambda r: r["k"]) for rows in legal]
            assert count in [sum(r["b"] == 1 for r in rows.values()) for rows in legal]


def cases(key: str) -> Iterator[tuple[str, int]]:
    probe = recovery.fault(recovery.memory())
    run = Run(probe, key)
    run.go()
    assert not run.errors
    for op in OPERATIONS:
        total = probe.calls(op)
        yield from ((op, n) for n in range(1, total + 1, max(1, total // 6)))


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
@pytest.mark.parametrize("key", ["int", "text"])
def test_every_call_under_a_table_may_fail(key: str, sticky: bool) -> None:
    seen = 0
    for op, n in cases(key):
        disk = recovery.memory()
        broken = recovery.fault(disk)
        broken.arm(op, "*", n, errno.EIO, sticky)
        run = Run(broken, key)
        try:
            run.go()
            healthy = disk.crash_clone(0, 0)
            if not healthy.exists("/db/CURRENT"):
                assert not run.acked
                continue
            with lsm.open("/db", OPTIONS, fs=healthy) as db:
                table = db.table("t", key="k")
                found = {r["k"]: r for r in table}
                assert found in ([run.acked] if run.flight is None else [run.acked, run.flight])
                assert table.scrub() == []
                run.acked, run.flight = found, None
                run.check(table)
                table.put({"k": "after" if run.text else 999, "a": 1, "b": 1})
                table.flush()
                assert table.scrub() == []
                on_disk = {name for name in healthy.listdir("/db") if name.endswith(".idx")}
                assert on_disk == {f"{n:06d}.idx" for n in db.state.attached_files()}
        except BaseException as e:
            e.add_note(f"repeat: {op} call {n} fails with EIO, sticky={sticky}, key={key}; errors so far: {run.errors}")
            raise
        seen += 1
    assert seen > 40


def made() -> recovery.MemoryFileSystem:
    fs = recovery.memory()
    with lsm.open("/db", OPTIONS, fs=fs) as db:
        t = db.table("t")
        t.create_index("a", "a")
        t.create_index("h", "a", kind="hash")
        t.create_index("b", "b", kind="bitmap")
        t.create_index("p", "p", kind="rtree")
        for i in range(3):
            t.put_many([{"id": j, "a": i, "b": j % 3, "p": [j, j]} for j in range(i, i + 20)])
            t.flush()
        t.put({"id": 5, "a": 50})
        t.create_index("late", "b")
    return fs


def changed(fs: recovery.MemoryFileSystem, name: str, data: bytes | None) -> recovery.MemoryFileSystem:
    clone = fs.crash_clone(0, 0)
    clone.unlink(f"/db/{name}")
    if data is not None:
        clone.write_all(f"/db/{name}", data, sync=True)
    return clone


def refuses(fs: recovery.MemoryFileSystem, name: str, what: str) -> None:
    with pytest.raises(lsm.CorruptionError) as e, lsm.open("/db", OPTIONS, fs=fs) as db:
        db.table("t")
    assert e.value.file == f"/db/{name}", what


def test_damage_to_an_index_is_told_and_never_answered_from() -> None:
    fs = made()
    names = [n for n in fs.listdir("/db") if n.endswith(".idx")]
    assert len(names) >= 3
    for name in names:
        data = fs.read_all(f"/db/{name}")
        refuses(changed(fs, name, None), name, "missing")
        for size in {0, 1, 8, 23, len(data) // 2, len(data) - 1}:
            refuses(changed(fs, name, data[:size]), name, f"{size} bytes of {len(data)}")
        for at in {0, 7, len(data) - 1, len(data) - 12, *range(8, len(data), max(1, len(data) // 40))}:
            flipped = bytearray(data)
            flipped[at] ^= 1 << at % 8
            clone = changed(fs, name, bytes(flipped))
            try:
                refuses(clone, name, f"bit {at % 8} of byte {at}")
            except pytest.fail.Exception:  # padding between sections says nothing
                with lsm.open("/db", OPTIONS, fs=clone) as db:
                    assert db.table("t").scrub() == []
                assert data[at] == 0
