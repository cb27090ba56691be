"""Row I: what C writes is what the Python twins write, byte for byte, and each reads what the other wrote.

Formats by turns: log segments (whole and damaged), tables with their blocks, filters, footers and properties (compressed ones too, which
the twin only reads), the output of merges, point filters, range filters, stored rows, checksums. Counted are records, entries and keys.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import indexes
import recovery
from indexes.ranges import SNARF, PrefixBloom, SuRF
from indexes.twins import TWINS, PrefixBloomTwin, SnarfTwin, SurfTwin
from lsm.codecs import available_codecs, load_codec
from lsm.memtable_twin import DELETE, MAX_SEQ, PUT, Entry, order
from lsm.merge_twin import Range, merge
from lsm.native import Env, Job, JobInput, Ledger, Table, TableProps, TableSettings
from lsm.native_tables import build_table, covering, get, ranges, scan
from lsm.secondary import record, record_twin
from lsm.table_twin import Handle, Settings, write_table
from lsm.table_twin_read import Damaged, Reader
from recovery import wal_twin

from .row import Found, Row, Slice

_DATABASE = 0x1122334455667788


def slices(full: bool) -> list[Slice]:
    """26,000 records a slice in a quick run, 100,000 in a full one."""
    records, count = (100_000, 101) if full else (26_000, 4)
    return [Slice(f"seed-{seed}", {"seed": seed, "records": records}) for seed in range(count)]


class Differ(Exception):
    """The two sides are not the same; says where."""


def same(what: str, native: Any, twin: Any) -> None:
    """Raise Differ with the first place where they are not equal."""
    if native == twin:
        return
    if isinstance(native, bytes) and isinstance(twin, bytes):
        at = next((i for i, (a, b) in enumerate(zip(native, twin, strict=False)) if a != b), min(len(native), len(twin)))
        span = slice(max(0, at - 4), at + 12)
        raise Differ(f"{what}: {len(native)} and {len(twin)} bytes; from byte {at} on: {native[span].hex()} and {twin[span].hex()}")
    if isinstance(native, list) and isinstance(twin, list):
        at = next((i for i, (a, b) in enumerate(zip(native, twin, strict=False)) if a != b), min(len(native), len(twin)))
        raise Differ(f"{what}: {len(native)} and {len(twin)} items; item {at}: {native[at : at + 1]!r:.300} and {twin[at : at + 1]!r:.300}")
    raise Differ(f"{what}: {native!r:.300} and {twin!r:.300}")


# What is compared


def _key(rng: random.Random) -> bytes:
    how = rng.random()
    if how < 0.6:
        return b"user%05d" % rng.randrange(3000)
    if how < 0.9:
        return bytes(rng.randrange(4) for _ in range(rng.randrange(5)))
    return rng.choice([b"", b"\xff" * 3, rng.randbytes(rng.randrange(20)), rng.randbytes(2) * rng.randrange(300)])


def _entries(rng: random.Random, count: int, first: int = 1) -> list[Entry]:
    found = {}
    for seq in range(first, first + count):
        kind = DELETE if rng.random() < 0.2 else PUT
        value = b"" if kind == DELETE else bytes([rng.randrange(256)]) * rng.choice([0, 3, 30, 400])
        entry = Entry(_key(rng), seq if rng.random() < 0.95 else MAX_SEQ - seq, kind, value)
        found[entry.key, entry.seq] = entry
    return sorted(found.values(), key=order)


def _ranges(rng: random.Random, seqs: Iterable[int]) -> list[Range]:
    spans = [(_key(rng), _key(rng), seq) for seq in seqs]
    return [Range(min(a, b), max(a, b), seq) for a, b, seq in spans if a != b]


class Lab:
    """An environment of tables over files in memory."""

    def __init__(self) -> None:
        self.fs = recovery.memory()
        self.fs.mkdir("/d")
        self.codecs = {kind: load_codec(kind) for kind in available_codecs()}
        filters = [indexes.filter_ops_address(kind) for kind in TWINS]
        ledger, crc = Ledger(), recovery.crc32c_address()
        spans = [indexes.range_ops_address("surf")]
        self.env = Env(self.fs, crc, None, None, ledger, _DATABASE, list(self.codecs.values()), filters, spans)

    def settings(self, s: Settings, codec: str = "none", mapped: bool = False) -> TableSettings:
        """What C takes for the twin's settings."""
        fields: dict[str, Any] = {
            "block_size": s.block_size, "restart_interval": s.restart_interval, "hash_index": s.hash_index, "hash_util": s.hash_util,
            "index_kind": s.index_kind, "bits_per_key": s.bits_per_key, "read_mode": int(mapped),
        }  # fmt: skip
        if s.filter:
            fields["filter"] = indexes.filter_ops_address(s.filter)
        if s.range_filter:
            fields["range_filter"] = indexes.range_ops_address(s.range_filter)
        if codec != "none":
            fields["codec"] = self.codecs[codec].address
        return TableSettings(**fields)

    def build(self, settings: TableSettings, number: int, entries: Sequence[Entry], spans: Sequence[Range]) -> tuple[bytes, TableProps]:
        """Write a table by C and return its bytes and properties."""
        path = f"/d/{number:06d}.sst"
        if self.fs.exists(path):
            self.fs.unlink(path)
        props = build_table(self.env, settings, path, number, entries, spans)
        return self.fs.read_all(path), props

    def open(self, settings: TableSettings, number: int, data: bytes) -> Table:
        """Open these bytes as a table by C."""
        path = f"/d/{number:06d}.sst"
        self.fs.write_all(path, data)
        return Table(self.env, settings, path, number, len(data), 0)


