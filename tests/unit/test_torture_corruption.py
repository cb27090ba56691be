"""Row F on a small scale, and the defects that it found, each by itself."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

import lsm
import recovery
from experiments.torture import copies, isolated, row_f_corruption, samples
from experiments.torture.damages import Damage, Flips
from experiments.torture.samples import HOME


@pytest.mark.parametrize("name", (*samples.RECIPES, *row_f_corruption.COPIES))
def test_damage_is_told_or_without_effect(name: str) -> None:
    files = row_f_corruption.files_of(name)
    bits = 8 * sum(map(len, files.values()))
    for kind, step in (("flips", bits // 150 | 1), ("cuts", 601), ("blocks", 16)):
        found = row_f_corruption.run({"sample": name, "kind": kind, "begin": 0, "end": bits, "step": step})
        assert not found.violations
        assert found.cases + found.more.get("other damages", 0) > 20


def test_every_bit_is_flipped_once_and_no_flip_is_made_before_it_is_asked_for() -> None:
    files = {"b": b"abc", "a": b"", "c": b"", "d": b"xyzw", "e": b""}
    every = Flips(files, 0, 1 << 40, 1)
    assert len(every) == 8 * 7
    seen = {(name, data) for d in every for name, data in d.files.items()}
    assert len(seen) == 56 and all(
        sum((x ^ y).bit_count() for x, y in zip(data or b"", files[name], strict=True)) == 1 for name, data in seen
    )
    assert [d.what for d in Flips(files, 5, 40, 7)] == [every[i].what for i in (5, 12, 19, 26, 33)]
    assert [d.what for d in every[23:25]] == ["b: bit 7 of byte 2 flipped", "d: bit 0 of byte 0 flipped"]
    with pytest.raises(IndexError):
        every[56]
    assert len(Flips({"big": bytes(1 << 20)}, 0, 1 << 40, 1)[1000:1003]) == 3  # of eight million, a MiB each


def test_quick_and_full_reach_their_goals() -> None:
    def flips(full: bool) -> int:
        given = [s.given for s in row_f_corruption.slices(full) if s.given["kind"] == "flips"]
        return sum((g["end"] - g["begin"]) // g["step"] for g in given)

    assert flips(False) >= row_f_corruption.ROW.quick_goal
    assert flips(True) >= row_f_corruption.ROW.full_goal


def test_the_judge_sees_a_wrong_answer_a_loss_and_silence() -> None:
    sample = samples.make("log_every")
    court = row_f_corruption.Court(sample)
    whole = Damage("none", {"000071.log": sample.files["000071.log"]})

    def compared(state: samples.State, told: list[str]) -> str:
        return " ".join(court._compare(whole, state, told, Counter()))

    assert compared(sample.states[-1], []) == ""
    assert "LOST" in compared(sample.states[0], ["/db/000071.log"])
    assert "WRONG" in compared(sample.states[-1] | {"scan default": [(b"k", b"v")]}, [])
    assert "WRONG" in compared(sample.states[-1] | {"scan default": sample.states[0]["scan default"]}, [])
    silent = Damage("flip", {"000062.sst": sample.files["000062.sst"][:-1] + b"\0"}, one_bit=True)
    assert "UNSEEN" in " ".join(court._compare(silent, sample.states[-1], [], Counter()))
    assert "UNNAMED" in " ".join(
        court._compare(silent, sample.states[-1] | {"scan other": lsm.CorruptionError("x", "/db/1")}, [], Counter())
    )


def test_the_judge_of_stores_sees_a_wrong_answer_and_silence() -> None:
    court = copies.Court(copies.make("backup"))
    name = next(n for n in court.sample.files if n.startswith("objects/"))
    flip = Damage("flip", {name: b"x"}, one_bit=True)

    def compared(told: list[str], restored: dict[int, copies.Content], damage: Damage = flip) -> str:
        return " ".join(court.compare(damage, told, restored, Counter()))

    first, second, _ = court.sample.contents
    assert compared([f"/store/{name}: damaged"], {}) == ""
    assert compared([f"/store/{name}: damaged"], {1: second}) == ""
    assert "UNNAMED" in compared(["something is wrong"], {})
    assert "UNSEEN" in compared([], {0: first})
    assert "WRONG" in compared([f"/store/{name}: damaged"], {1: first})
    gone = Damage("gone", {"records/backup-000002": None})
    assert compared([], {1: first}, gone) == ""
    assert "WRONG" in compared([], {0: second}, gone)


def test_a_sealed_sample_is_the_same_each_time_and_opens_with_its_key() -> None:
    sample = samples.make("encrypted")
    plain = dataclasses.replace(samples.RECIPES["encrypted"], encrypted=False)
    assert sample.key is not None and all(b"people" not in data for data in sample.files.values())
    samples.make.cache_clear()
    assert samples.make("encrypted").files == sample.files
    with lsm.open(HOME, samples.options_of(plain), fs=sample.file_system(), encryption=sample.key) as db:
        assert dict(samples.ask(db, sample.states[0], 0)) == sample.states[-1]


@pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="sanitizers catch the signals")
@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "CRASH: SIGSEGV"),
        (lambda: sum(iter(int, 1)), "HANG"),
        (lambda: [np.empty(isolated.MEMORY, np.uint8) for _ in iter(int, 1)], "asked for more"),  # until no hole of the heap is left
        (lambda: {}["k"], "RAISED KeyError"),
    ],
    ids=["crash", "hang", "memory", "raise"],
)
def test_an_end_is_put_down_to_its_case(act: Callable[[], object], told: str) -> None:
    def judge(case: int, counts: Counter[str]) -> list[str]:
        counts["seen"] += 1
        if case == 3:
            act()
        return ["odd"] if case == 5 else []

    found = isolated.run(range(8), judge, "case {}".format, seconds=2)
    assert found.cases == 8
    assert [v.split(":")[0] for v in found.violations] == ["case 3", "case 5"]
    assert told in found.violations[0]


def damaged(name: str, change: Callable[[dict[str, bytes]], None], **how: bool) -> lsm.DB:
    sample = samples.make(name)
    files = dict(sample.files)
    change(files)
    fs = recovery.memory()
    fs.mkdir(HOME)
    for file, data in files.items():
        fs.write_all(f"{HOME}/{file}", data)
    return lsm.open(HOME, sample.options, fs=fs, **how)


def test_the_first_live_log_that_is_missing_is_noticed() -> None:
    with pytest.raises(lsm.CorruptionError, match=r"000059\.log: the oldest log segment"):
        damaged("log_every", lambda f: f.pop("000059.log"), read_only=True)


def test_a_manifest_that_is_cut_between_records_is_noticed() -> None:
    data = samples.make("log_every").files["MANIFEST-000003"].rstrip(b"\0")
    ends, at = [], 0
    while at < len(data):
        at += 12 + int.from_bytes(data[at : at + 4], "little")
        ends.append(at)
    assert len(ends) > 3
    for end in ends[:-1]:
        with pytest.raises(lsm.CorruptionError, match="missing"):
            damaged("log_every", lambda f, n=end: f.update({"MANIFEST-000003": data[:n]}), read_only=True)


def test_an_older_manifest_of_a_closed_database_is_noticed() -> None:
    older = samples.make("plain", fewer=3).files["MANIFEST-000003"]
    with pytest.raises(lsm.CorruptionError, match=r"MANIFEST-000003: older than the log"):
        damaged("plain", lambda f: f.update({"MANIFEST-000003": older}), read_only=True)


def test_bytes_behind_the_end_of_log_and_manifest_are_told() -> None:
    with damaged("plain", lambda f: f.update({"000063.log": f["000063.log"] + b"x"}), read_only=True) as db:
        assert "000063.log" in " ".join(db.recovery_report.reasons)
    with damaged("plain", lambda f: f.update({"000063.log": f["000063.log"][:-48]}), read_only=True) as db:
        assert "000063.log: it was closed, and its end record is gone" in db.recovery_report.reasons
    with damaged("plain", lambda f: f.update({"MANIFEST-000003": f["MANIFEST-000003"] + b"x"}), read_only=True) as db:
        assert "MANIFEST-000003: 1 bytes" in " ".join(db.recovery_report.reasons)


def test_an_index_file_of_another_database_is_refused() -> None:
    foreign = samples.make("rows", seed=2).files["000131.idx"]
    with (
        damaged("rows", lambda f: f.update({"000131.idx": foreign}), read_only=True) as db,
        pytest.raises(lsm.CorruptionError, match=r"000131\.idx.*of database"),
    ):
        db.table("people")


def test_every_byte_of_an_index_file_counts() -> None:
    data = samples.make("rows").files["000131.idx"]
    for at in (*range(0, len(data), 23), *range(len(data) - 16, len(data))):
        flipped = data[:at] + bytes([data[at] ^ 64]) + data[at + 1 :]
        with (
            damaged("rows", lambda f, d=flipped: f.update({"000131.idx": d}), read_only=True) as db,
            pytest.raises(lsm.CorruptionError, match=r"000131\.idx"),
        ):
            db.table("people")


def test_a_compaction_that_meets_damage_while_opening_leaves_a_database_to_read_and_to_write() -> None:
    def flip(files: dict[str, bytes]) -> None:
        data = bytearray(files["000054.sst"])
        data[40] ^= 1
        files["000054.sst"] = bytes(data)

    with damaged("two_level", flip) as db:
        (line,) = db.health.damaged
        assert db.health.state == "damaged" and "000054.sst" in line
        assert list(db.keyspace("other").scan()) == samples.make("two_level").states[-1]["scan other"]
        db.put(b"k", b"v")
        db.flush()
        assert db.get(b"k") == b"v"
