"""The merge executor against its specification: the same entries kept and counted, however the inputs and the outputs are cut."""

from __future__ import annotations

import itertools
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsm._native import ffi, lib

import indexes
import recovery
from lsm.codecs import load_codec
from lsm.memtable_twin import DELETE, PUT, Entry, order
from lsm.merge_twin import Range, coalesce, merge, visible
from lsm.native_memtables import Cursor

CANCELLED, IO, CORRUPT = -7, -2, -1


class Lab:
    """A database without a log on a file system in memory, as a source of memtables; and jobs over them."""

    def __init__(self) -> None:
        self.memory = recovery.memory()
        self.fs = recovery.fault(self.memory)
        self.fs.makedirs(self.path)
        self.error = ffi.new("lsm_error *")
        fields = {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_env"), "database_id": 77}
        self.ledger = ffi.gc(lib.lsm_ledger_new(), lib.lsm_ledger_free)
        self.env = ffi.new("lsm_env *", {**fields, "fs": ffi.cast("rec_fs *", self.fs.address), "ledger": self.ledger})
        self.env.crc32c = ffi.cast(ffi.typeof("lsm_env").fields[3][1].type, recovery.crc32c_address())
        table = {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_table_options"), "block_size": 128, "restart_interval": 4}
        search = ffi.cast("const idx_search_ops *", indexes.search_ops_address("fence"))
        self.table = ffi.new("lsm_table_options *", {**table, "search": search})
        self.dir = ffi.new("char[]", str(self.path).encode())
        config = {
            "abi": lib.LSM_ABI,
            "size": ffi.sizeof("lsm_db_config"),
            "env": self.env,
            "dir": self.dir,
            "disable_wal": 1,
            "first_log": 1,
        }
        out = ffi.new("lsm_db **")
        self.config = ffi.new("lsm_db_config *", config)
        self.config.wal = ffi.cast("const rec_wal_ops *", recovery.wal_ops_address())
        self.check(lib.lsm_db_open(self.config, out, self.error))
        self.db = out[0]
        space = {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_keyspace_config"), "id": 1, "write_buffer": 1 << 24}
        out = ffi.new("lsm_keyspace **")
        self.space = ffi.new("lsm_keyspace_config *", {**space, "memtable": lib.lsm_memtable_find(b"skiplist")})
        self.check(lib.lsm_keyspace_new(self.db, self.space, out, self.error))
        self.keyspace = out[0]
        self.mems: list[Any] = []
        self.tables: list[Any] = []
        self.number = 1

    @property
    def path(self) -> Any:
        return "/db"

    def check(self, status: int) -> None:
        assert status >= 0, (status, ffi.string(self.error.what), ffi.string(self.error.path))

    def close(self) -> None:
        for table in self.tables:
            lib.lsm_table_unref(table)
        for mem in self.mems:
            lib.lsm_mem_unref(mem)
        lib.lsm_keyspace_drop(self.keyspace)
        self.check(lib.lsm_db_close(self.db, self.error))
        lib.lsm_db_free(self.db)

    def memtable(self, entries: Sequence[Entry], ranges: Sequence[Range]) -> Any:
        """Return a sealed memtable of these."""
        rows = [(e.seq, e.kind, e.key, e.value) for e in entries] + [(r.seq, lib.LSM_RANGE_DELETE, r.start, r.end) for r in ranges]
        for seq, kind, key, value in sorted(rows):
            record = struct.pack("<IBIIQ", 1, kind, 1, len(key), len(value)) + key + value
            self.check(lib.lsm_replay(self.db, seq, record, len(record), self.error))
        self.check(lib.lsm_seal(self.keyspace, self.error))
        out = ffi.new("lsm_mem *[]", 100)
        n = lib.lsm_sealed(self.keyspace, out, 100)
        for i in range(n - 1):
            lib.lsm_mem_unref(out[i])
        self.mems.append(out[n - 1])
        return out[n - 1]

    def job(self, inputs: Sequence[Any], **settings: Any) -> Job:
        """Return a job over memtables and lists of tables, newest first."""
        return Job(self, inputs, settings)

    def files(self) -> list[str]:
        return sorted(name for name in self.fs.listdir(self.path) if name.endswith(".sst"))


@dataclass
class Output:
    """A finished table, read back."""

    job: Any  # owns props
    table: Any
    props: Any
    entries: list[Entry]


class Job:
    """One lsm_job with everything it points at."""

    def __init__(self, lab: Lab, inputs: Sequence[Any], settings: dict[str, Any]) -> None:
        self.lab, self._keep = lab, []
        raw = ffi.new("lsm_job_input[]", len(inputs) or 1)
        for slot, source in zip(raw, inputs, strict=False):
            if isinstance(source, list):
                slot.tables = self.keep(ffi.new("lsm_table *[]", source))
                slot.n_tables = len(source)
                slot.level = 1
            else:
                slot.memtable = ffi.cast("const struct lsm_mem *", source)
        fields = {"abi": lib.LSM_ABI, "size": ffi.sizeof("lsm_job_config"), "env": lab.env, "table": lab.table, "dir": lab.dir}
        config = ffi.new("lsm_job_config *", {**fields, "first_number": lab.number, "cause": lib.LSM_BY_COMPACTION, "max_outputs": 50})
        cuts = settings.pop("cuts", [])
        config.cuts = self.keep(ffi.new("uint8_t *[]", [self.keep(ffi.new("uint8_t[]", cut)) for cut in cuts] or 1))
        config.cut_lens = self.keep(ffi.new("uint32_t[]", [len(cut) for cut in cuts] or 1))
        config.n_cuts = len(cuts)
        snapshots = settings.pop("snapshots", [])
        config.snapshots = self.keep(ffi.new("uint64_t[]", snapshots or 1))
        config.n_snapshots = len(snapshots)
        for name in ("begin", "end"):
            key = settings.pop(name, None)
            if key is not None:
                setattr(config, name, self.keep(ffi.new("uint8_t[]", key or 1)))
                setattr(config, name + "_len", len(key))
        for name, value in settings.items():
            setattr(config, name, value)
        self.raw = ffi.gc(lib.lsm_job_new(config, raw, len(inputs)), lib.lsm_job_free)
        self.result = ffi.new("lsm_job_result *")
        lab.number += config.max_outputs

    def keep(self, cdata: Any) -> Any:
        self._keep.append(cdata)
        return cdata

    def run(self) -> list[Output]:
        """Run it and open what it wrote."""
        lab = self.lab
        lab.check(lib.lsm_job_run(self.raw, self.result, lab.error))
        outputs = []
        for i in range(self.result.n_outputs):
            props = lib.lsm_job_output(self.raw, i)
            out = ffi.new("lsm_table **")
            path = f"{lab.path}/{props.number:06}.sst".encode()
            args = (path, props.number, props.file_size, props.footer_crc, out, lab.error)
            lab.check(lib.lsm_table_open(lab.env, lab.table, *args))
            lab.tables.append(out[0])
            cursor = Cursor(lib.lsm_table_iter(out[0], 1, lib.LSM_BY_CHECK, 0, 0, lab.error))
            entries, entry = [], cursor.first()
            while entry is not None:
                entries.append(entry)
                entry = cursor.next()
            cursor.close()
            outputs.append(Output(self, out[0], props, entries))
        return outputs


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.close()


def smallest(output: Output) -> bytes:
    return bytes(ffi.buffer(output.props.smallest, output.props.smallest_len))


def largest(output: Output) -> bytes:
    return bytes(ffi.buffer(output.props.largest, output.props.largest_len))


KEY = st.sampled_from([b"", b"a", b"ab", b"b", b"c\x00", b"d", b"e", b"f"])
OPERATION = st.one_of(
    st.tuples(st.sampled_from(["put", "put", "put", "delete"]), KEY),
    st.tuples(st.just("range"), KEY, KEY).filter(lambda op: op[1] < op[2]),
)


def history(operations: Sequence[tuple[str, ...]]) -> tuple[list[Entry], list[Range]]:
    entries, ranges = [], []
    for seq, (what, *keys) in enumerate(operations, 2):  # 1 is for what is older
        if what == "range":
            ranges.append(Range(keys[0], keys[1], seq))
        else:
            entries.append(Entry(keys[0], seq, PUT if what == "put" else DELETE, b"%d" % seq if what == "put" else b""))
    return entries, ranges


def inputs_of(lab: Lab, entries: list[Entry], ranges: list[Range], splits: list[int], as_tables: bool) -> list[Any]:
    """Deal the history into memtables by time, newest first; flush them, dropping nothing, when asked."""
    last = max([e.seq for e in entries] + [r.seq for r in ranges], default=0)
    bounds = [0, *sorted({s for s in splits if s < last}), last]
    inputs: list[Any] = []
    for low, high in itertools.pairwise(bounds):
        part = [e for e in entries if low < e.seq <= high], [r for r in ranges if low < r.seq <= high]
        if not any(part):
            continue
        mem = lab.memtable(*part)
        if as_tables:
            flushed = lab.job([mem], snapshots=list(range(1, last + 1)), output_bytes=100).run()
            assert [e for o in flushed for e in o.entries] == sorted(part[0], key=order)
            inputs.insert(0, [o.table for o in flushed])
        else:
            inputs.insert(0, mem)
    return inputs


@given(
    operations=st.lists(OPERATION, min_size=1, max_size=40),
    splits=st.lists(st.integers(1, 39), max_size=4),
    as_tables=st.booleans(),
    snapshots=st.sets(st.integers(0, 41), max_size=4).map(sorted),
    bottom=st.booleans(),
    cuts=st.sets(KEY, max_size=3).map(sorted),
    output_bytes=st.sampled_from([0, 1, 60]),
    max_outputs=st.sampled_from([1, 2, 50]),
)
def test_keeps_and_counts_what_the_twin_does(operations: Any, splits: Any, as_tables: Any, **settings: Any) -> None:
    entries, ranges = history(operations)
    expected = merge(entries, ranges, settings["snapshots"], settings["bottom"])
    lab = Lab()
    job = lab.job(inputs_of(lab, entries, ranges, splits, as_tables), **settings)
    outputs, result = job.run(), job.result
    assert [e for o in outputs for e in o.entries] == expected.entries
    counts = (result.entries_in, result.entries_out, result.shadowed, result.tombstones_dropped, result.range_covered)
    dropped = (expected.shadowed, expected.tombstones_dropped, expected.range_covered)
    assert counts == (len(entries), len(expected.entries), *dropped)
    assert result.bytes_written == sum(o.props.file_size for o in outputs)
    assert len(outputs) <= settings["max_outputs"]
    assert bool(outputs) == bool(expected.entries or expected.ranges)
    for left, right in itertools.pairwise(outputs):  # tiles: no user key in two outputs
        assert largest(left) < smallest(right) or (largest(left) == smallest(right) and left.props.largest_exclusive)
    # the tombstones are right when a merge of the outputs with all that is older shows every reader the same
    if not settings["bottom"] and outputs:
        older = [Entry(key, 1, PUT, b"old") for key in (b"", b"a", b"ab", b"b", b"c\x00", b"d", b"e", b"f")]
        below = lab.memtable(older, [])
        final = [e for o in lab.job([[o.table for o in outputs], below], bottom=1).run() for e in o.entries]
        assert {e.key: e.value for e in final} == visible(entries + older, ranges, 2**56 - 1)
    lab.close()


def test_pieces_of_a_tombstone_become_one_again(lab: Lab) -> None:
    """Nine cuts make ten pieces; the next merge with one output writes one."""
    keys = [b"%02d" % i for i in range(100)]
    mem = lab.memtable([Entry(key, i + 1, PUT, b"v") for i, key in enumerate(keys)], [Range(b"00", b"99x", 500)])
    pieces = lab.job([mem], snapshots=[200], cuts=keys[10::10]).run()
    assert [o.props.range_deletes for o in pieces] == [1] * 10 and sum(o.props.entries for o in pieces) == 100
    joined = lab.job([[o.table for o in pieces]], snapshots=[200]).run()
    assert [o.props.range_deletes for o in joined] == [1] == [len(coalesce([Range(b"00", b"99x", 500)]))]


def test_bounds_take_a_part(lab: Lab) -> None:
    mem = lab.memtable([Entry(bytes([c]), c, PUT, b"") for c in b"abcdef"], [Range(b"a", b"z", 1)])
    (part,) = lab.job([mem], begin=b"b", end=b"d").run()
    assert [e.key for e in part.entries] == [b"b", b"c"]
    assert (smallest(part), largest(part), part.props.largest_exclusive) == (b"b", b"d", 1)


def test_a_delete_at_the_bottom_stays_while_a_snapshot_keeps_what_it_hides(lab: Lab) -> None:
    put, gone, other = Entry(b"k", 3, PUT, b"v"), Entry(b"k", 7, DELETE, b""), Entry(b"z", 8, DELETE, b"")
    mem = lab.memtable([put, gone, other], [])
    (held,) = lab.job([mem], snapshots=[5], bottom=1).run()
    assert held.entries == [gone, put, other]  # the snapshot at 5 sees put; without the delete everybody would
    (later,) = lab.job([[held.table]], snapshots=[7], bottom=1).run()
    assert later.entries == [other]  # all that see k see it deleted; the delete of z is above the snapshot
    assert lab.job([[later.table]], bottom=1).run() == []


def test_a_tombstone_hides_nothing_from_an_older_snapshot(lab: Lab) -> None:
    mem = lab.memtable([Entry(b"k", 3, PUT, b"v")], [Range(b"a", b"z", 7)])
    (held,) = lab.job([mem], snapshots=[5], bottom=1).run()
    assert (held.props.entries, held.props.range_deletes) == (1, 1)
    assert lab.job([[held.table]], snapshots=[7], bottom=1).run() == []


def test_nothing_left_is_no_file(lab: Lab) -> None:
    mem = lab.memtable([Entry(b"a", 1, PUT, b"x"), Entry(b"a", 2, DELETE, b"")], [Range(b"b", b"c", 3)])
    job = lab.job([mem], bottom=1)
    assert job.run() == [] and lab.files() == []
    assert (job.result.shadowed, job.result.tombstones_dropped) == (1, 1)
    assert lab.job([]).run() == []


def test_all_versions_of_a_key_go_to_one_output(lab: Lab) -> None:
    mem = lab.memtable([Entry(b"k%d" % (i % 2), i, PUT, b"v" * 200) for i in range(1, 61)], [])
    outputs = lab.job([mem], snapshots=list(range(1, 61)), output_bytes=1).run()
    assert [len(o.entries) for o in outputs] == [30, 30]


def test_cancel_leaves_no_file(lab: Lab) -> None:
    mem = lab.memtable([Entry(b"%06d" % i, i + 1, PUT, b"v" * 50) for i in range(3000)], [])
    bucket = ffi.gc(lib.lsm_bucket_new(20_000, 0), lib.lsm_bucket_free)  # seconds of work
    job = lab.job([mem], output_bytes=2000, bucket=bucket)
    timer = threading.Timer(0.05, lib.lsm_job_cancel, [job.raw])
    timer.start()
    assert lib.lsm_job_run(job.raw, job.result, lab.error) == CANCELLED
    timer.join()
    assert lab.files() == [] and job.result.n_outputs == 0
    assert 0 < lib.lsm_job_progress(job.raw) < 1


def test_every_failing_call_is_told_and_leaves_no_file(lab: Lab) -> None:
    """Fail the n-th call on a table file, for every n until none fails: no failure passes for the end of an input."""
    rows = [Entry(b"%04d" % i, i + 1, PUT, b"v" * 20) for i in range(200)]
    first = [o.table for o in lab.job([lab.memtable(rows, [])], output_bytes=1500).run()]
    before = lab.files()
    failures = 0
    for op in ("pread", "append", "sync", "open", "close"):
        for nth in range(1, 1000, 3):
            lab.fs.arm(op, "*.sst", nth)
            job = lab.job([first], output_bytes=1500)
            status = lib.lsm_job_run(job.raw, job.result, lab.error)
            lab.fs.disarm()
            if status >= 0:
                assert job.result.entries_out == 200
                assert len(lab.files()) == len(before) + job.result.n_outputs
                for name in set(lab.files()) - set(before):
                    lab.fs.unlink(f"{lab.path}/{name}")
                break
            failures += 1
            assert status in (IO, CORRUPT) and lab.error.status == status
            assert lab.files() == before
    assert failures > 3


def test_pieces_of_a_tombstone_with_a_gap_between_them_stay_apart(lab: Lab) -> None:
    """What lies between them is in a table that is not merged."""
    one, two = (lab.job([lab.memtable([], [Range(a, b, 500)])]).run() for a, b in ((b"a", b"c"), (b"p", b"r")))
    (joined,) = lab.job([[one[0].table], [two[0].table]]).run()
    assert [(bytes(ffi.buffer(r.start, r.start_len)), bytes(ffi.buffer(r.end, r.end_len))) for r in tombs(joined.table)] == [
        (b"a", b"c"),
        (b"p", b"r"),
    ]


def tombs(table: Any) -> list[Any]:
    found = lib.lsm_table_tombs(table)
    return [lib.lsm_tombs_at(found, i) for i in range(lib.lsm_tombs_count(found))]


def test_tombstones_outside_of_the_bounds_stay_away(lab: Lab) -> None:
    mem = lab.memtable([Entry(b"c", 1, PUT, b"")], [Range(b"a", b"b", 2), Range(b"x", b"z", 3), Range(b"b", b"d", 4)])
    (part,) = lab.job([mem], begin=b"b", end=b"x", snapshots=[1]).run()
    assert [r.seq for r in tombs(part.table)] == [4] and len(part.entries) == 1


def test_a_job_that_may_make_no_file(lab: Lab) -> None:
    mem = lab.memtable([Entry(b"a", 1, PUT, b"")], [])
    job = lab.job([mem], max_outputs=0)
    assert lib.lsm_job_run(job.raw, job.result, lab.error) == lib.LSM_INVALID
    assert ffi.string(lab.error.what) == b"no file number was reserved for an output"
    assert lib.lsm_job_run(job.raw, job.result, ffi.NULL) == lib.LSM_INVALID, "who does not want to know why"
    held = lab.memtable([], [Range(b"a", b"b", 2)])
    assert lib.lsm_job_run(lab.job([held], max_outputs=0).raw, job.result, lab.error) == lib.LSM_INVALID
    assert lab.files() == []


def test_a_job_that_is_cancelled_while_it_stands_still(lab: Lab) -> None:
    job = lab.job([lab.memtable([Entry(b"a", 1, PUT, b"")], [])])
    lib.lsm_job_pause(job.raw, 1)
    lib.lsm_job_cancel(job.raw)
    assert lib.lsm_job_run(job.raw, job.result, lab.error) == CANCELLED and lab.files() == []


def test_an_input_without_tables(lab: Lab) -> None:
    mem = lab.memtable([Entry(b"a", 1, PUT, b"")], [])
    assert [e.key for o in lab.job([[], mem, []]).run() for e in o.entries] == [b"a"]


def test_what_is_paid_ahead_is_not_paid_again(lab: Lab) -> None:
    """A block under way counts as it is; packed it is smaller than what was paid for it."""
    codec = load_codec("zstd")
    settings = ffi.new("lsm_table_options *", lab.table[0])
    settings.codec, settings.block_size = ffi.cast("const lsm_codec *", codec.address), 1 << 22
    mem = lab.memtable([Entry(b"%06d" % i, i + 1, PUT, bytes(900)) for i in range(600)], [])
    bucket = ffi.gc(lib.lsm_bucket_new(0, 0), lib.lsm_bucket_free)
    job = lab.job([mem], bucket=bucket, table=settings)
    assert lib.lsm_job_run(job.raw, job.result, lab.error) == 0
    assert 0 < job.result.bytes_written < 600 * 900 // 4


def test_ledger_has_the_counts(lab: Lab) -> None:
    mem = lab.memtable([Entry(b"a", 1, PUT, b"x"), Entry(b"a", 2, PUT, b"y"), Entry(b"b", 3, DELETE, b"")], [])
    lab.job([mem], bottom=1).run()
    shape = lib.LSM_OPS * lib.LSM_LEDGER_LEVELS * lib.LSM_COMPONENTS * lib.LSM_CAUSES
    counters = ffi.new("uint64_t[]", lib.LSM_COUNTERS)
    lib.lsm_ledger_sum(lab.ledger, ffi.new("uint64_t[]", shape), ffi.new("uint64_t[]", shape), counters)
    names = (lib.LSM_N_ENTRIES_IN, lib.LSM_N_ENTRIES_OUT, lib.LSM_N_DROP_SHADOWED, lib.LSM_N_DROP_TOMBSTONE, lib.LSM_N_DROP_RANGE)
    assert [counters[i] for i in names] == [3, 1, 1, 1, 0]
