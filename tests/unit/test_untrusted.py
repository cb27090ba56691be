"""Directories made to do harm: opened within limits, read only, and nothing of them believed."""

from __future__ import annotations

import json
import os
import struct
from collections import Counter
from pathlib import Path

import pytest

import lsm
import recovery
from experiments.torture import damages, isolated, row_f_corruption, samples
from experiments.torture.samples import HOME
from lsm import manifest, stored_json


@pytest.mark.parametrize("name", samples.RECIPES)
def test_an_intact_database_opens_to_read(name: str) -> None:
    sample = samples.make(name)
    fs = sample.file_system()
    before = {n: fs.read_all(f"{HOME}/{n}") for n in fs.listdir(HOME)}
    with lsm.open(HOME, sample.options, fs=fs, untrusted=True, encryption=sample.key) as db:
        assert db.read_only
        assert all(s.options.table.read_mode == "buffered" for s in db.spaces.values())
        assert dict(samples.ask(db, sample.states[-1], 1)) == sample.states[-1]
        with pytest.raises(lsm.ReadOnlyError):
            db.put(b"k", b"v")
    assert {n: fs.read_all(f"{HOME}/{n}") for n in fs.listdir(HOME)} == before


def test_damage_anywhere_is_found_before_use() -> None:
    sample = samples.make("rows")
    live = row_f_corruption.live_files(sample)
    options = lsm.Options.from_dict(sample.options)

    def judge(damage: damages.Damage, counts: Counter[str]) -> list[str]:
        fs = sample.file_system()
        ((name, data),) = damage.files.items()
        fs.write_all(f"{HOME}/{name}", data or b"")
        try:
            with lsm.open(HOME, options, fs=fs, untrusted=True) as db:
                told = " ".join(db.recovery_report.reasons)  # the end record of the log: what it ends is whole
        except lsm.Error as e:
            told = str(e)
        return [] if name in told else [f"not named: {told}"] if told or name in live else []

    found = isolated.run(damages.Flips(sample.files, 0, 1 << 40, 1999), judge, lambda d: d.what)
    assert not found.violations
    assert found.cases > 100


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"block": 20}, "limit|says it holds"),
        ({"ratio": 1}, "says it holds"),
        ({"manifest": 100}, "MANIFEST-000003: .* bytes; the limit is 100"),
        ({"logs": 1000}, "the logs have .* bytes; the limit is 1000"),
        ({"files": 3}, "files; the limit is 3"),
    ],
)
def test_limits_hold(limits: dict[str, int], told: str) -> None:
    sample = samples.make("codecs")
    with pytest.raises(lsm.CorruptionError, match=told):
        lsm.open(HOME, sample.options, fs=sample.file_system(), untrusted=lsm.Limits(**limits))


def test_an_index_file_has_a_limit() -> None:
    sample = samples.make("rows")
    with pytest.raises(lsm.CorruptionError, match=r"idx: .* bytes; the limit is 10"):
        lsm.open(HOME, sample.options, fs=sample.file_system(), untrusted=lsm.Limits(index_file=10))


@pytest.mark.parametrize("value", [0, -1, 1 << 40, 1.5, True, "1"])
def test_limits_are_checked(value: object) -> None:
    with pytest.raises(lsm.InvalidOptions, match=r"untrusted\.block"):
        lsm.Limits(block=value)  # type: ignore[arg-type]
    with pytest.raises(lsm.InvalidOptions, match="untrusted"):
        lsm.open(HOME, fs=recovery.memory(), untrusted="yes")  # type: ignore[arg-type]


def with_manifest(tmp: recovery.MemoryFileSystem, change: dict[str, object]) -> recovery.MemoryFileSystem:
    """Write a manifest of one record with right checksums, whose fields were changed."""
    state = manifest.State(7)
    state.add_keyspace(0, "default", {})
    row = manifest.snapshot_row(state) | manifest._counters(state) | change
    payload = json.dumps(row).encode()
    head = recovery.mask(recovery.crc32c(struct.pack("<IQI", len(payload), 0, 0)))
    tmp.mkdir(HOME)
    tmp.write_all(f"{HOME}/MANIFEST-000001", struct.pack("<III", len(payload), head, recovery.mask(recovery.crc32c(payload))) + payload)
    manifest.write_current(tmp, HOME, "MANIFEST-000001", 1)
    return tmp


TABLE = {"number": 9, "size": 1, "entries": 1, "deletions": 0, "smallest": "", "largest": "61"}


@pytest.mark.parametrize(
    "change",
    [
        {"next_file": -1},
        {"next_file": 1 << 64},
        {"last_seq": 1 << 56},
        {"log_floor": 1.5},
        {"next_run": True},
        {"next_keyspace": "1"},
        {"database": "0" * 15},
        {"keyspaces": None},
        {"keyspaces": [{"id": 0, "name": 5, "options": {}, "flushed": 0, "levels": []}]},
        {"keyspaces": [{"id": 0, "name": "default", "options": {}, "flushed": 0, "levels": [[]] * 65}]},
        {"edits": [{"keyspace": 0, "removed": [], "added": [[1 << 60, 1, TABLE]], "flushed": None}]},
        {"edits": [{"keyspace": 0, "removed": [], "added": [[0, 1, TABLE | {"number": "../../x"}]], "flushed": None}]},
        {"edits": [{"keyspace": 0, "removed": [], "added": [[0, 1, TABLE | {"smallest": "zz"}]], "flushed": None}]},
        {"edits": [{"keyspace": 3, "removed": [], "added": [], "flushed": None}]},
        {"close": {"log": 1, "used": -1, "seq": 0}},
        {"x": json.loads("[" * 33 + "]" * 33)},
    ],
    ids=str,
)
def test_a_hostile_manifest_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(lsm.CorruptionError, match="MANIFEST-000001"):
        lsm.open(HOME, fs=with_manifest(recovery.memory(), change), threads=0, read_only=True)


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", "-Infinity", "\ud800", '"a', b"\xff", "9" * 5000])
def test_json_that_may_not_be_stored(text: str | bytes) -> None:
    with pytest.raises(stored_json.Bad):
        stored_json.parse(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))


def test_a_sequence_number_too_large_is_refused() -> None:
    fs = samples.make("log_os").file_system()
    state, _ = manifest.load(fs, HOME)
    last = max(n for n in fs.listdir(HOME) if n.endswith(".log"))
    fs.unlink(f"{HOME}/{last}")
    with recovery.WalWriter(fs, HOME, int(last[:6]), salt=state.database_id) as log:
        log.append((1 << 63) + 5, struct.pack("<IBIIQ", 1, 1, 0, 1, 1) + b"kv")
    with pytest.raises(lsm.CorruptionError, match="sequence number"):
        lsm.open(HOME, samples.make("log_os").options, fs=fs, read_only=True)


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "device"])
@pytest.mark.parametrize("name", ["000054.sst", "000131.idx", "CURRENT", "MANIFEST-000003", "log"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    sample = samples.make("rows" if name.endswith("idx") else "plain")
    home = tmp_path / "db"
    home.mkdir()
    for file, data in sample.files.items():
        (home / file).write_bytes(data)
    path = home / (max(n for n in sample.files if n.endswith(".log")) if name == "log" else name)
    path.rename(tmp_path / "elsewhere")
    if kind == "symlink":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(lsm.Error):
        lsm.open(home, sample.options, untrusted=True)