class Unpacking(Reader):
    """The twin's reader for compressed blocks, by the Python packages of the codecs."""

    def block(self, handle: Handle) -> bytes:
        """Return a block whose checksum is right, unpacked."""
        at, n = handle
        stored, codec = self.data[at : at + n + 1], self.data[at + n]
        if int.from_bytes(self.data[at + n + 1 : at + n + 5], "little") != self.file.sum(at, stored):
            raise Damaged(f"block at {at}")
        if not codec:
            return stored[:-1]
        size = int.from_bytes(stored[:4], "little")
        if codec == load_codec("lz4").id:
            import lz4.block

            return bytes(lz4.block.decompress(stored[4:-1], uncompressed_size=size))
        from backports import zstd

        return bytes(zstd.decompress(stored[4:-1]))


def _settings(rng: random.Random) -> Settings:
    return Settings(
        block_size=rng.choice([1, 30, 200, 1000, 4096]),
        restart_interval=rng.choice([1, 2, 3, 16]),
        hash_index=rng.random() < 0.5,
        hash_util=rng.choice([0.75, 0.5, 1.0, 3.0]),
        index_kind=rng.randrange(2),
        filter=rng.choice(["", *TWINS]),
        bits_per_key=rng.choice([1.0, 9.37, 10.0, 16.0]),
        range_filter=rng.choice(["", "", "surf"]),
    )


def tables(rng: random.Random) -> int:
    """Whole tables: the same bytes; C reads the twin's, the twin reads C's."""
    lab, s, number = Lab(), _settings(rng), rng.randrange(1, 1 << 40)
    entries = _entries(rng, rng.choice([1, 20, 300, 1500]))
    spans = _ranges(rng, rng.sample(range(1, 4000), rng.randrange(4)))
    codec = rng.choice(["none", "none", *lab.codecs])
    written, props = lab.build(lab.settings(s, codec), number, entries, spans)
    if codec == "none":
        twin = write_table(_DATABASE, number, entries, spans, s, recovery.crc32c)
        same(f"table {s}", written, twin)
        written = twin
    reader = Unpacking(written, _DATABASE, number, recovery.crc32c)
    same("entries by the twin", list(reader.entries()), entries)
    same("tombstones by the twin", list(reader.ranges()), spans)
    keys = {e.key: e for e in reversed(entries)}
    same("the filter by the twin", [k for k in keys if not reader.may_contain(k)], [])
    table = lab.open(lab.settings(s, codec, rng.random() < 0.5), number, written)
    table.verify()
    same("entries by C", list(scan(table)), entries)
    same("entries by C, backwards", list(scan(table, reverse=True)), entries[::-1])
    same("tombstones by C", ranges(table), spans)
    asked = rng.sample(sorted(keys), min(40, len(keys)))
    same("gets by C", [get(table, k) for k in asked], [keys[k] for k in asked])
    probes = [k for r in spans for k in (r.start, r.end)]
    same(
        "covering by C",
        [covering(table, k) for k in probes],
        [max((r.seq for r in spans if r.start <= k < r.end), default=0) for k in probes],
    )
    same("the size in the properties", props.file_size, len(written))
    table.close()
    return len(entries) + len(spans)


