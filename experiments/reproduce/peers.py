"""RocksDB and LevelDB at the same shape of tree as the engine's, and the bytes that they write, as the kernel counts them."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .figure import Got
from .trees import Ints

BATCH = 1_000
QUIET = 2.0  # seconds without a byte written after which background work is taken to be over
KNOBS = {  # the engine's setting -> RocksDB's, LevelDB's
    "write_buffer": ("write_buffer_size", "write_buffer_size"),
    "compaction.l0_trigger = 4": ("level0_file_num_compaction_trigger", "fixed, 4"),
    "compaction.level_base": ("max_bytes_for_level_base", "fixed, 10 MiB"),
    "compaction.size_ratio = 10": ("max_bytes_for_level_multiplier", "fixed, 10"),
    "compaction.output_bytes": ("target_file_size_base", "max_file_size, 1 MiB at least"),
    "compression none": ("compression none", "compression none"),
}


def _written() -> int:
    """Bytes that this process has written, as it asked for them (wchar)."""
    return int(next(line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("wchar")).split()[1])


def _batches(keys: Ints, value: int) -> Iterator[list[tuple[bytes, bytes]]]:
    data, filler = keys.astype(">u8").tobytes(), bytes(value)
    for at in range(0, len(keys), BATCH):
        yield [(data[8 * i : 8 * i + 8], filler) for i in range(at, min(at + BATCH, len(keys)))]


def _drain() -> None:
    last, since = _written(), time.monotonic()
    while time.monotonic() - since < QUIET:
        time.sleep(0.1)
        if (now := _written()) != last:
            last, since = now, time.monotonic()


def load(name: str, keys: Ints, value: int, buffer: int, base: int, file: int) -> Got:
    """Put the keys in order, wait until it is quiet; bytes written by user bytes, and by the store's own statistics where it has them."""
    with tempfile.TemporaryDirectory(prefix="lsmlab-peer-") as folder:
        began = _written()
        own = {"rocksdb": _rocksdb, "leveldb": _leveldb}[name](folder, keys, value, buffer, base, file)
        user = len(keys) * (8 + value)
        return {"wa": (_written() - began) / user, "own": own / user, "user": user}


def _rocksdb(folder: str, keys: Ints, value: int, buffer: int, base: int, file: int) -> float:
    import rocksdict as r

    options = r.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(buffer)
    options.set_level_zero_file_num_compaction_trigger(4)
    options.set_max_bytes_for_level_base(base)
    options.set_max_bytes_for_level_multiplier(10.0)
    options.set_level_compaction_dynamic_level_bytes(False)
    options.set_target_file_size_base(file)
    options.set_compression_type(r.DBCompressionType.none())
    options.enable_statistics()
    db = r.Rdict(folder, options, column_families={"default": options})
    for pairs in _batches(keys, value):
        batch = r.WriteBatch(raw_mode=True)
        for key, filler in pairs:
            batch.put(key, filler)
        db.write(batch)
    db.flush()
    _drain()
    text = options.get_statistics() or ""
    db.close()

    def ticker(what: str) -> float:
        found = re.search(rf"rocksdb\.{re.escape(what)} COUNT : (\d+)", text)
        return float(found[1]) if found else 0.0

    return ticker("wal.bytes") + ticker("flush.write.bytes") + ticker("compact.write.bytes")


def _leveldb(folder: str, keys: Ints, value: int, buffer: int, base: int, file: int) -> float:
    import plyvel

    db = plyvel.DB(folder, create_if_missing=True, write_buffer_size=buffer, compression=None, max_file_size=file)
    for pairs in _batches(keys, value):
        with db.write_batch() as batch:
            for key, filler in pairs:
                batch.put(key, filler)
    _drain()
    rows = re.findall(r"^\s*\d+\s+\d+\s+[\d.]+\s+[\d.]+\s+[\d.]+\s+([\d.]+)\s*$", db.get_property(b"leveldb.stats").decode(), re.MULTILINE)
    db.close()
    return sum(map(float, rows)) * 2**20  # flushes and compactions; it does not count its log
