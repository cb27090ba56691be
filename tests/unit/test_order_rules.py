"""Each order rule passes what is right and names the call that is missing in what is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import lsm
import recovery
from recovery import Files, OrderRules, RecordFileSystem

FILES = Files(log=("*.log",), record=("*/MANIFEST*", "*/CURRENT"), data=("*.sst",))
Work = Callable[[RecordFileSystem, Callable[[str], bool]], None]


def store(fs: RecordFileSystem, does: Callable[[str], bool]) -> None:
    """A store's life; `does` says whether a step is done or forgotten."""
    log, table = fs.open("/db/1.log", "x"), fs.open("/db/2.sst", "x")
    manifest, pointer = fs.open("/db/MANIFEST", "x"), fs.open("/db/TMP", "x")
    pointer.append(b"MANIFEST")
    manifest.append(b"nothing")
    for name, f in (("manifest", manifest), ("pointer", pointer)):
        if does(f"sync {name}"):
            f.sync()
    if does("name the manifest"):
        fs.sync_dir("/db")
    fs.rename("/db/TMP", "/db/CURRENT")
    if does("name the pointer"):
        fs.sync_dir("/db")
    log.append(b"1")
    if does("sync log"):
        log.sync()
    fs.mark("acked 1")
    late = fs.open("/db/3.sst", "x")
    late.append(b"1")
    table.append(b"1")
    for name, f in (("table", table), ("late", late)):
        if does(f"sync {name}"):
            f.sync()
    if does("name the table"):
        fs.sync_dir("/db")
    manifest.append(b"2.sst 3.sst")
    if does("sync the edit"):
        manifest.sync()
    fs.unlink("/db/1.log")
    for f in (log, table, late, manifest, pointer):
        f.close()


def broken(work: Work, forgotten: str = "", files: Files = FILES) -> list[str]:
    fs = recovery.record(recovery.materialise({"/db/": b""}))
    work(fs, lambda step: step != forgotten)
    rules = OrderRules(files)
    return [f"{b.rule}: {b.missing}" for b in rules.check(fs.events())]


def test_a_right_order_breaks_nothing() -> None:
    assert broken(store) == []


@pytest.mark.parametrize(("forgotten", "expected"), [
    ("sync manifest", "sync-before-rename: sync(/db/MANIFEST)"),
    ("sync pointer", "sync-before-rename: sync(/db/TMP)"),
    ("name the manifest", "name-before-rename: sync_dir(/db)"),
    ("name the pointer", "name-before-ack: sync_dir(/db)"),
    ("sync log", "sync-before-ack: sync(/db/1.log)"),
    ("sync table", "sync-before-record: sync(/db/2.sst)"),
    ("name the table", "sync-before-record: sync_dir(/db)"),
    ("sync the edit", "record-before-unlink: sync(/db/MANIFEST)"),
])  # fmt: skip
def test_a_missing_call_is_named(forgotten: str, expected: str) -> None:
    assert broken(store, forgotten)[0] == expected


def test_a_log_outlives_what_only_it_holds() -> None:
    def work(fs: RecordFileSystem, does: Callable[[str], bool]) -> None:
        store(fs, does)
        with fs.open("/db/4.log", "x") as log:
            fs.sync_dir("/db")
            log.append(b"2")
            log.sync()
            fs.mark("acked 2")
        fs.unlink("/db/4.log")

    assert broken(work) == ["record-before-unlink: a record made durable since the last byte of /db/4.log"]


def test_nothing_is_written_to_a_file_whose_sync_failed() -> None:
    disk = recovery.fault(recovery.memory())
    fs = recovery.record(disk)
    with fs.open("/a", "x") as f:
        f.append(b"1")
        disk.arm("sync")
        with pytest.raises(OSError):
            f.sync()
        f.append(b"2")
        f.sync()
    found = OrderRules(Files()).check(fs.events())
    assert [(b.rule, b.event.op) for b in found] == [("no-write-after-failed-sync", "append"), ("no-write-after-failed-sync", "sync")]


def test_records_may_say_which_data_they_name() -> None:
    def names(data: bytes) -> list[str]:
        return [f"/db/{word}" for word in data.decode().split() if word.startswith("2")]

    told = Files(FILES.log, FILES.record, FILES.data, names=names)
    assert broken(store, "sync late") == ["sync-before-record: sync(/db/3.sst)"]
    assert broken(store, "sync late", told) == []


def test_rules_fail_at_once_while_recording() -> None:
    fs = recovery.record(recovery.materialise({"/db/": b""}), [OrderRules(FILES, raising=True)])
    with pytest.raises(recovery.OrderBroken, match=r"sync-before-ack: mark\(acked 1\) \(event \d+\) without sync\(/db/1.log\)"):
        store(fs, lambda step: step != "sync log")


def test_files_from_before_are_taken_as_durable() -> None:
    base = {"/db/": b"", "/db/1.log": b"1"}
    fs = recovery.record(recovery.materialise(base))
    with fs.open("/db/1.log", "a"):
        fs.mark("acked 1")
    events = fs.events()
    assert OrderRules(FILES, existing=base).check(events) == []
    assert [str(b) for b in OrderRules(FILES).check(events)] == ["name-before-ack: mark(acked 1) (event 1) without sync_dir(/db)"]


@pytest.mark.parametrize("sync", ["group", "every"])
def test_the_engine_keeps_the_order(sync: str) -> None:
    rules = OrderRules(Files(log=("*.log",), record=("*/MANIFEST-*", "*/CURRENT"), data=("*.sst", "*.idx")), raising=True)
    fs = recovery.record(recovery.memory(), [rules])
    options = {"threads": 0, "write_buffer": 1024, "wal": {"sync": sync, "segment_bytes": 4096}}
    for half in range(2):
        with lsm.open("/db", options, fs=fs) as db:
            for i in range(30):
                db.put(b"%d" % (i % 9), b"%d" % half * 50)
                fs.mark(f"acked {i}")
            db.compact()
        fs.mark("acked close")
    assert rules.broken == []


def test_an_acknowledgement_that_the_sync_mode_does_not_promise_is_found() -> None:
    fs = recovery.record(recovery.memory())
    with lsm.open("/db", threads=0, wal={"sync": "os"}, fs=fs) as db:
        db.put(b"k", b"v")
        fs.mark("acked 1")  # which "os" does not promise
    found = OrderRules(FILES).check(fs.events())
    assert [(b.rule, b.missing) for b in found] == [("sync-before-ack", "sync(/db/000002.log)")]
