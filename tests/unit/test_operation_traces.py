"""Operation traces: what was recorded is read back and replayed, and a damaged file is named with its place."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import lsm
import recovery
from experiments import trace_files
from experiments.recorder import Recorder
from experiments.workloads import WORKLOADS, from_settings, settings
from experiments.workloads import operations as ops
from experiments.workloads.traced import Traced


def quiet(text: str, done: int) -> None:
    """Hear nothing."""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "t.ops"
    trace_files.record(WORKLOADS["kvbench-mixed"], 500, 3000, 1, 50, path, quiet)
    return path


def test_every_call_is_recorded_as_it_was(tmp_path: Path) -> None:
    path, ticks = tmp_path / "t.ops", iter(range(0, 10**9, 5_000_000))
    with lsm.open("/d", fs=recovery.memory(), threads=0) as db:
        with Recorder(db, path, lambda: next(ticks)) as r:
            r.put(b"a", b"123")
            assert r.get(b"a") == b"123" and r.get(b"b") is None
            r.put_many([(b"c", b"1"), (b"d", b"")])
            assert r.get_many([b"c", b"x"]) == [b"1", None]
            assert r.range(b"a", b"d", 5) == [(b"a", b"123"), (b"c", b"1")]
            r.delete(b"a")
            r.delete_many([b"c"])
            r.delete_range(b"a", b"z")
        assert list(db.scan()) == []
    (block,) = ops.read(path)
    names = [ops.NAMES[op] for op in block.op]
    assert names == ["put", "get", "get", "put", "put", "get", "get", "scan", "delete", "delete", "delete_range"]
    assert block.keys == [b"a", b"a", b"b", b"c", b"d", b"c", b"x", b"a", b"a", b"c", b"a"]
    assert block.stops[7] == b"d" and block.stops[-1] == b"z" and set(block.stops[:7]) == {b""}
    assert block.length.tolist() == [3, 3, 0, 1, 0, 1, 0, 2, 0, 0, 0]
    assert block.found.tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert block.gap_us.tolist() == [5000, 5000, 5000, 5000, 0, 5000, 0, 5000, 5000, 5000, 5000]
    with pytest.raises(FileExistsError):
        ops.Writer(path)


def test_many_blocks_come_back(tmp_path: Path) -> None:
    path, rng = tmp_path / "t.ops", random.Random(1)
    rows = [(rng.randrange(5), rng.randbytes(rng.randrange(40)), rng.randrange(1000)) for _ in range(2 * ops.BLOCK + 7)]
    with ops.Writer(path) as w:
        for op, key, n in rows:
            w.add(op, key, length=n)
    blocks = list(ops.read(path))
    assert [len(b) for b in blocks] == [ops.BLOCK, ops.BLOCK, 7]
    assert [(op, key, n) for b in blocks for op, key, n in zip(b.op.tolist(), b.keys, b.length.tolist(), strict=True)] == rows


def test_a_replay_finds_what_the_recording_found(trace: Path) -> None:
    with lsm.open("/d", fs=recovery.memory(), threads=0) as db:
        r = trace_files.replay(trace, db, timed=False, told=quiet)
    assert r["found_otherwise"] == 0 and r["operations"] == 3000 and r["loaded"] > 0
    told = trace_files.info(trace)
    assert told["operations"] == sum(told[name] for name in ops.NAMES) == 3000
    assert 0 < told["gets_found"] < told["get"]


def test_a_trace_is_a_workload(trace: Path) -> None:
    w = Traced(str(trace))
    stream = w.draw(1, 2000, 1)
    assert len(stream) == 2000 and stream.names is not None and len(set(stream.names)) == len(stream.names)
    first = [key for b in ops.read(trace) for key in b.keys][:2000]
    assert stream.keys() == first
    assert stream.stops() == [s or None for b in ops.read(trace) for s in b.stops][:2000]
    assert from_settings(settings(w)) == w
    with trace.open("ab") as f:
        f.write(b"x")
    with pytest.raises(ValueError, match="has changed"):
        from_settings(settings(w))
    with pytest.raises(ValueError, match="must be the path"):
        Traced(str(trace) + "x")


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t.ops"
    with ops.Writer(path) as w:
        for i in range(20):
            w.add(i % 5, b"key%d" % i, stop=b"z" if i % 5 == ops.SCAN else b"", length=i)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises(ops.TraceFileError, match=r"t\.ops"):
            list(ops.read(path))
        path.write_bytes(whole[:at])
        with pytest.raises(ops.TraceFileError):
            list(ops.read(path))
    path.write_bytes(whole + b"\0")
    with pytest.raises(ops.TraceFileError, match="more bytes"):
        list(ops.read(path))


def test_a_block_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    """Sizes that pass their checksum, as somebody who means harm would write them."""
    path = tmp_path / "t.ops"
    with ops.Writer(path):
        pass
    head = path.read_bytes()[: ops.HEADER.size]
    for count, size, packed in (
        (ops.BLOCK + 1, 1 << 20, b"x"),
        (1, ops.MAX_BLOCK_BYTES + 1, b"x"),
        (1, 14, ops.zstd.compress(bytes(1 << 22))),
        (1, 14, b"no zstd at all"),
        (1, 14, ops.zstd.compress(b"\x09" + bytes(13))),
        (1, 14, ops.zstd.compress(bytes(2) + b"\xff" + bytes(11))),
    ):
        start = ops.BLOCK_HEAD.pack(count, size, len(packed), 0)[:-4]
        path.write_bytes(head + start + recovery.crc32c(start + packed).to_bytes(4, "little") + packed)
        with pytest.raises(ops.TraceFileError, match="offset 16"):
            list(ops.read(path))


def test_a_timed_replay_waits(tmp_path: Path) -> None:
    path = tmp_path / "t.ops"
    with ops.Writer(path) as w:
        for _ in range(5):
            w.add(ops.PUT, b"k", length=3, gap_us=20_000)
    with lsm.open("/d", fs=recovery.memory(), threads=0) as db:
        assert trace_files.replay(path, db, timed=True, told=quiet)["seconds"] >= 0.1
        assert len(db.get(b"k")) == 3
    assert np.array_equal(Traced(str(path)).draw(0, 10, 0).arrivals_ns, np.arange(1, 6) * 20_000_000)