def merges(rng: random.Random) -> int:
    """The output of a merge of runs, and what it says that it dropped."""
    lab, settings = Lab(), None
    s = _settings(rng)
    settings = lab.settings(s)
    inputs, every, spans, seq = list[JobInput](), list[Entry](), list[Range](), 1
    for number in range(1, rng.randrange(2, 6)):
        count = rng.choice([1, 30, 300])
        entries = sorted({(e.key, q): e._replace(seq=q) for q, e in enumerate(_entries(rng, count), seq)}.values(), key=order)
        seq += count
        tombs = _ranges(rng, range(seq, seq + rng.randrange(3)))
        seq += 3
        written, _ = lab.build(settings, number, entries, tombs)
        inputs.insert(0, JobInput((lab.open(settings, number, written),), 0))
        every += entries
        spans += tombs
    held, bottom = sorted(rng.sample(range(1, seq + 1), min(seq, rng.randrange(4)))), rng.random() < 0.5
    expected = merge(every, spans, held, bottom)
    job = Job(
        lab.env, settings, inputs, directory="/d", first_number=100, max_outputs=rng.choice([1, 3, 50]),
        output_bytes=rng.choice([1, 2000, 1 << 20]), cuts=sorted({_key(rng) for _ in range(rng.randrange(3))} - {b""}),
        snapshots=held, bottom=bottom, level=1, cause="compaction",
    )  # fmt: skip
    result = job.run()
    found, left = list[Entry](), list[Range]()
    for props in result.outputs:
        data = lab.fs.read_all(f"/d/{props.number:06d}.sst")
        reader = Reader(data, _DATABASE, props.number, recovery.crc32c)
        entries, tombs = list(reader.entries()), list(reader.ranges())
        same("an output", data, write_table(_DATABASE, props.number, entries, tombs, s, recovery.crc32c))
        found += entries
        left += tombs
    same("merged entries", found, expected.entries)
    dropped = (expected.shadowed, expected.tombstones_dropped, expected.range_covered)
    counted = (len(every), len(expected.entries), *dropped)
    same("counts", (result.entries_in, result.entries_out, result.shadowed, result.tombstones_dropped, result.range_covered), counted)
    keys = [e.key for e in every] + [k for r in spans for k in (r.start, r.end)]
    same("merged tombstones", [_over(left, k) for k in keys], [_over(expected.ranges, k) for k in keys])
    return len(every) + len(spans)


def _over(spans: Iterable[Range], key: bytes) -> list[int]:
    """The sequence numbers of the tombstones over a key: outputs may cut them into pieces."""
    return sorted({r.seq for r in spans if r.start <= key < r.end})


def logs(rng: random.Random) -> int:
    """Segments of the log: the same bytes; the same verdict of both readers on them, whole and damaged, in every recovery mode."""
    sync, salt = rng.choice(["none", "os", "group", "every"]), rng.getrandbits(64)
    items = [(rng.getrandbits(rng.choice([8, 56, 64])), rng.randbytes(rng.choice([0, 5, 60, 300]))) for _ in range(rng.choice([1, 8, 60]))]
    fs = recovery.memory()
    fs.mkdir("/d")
    with recovery.WalWriter(fs, "/d", 1, sync=sync, segment_bytes=4096, salt=salt) as log:
        for seq, payload in items:
            log.append(seq, payload[:3], payload[3:])
    segments = _twin_segments(items, sync, salt)
    same("names of segments", fs.listdir("/d"), [recovery.segment_name(s.number) for s in segments])
    for segment in segments:
        path, whole = f"/d/{recovery.segment_name(segment.number)}", bytes(segment.data)
        same(f"segment {segment.number}", fs.read_all(path), whole)
        data = bytearray(whole)
        for _ in range(rng.randrange(3)):
            _damage(rng, data)
        fs.write_all(path, bytes(data))
        for mode in recovery.RECOVERY_MODES:
            last = rng.random() < 0.5
            same(
                f"verdict in mode {mode}",
                _native_verdict(fs, path, mode, last, salt),
                _twin_verdict(bytes(data), segment.number, mode, last, salt),
            )
    return len(items)


