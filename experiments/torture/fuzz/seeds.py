"""What fuzzing begins with: small files of every format, made by the engine's own writers when they are needed."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import indexes
import recovery
from indexes.rowset import RowSet
from lsm import Batch
from lsm.codecs import available_codecs, load_codec
from lsm.memtable_twin import DELETE, PUT, Entry
from lsm.merge_twin import Range
from lsm.native import Env, Ledger, TableSettings
from lsm.native_tables import build_table
from lsm.secondary import KINDS

from .. import samples

if TYPE_CHECKING:
    from recovery.crypt_twin import Keys

DATABASE, NUMBER = 7, 5  # as in targets.c
_FOOTER, _HANDLE = 88, struct.Struct("<QI")
_COLUMNS = {"ordered": "age", "hash": "word", "bitmap": "sex", "rtree": "at", "text": "text", "sliced": "big"}
_SEGMENTS = {"ordered": "ordered", "hashed": "hash", "bitmap": "bitmap", "rtree": "rtree", "text": "text", "sliced": "sliced"}

_VAST = 0xFFFFFFFF
REPORTED: dict[str, list[bytes]] = {  # the like of what was reported of other engines
    "block": [
        struct.pack("<II", _VAST, _VAST),  # sizes that wrap around (leveldb 1310)
        struct.pack("<II", 3, 0),  # a hash index without restarts to point to (rocksdb 14993)
        bytes(8),  # nothing to divide by (rocksdb 15213)
        b"\0\1\0k" + struct.pack("<III", 0, 0, 1),  # a key without room for its tag (leveldb 1311)
    ],
    "index": [
        struct.pack("<I", _VAST),
        struct.pack("<I", 1) + b"\xff" * 9 + b"\1\0\0",
        struct.pack("<I", 1) + b"\1k\0" + b"\xff" * 4 + b"\x0f",
    ],
    "table": [  # 111 bytes that ask for gigabytes (leveldb 1318)
        bytes(23) + b"LSMTABLE" + struct.pack("<IIQQ", 1, 0, DATABASE, NUMBER) + struct.pack("<QI", 0, _VAST - 4) * 4 + bytes(8)
    ],
}


def seeds(target: str) -> list[bytes]:
    """Return the seeds of a target of targets.c. KeyError: there is no such target."""
    if target in _SEGMENTS:
        return [segment(_SEGMENTS[target], n) for n in (0, 1, 3, 40, 300)]
    made: dict[str, Any] = {
        "log": logs, "table": tables, "block": lambda: parts("block"), "index": lambda: parts("index"),
        "filter": lambda: parts("filter"), "range_filter": lambda: parts("range_filter"), "codec": frames, "batch": batches,
        "rowset": rowsets, "framed": framed_files, "paged": paged_files,
    }  # fmt: skip
    return [*made[target](), *REPORTED.get(target, ())]


def segment(kind: str, n: int) -> bytes:
    """Return the segment of an index of n rows."""
    column, chance = _COLUMNS[kind], random.Random(n)
    index = KINDS[kind].make((column,), {}, {})
    entries = [(i * 3, p) for i in range(n) for p in index.payloads(samples.row_of(chance, i))]
    return index.build(entries)


def logs() -> Iterator[bytes]:
    """Segments of every sync mode, closed and not."""
    for sync in recovery.SYNC_MODES:
        for close in (True, False):
            fs = recovery.memory()
            fs.mkdir("/d")
            writer = recovery.WalWriter(fs, "/d", NUMBER, sync=sync, segment_bytes=4096, salt=DATABASE)
            for i in range(6):
                writer.sync_to(writer.append(1 + i, b"record %d " % i * (1 + i * i)))
            if close:
                writer.close()
            yield fs.read_all(f"/d/{NUMBER:06d}.log").rstrip(b"\0") + bytes(64)


def _entries(n: int) -> list[Entry]:
    chance = random.Random(n)
    return [
        Entry(b"key%02d%02d" % (i // 3, i % 3), 1 + i, DELETE if i % 7 == 0 else PUT, b"" if i % 7 == 0 else chance.randbytes(i % 40))
        for i in range(n)
    ]


def _built(**how: Any) -> Iterator[tuple[bytes, dict[str, Any]]]:
    codecs = [load_codec(k) for k in available_codecs() if k != "none"]
    kinds = [k for k in indexes.FILTERS if k != "none"]
    spans = [k for k in indexes.RANGE_FILTERS if k != "none"]
    for i, kind in enumerate(kinds):
        fields = {
            "block_size": (64, 300, 2000)[i % 3], "restart_interval": 1 + i, "hash_index": i % 2, "hash_util": 0.75, "index_kind": i % 2,
            "bits_per_key": 10.0, "filter": indexes.filter_ops_address(kind), "range_filter": indexes.range_ops_address(spans[i % 3]),
            "range_params": "",
        }  # fmt: skip
        if codecs and i % 3 == 1:
            fields["codec"] = codecs[i % len(codecs)].address
        fields |= how
        fs = recovery.memory()
        filters = [indexes.filter_ops_address(k) for k in kinds]
        ranges = [indexes.range_ops_address(k) for k in spans]
        env = Env(fs, recovery.crc32c_address(), None, None, Ledger(), DATABASE, codecs, filters, ranges)
        build_table(env, TableSettings(**fields), "/t.sst", NUMBER, _entries(5 + 9 * i), [Range(b"key02", b"key04", 90)] if i % 2 else [])
        yield fs.read_all("/t.sst"), fields


def tables() -> Iterator[bytes]:
    """Whole tables."""
    return (data for data, _ in _built())


def parts(what: str) -> Iterator[bytes]:
    """Blocks of tables, uncompressed and without their trailers: a data block, the index, the filter or the range filter."""
    for data, _ in _built(codec=0, index_kind=0):
        handles = [_HANDLE.unpack_from(data, len(data) - _FOOTER + 32 + 12 * i) for i in range(4)]
        props, index, point = (data[at : at + n] for at, n in handles[:3])
        place = [props.index(name) + len(name) + 4 for name in (b"range_filter_offset", b"range_filter_size")]
        at, size = (int.from_bytes(props[p : p + 8], "little") for p in place)
        found = {"block": _first_block(data, index), "index": index, "filter": point, "range_filter": data[at : at + size]}
        yield found[what]


def _first_block(data: bytes, index: bytes) -> bytes:
    at, values = 4, []
    for skip in (True, False, False):
        value = shift = 0
        while True:
            value |= (index[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if index[at - 1] < 128:
                break
        values.append(value)
        at += value if skip else 0
    return data[values[1] : values[1] + values[2]]


def frames() -> Iterator[bytes]:
    """Compressed blocks: | number of the codec u8 | size u32 | bytes."""
    for number, kind in enumerate(k for k in available_codecs() if k != "none"):
        codec = load_codec(kind)
        for data in (b"", b"a", b"abc" * 200, bytes(5000), random.Random(1).randbytes(300)):
            yield bytes([number]) + struct.pack("<I", len(data)) + codec.compress(data)


def batches() -> Iterator[bytes]:
    """Payloads of log records behind a sequence number."""
    for n in (1, 2, 9):
        batch = Batch()
        for i in range(n):
            batch.put(b"key%d" % i, b"value" * i)
            batch.delete(b"gone%d" % i)
        batch.delete_range(b"a", b"b%d" % n)
        yield struct.pack("<Q", 1) + batch.payload()


def _keys(seed: int) -> Keys:
    from recovery.crypt_twin import Keys

    return Keys(bytes([7]) + bytes(15), {1: bytes([1]) + bytes(31)}, random.Random(seed).randbytes)  # as in targets_crypt.c


def framed_files() -> Iterator[bytes]:
    """Journals of writes: appended, written over, cut short, with reserved space, and torn."""
    from recovery.crypt_twin import write_framed

    write, size = "write", "size"
    for i, operations in enumerate(
        (
            [],
            [(write, 0, b"one")],
            [(size, 4096, b""), *((write, 100 * i, b"record %d " % i * (1 + i)) for i in range(6))],
            [(write, 0, b"a" * 300), (write, 100, b"b" * 50), (write, 90, b"c" * 20), (size, 120, b""), (write, 500, b"d" * 30)],
        )
    ):
        made = write_framed("000005.log", operations, _keys(i), 1, reserved=256 * (i % 2))
        yield made
        yield made[:-9] + bytes(9) if operations else made[:40]


def paged_files() -> Iterator[bytes]:
    """Pages: none, a part of one, one, one and a byte, three."""
    from recovery.crypt_twin import write_paged

    return (write_paged("000005.sst", random.Random(n).randbytes(n), _keys(n), 1) for n in (0, 50, 4096, 4097, 9000))


def rowsets() -> Iterator[bytes]:
    """Sets with containers of every form."""
    for rows in ([], [5], range(0, 9000, 3), range(100, 70000), [1 << 40, 2, 1 << 33], [*range(50), *range(1 << 32, (1 << 32) + 9000, 2)]):
        yield RowSet(rows).to_bytes()