def _twin_segments(items: list[tuple[int, bytes]], sync: str, salt: int) -> list[wal_twin.Segment]:
    code = recovery.SYNC_MODES[sync]
    durable = wal_twin.SIZE if code >= 2 else 0

    def promise(segment: wal_twin.Segment) -> int:
        return len(segment.data) if sync == "every" else durable

    done = [wal_twin.Segment(1, salt, code, wal_twin.capacity_of(4096))]
    for seq, payload in items:
        if not done[-1].append(seq, payload, promise(done[-1])):
            done[-1].end(len(done) + 1, promise(done[-1]))
            done.append(wal_twin.Segment(len(done) + 1, salt, code, wal_twin.capacity_of(4096, len(payload)), seq=done[-1].seq))
            done[-1].append(seq, payload, durable)
    done[-1].end(0, promise(done[-1]))
    return done


def _damage(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    how = rng.choice(["cut", "flip", "zero", "junk", "grow"])
    if how == "cut":
        del data[at:]
    elif how == "flip" and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif how == "zero":
        stop = min(len(data), (at // 512 + 1) * 512)
        data[at:stop] = bytes(stop - at)
    elif how == "junk":
        data[at : at + 5] = rng.randbytes(5)
    else:
        data += bytes(rng.choice([1, 512, 4096]))


Verdict = tuple[list[tuple[int, bytes]] | None, bool]


def _native_verdict(fs: recovery.FileSystem, path: str, mode: str, last: bool, salt: int) -> Verdict:
    try:
        records, report = recovery.read_wal(fs, path, mode, salt=salt, is_last=last)
    except recovery.WalCorruption:
        return None, False
    return [(r.seq, r.payload) for r in records], report.torn_tail


def _twin_verdict(data: bytes, number: int, mode: str, last: bool, salt: int) -> Verdict:
    verdict = wal_twin.Reader(data, number, salt, mode, last).read()
    return (None if verdict.corrupt else verdict.records), verdict.torn


def filters(rng: random.Random) -> int:
    """Point filters: the same bytes and answers."""
    kind, count = rng.choice(list(TWINS)), rng.choice([0, 1, 30, 700])
    hashes = [rng.getrandbits(64) for _ in range(count)]
    bits = rng.choice([1.0, 4.3, 10.0, 12.8, 40.0])
    ops, twin = indexes.filter_ops(kind), TWINS[kind]()
    data = ops.build(np.array(hashes, np.uint64), bits)
    same(f"filter {kind} of {bits} bits", data.tobytes(), twin.build(hashes, bits))
    view = memoryview(data.tobytes())
    probes = [*hashes[:100], *(rng.getrandbits(64) for _ in range(100))]
    answers = ops.may_contain_many(data, np.array(probes, np.uint64)).tolist()
    same(f"answers of filter {kind}", answers, [bool(twin.may_contain(view, p)) for p in probes])
    keys = [_key(rng) for _ in range(20)]
    same(f"hashes of filter {kind}", ops.hash_keys(keys).tolist(), [TWINS[kind].hash(k) for k in keys])
    return count + len(probes)


def range_filters(rng: random.Random) -> int:
    """Range filters: the same bytes and answers."""
    keys = sorted({_key(rng) for _ in range(rng.choice([1, 30, 300]))})
    native: Any
    twin: Any
    match rng.choice(["surf", "prefix", "snarf"]):
        case "surf":
            real, hashed, ratio = rng.randrange(9), rng.randrange(9), rng.choice([0, 2, 64])
            native, twin = SuRF.from_keys(keys, f"suffix={real},{hashed} dense_ratio={ratio}"), SurfTwin(keys, real, hashed, ratio)
        case "prefix":
            lengths, delimiter = sorted(rng.sample(range(1, 9), 2)), rng.choice([None, b"r"])
            native = PrefixBloom.build(keys, lengths, delimiter, 1, 8.0)
            twin = PrefixBloomTwin(keys, lengths, delimiter[0] if delimiter else None, 1, 8.0)
        case _:
            slots, every = rng.choice([1, 5, 256]), rng.choice([1, 3, 128])
            native, twin = SNARF.build(keys, slots, every), SnarfTwin(keys, slots, every)
    same(f"range filter {type(twin).__name__}", bytes(native.raw), bytes(twin.data))
    probes = [*keys[:50], *(_key(rng) for _ in range(50))]
    same("its answers for keys", native.may_contain_many(probes).tolist(), [bool(twin.may_contain(k)) for k in probes])
    spans = [(lo, rng.choice([None, lo + b"\0", max(lo, hi)])) for lo, hi in pairwise(probes)]
    answers = native.may_contain_ranges([lo for lo, _ in spans], [hi for _, hi in spans]).tolist()
    same("its answers for ranges", answers, [bool(twin.may_contain_range(lo, hi)) for lo, hi in spans])
    return len(keys) + len(probes)


def rows(rng: random.Random) -> int:
    """Stored rows of tables: the same bytes; each decodes the other's."""
    made = [{f"c{rng.randrange(9)}": _value(rng) for _ in range(rng.randrange(7))} for _ in range(40)]
    names, twins = record.Names(), record.Names()
    data, by_twin = record.encode_many(made, names), record_twin.encode_many(made, twins)
    same("rows", data, by_twin)
    same("names", list(names), list(twins))
    same("rows read", [repr(record.decode(d, names)) for d in by_twin], [repr(record_twin.decode(d, twins)) for d in data])
    return len(made)


def _value(rng: random.Random) -> Any:
    makers: list[Callable[[], Any]] = [
        lambda: None, lambda: rng.random() < 0.5, lambda: rng.getrandbits(rng.choice([7, 31, 63, 64, 200])) * rng.choice([1, -1]),
        rng.random, lambda: "é\0x"[: rng.randrange(4)] * rng.choice([1, 100]), lambda: rng.randbytes(rng.choice([0, 3, 300])),
        lambda: [rng.randrange(9) for _ in range(rng.randrange(4))], lambda: [rng.random(), "x", None],
    ]  # fmt: skip
    return rng.choice(makers)()


def checksums(rng: random.Random) -> int:
    """CRC-32C by the special instruction, by tables and by the definition, whole and in pieces; and its masked form."""
    for _ in range(20):
        data, start = rng.randbytes(rng.choice([0, 1, 7, 8, 63, 300])), rng.getrandbits(32)
        cut = rng.randrange(len(data) + 1)
        want = wal_twin.crc32c(data, start)
        same("crc32c", recovery.crc32c(data, start), want)
        same("crc32c, portable", recovery.native.crc32c_portable(data, start), want)
        same("crc32c in pieces", recovery.crc32c(data[cut:], recovery.crc32c(data[:cut], start)), want)
        same("its masked form", (recovery.mask(want), recovery.unmask(recovery.mask(want))), (wal_twin.mask(want), want))
    return 20


KINDS: dict[str, Callable[[random.Random], int]] = {
    "tables": tables, "merges": merges, "logs": logs, "filters": filters, "range filters": range_filters, "rows": rows,
    "checksums": checksums,
}  # fmt: skip


def run(given: dict[str, Any]) -> Found:
    """Compare until so many records were compared."""
    found, turn = Found(), 0
    while found.cases < given["records"]:
        name = list(KINDS)[turn % len(KINDS)]
        seed = f"{given['seed']} {turn}"
        try:
            count = KINDS[name](random.Random(seed))
        except Exception as e:  # whatever is raised is a difference
            repeat = f"from experiments.torture import row_i_twins as i; i.KINDS[{name!r}](i.random.Random({seed!r}))"
            found.violations.append(f"{name}: {type(e).__name__}: {e}; repeat with: python -c {repeat!r}")
            count = 1
        found.cases += count
        found.count(name, count)
        turn += 1
    return found


ROW = Row("I", "C and its Python twins, byte for byte", "records", 100_000, 10_000_000, slices, run)
