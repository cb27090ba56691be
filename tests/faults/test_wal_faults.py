"""A log that failed once is dead: it never acknowledges again, and what it acknowledged before is there."""

from __future__ import annotations

import errno

import pytest

import recovery

OPS = ("open", "allocate", "pwrite", "map", "sync", "sync_dir", "truncate", "close")


class Load:
    """Writes until the first error, remembering what was acknowledged."""

    def __init__(self, fs: recovery.FileSystem, sync: str) -> None:
        self.fs, self.sync = fs, sync
        self.acked: list[bytes] = []
        self.failed: OSError | None = None

    def go(self) -> Load:
        try:
            log = recovery.WalWriter(self.fs, "/d", sync=self.sync, segment_bytes=4096)
        except OSError as e:
            self.failed = e
            return self
        for n in range(80):
            data = b"%04d" % n + b"#" * (n * 3)
            try:
                lsn = log.append(n, data)
                log.sync_to(lsn)
            except OSError as e:
                self.failed = self.failed or e
                assert e.errno == self.failed.errno, "the first error stays"
                continue
            assert not self.failed, "acknowledged after a failure"
            self.acked.append(data)
        try:
            log.close()
        except OSError as e:
            self.failed = self.failed or e
        return self


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("sync", recovery.SYNC_MODES)
def test_every_call_may_fail_once(sync: str, mapped: bool) -> None:
    def disk() -> tuple[recovery.MemoryFileSystem, recovery.FaultFileSystem]:
        inner = recovery.memory()
        inner.mkdir("/d")
        inner.sync_dir("/")
        outer = recovery.fault(inner)
        if not mapped:
            outer.arm("map", error=errno.ENOTSUP, sticky=True)
        return inner, outer

    _, probe = disk()
    clean = Load(probe, sync).go()
    assert clean.failed is None
    assert len(clean.acked) == 80
    for op in OPS:
        if op == "map" and not mapped:
            continue
        for n in range(1, probe.calls(op) + 1, max(1, probe.calls(op) // 12)):
            for error in (errno.EIO, "short") if op == "pwrite" else (errno.EIO,):
                inner, outer = disk()
                outer.arm(op, nth=n, error=error)
                load = Load(outer, sync).go()
                repeat = f"{op} call {n} fails with {error}"
                assert load.failed is not None, repeat
                found = [r.payload for _, records, _ in recovery.replay(inner.crash_clone("process"), "/d") for r in records]
                if sync != "none":
                    assert found[: len(load.acked)] == load.acked, repeat
                assert len(found) <= len(load.acked) + 1, repeat
                if sync in ("group", "every"):
                    found = [r.payload for _, records, _ in recovery.replay(inner.crash_clone("power"), "/d") for r in records]
                    assert found[: len(load.acked)] == load.acked, repeat


def test_a_full_disk_shows_at_the_roll_over() -> None:
    inner = recovery.memory()
    inner.mkdir("/d")
    outer = recovery.fault(inner)
    outer.arm("allocate", nth=2, error=errno.ENOSPC)
    log = recovery.WalWriter(outer, "/d", segment_bytes=4096)
    acked = 0
    while log.try_append(acked, b"x" * 100) is not None:
        acked += 1
    for _ in range(2):
        with pytest.raises(OSError) as caught:
            log.rotate(2)
        assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError):
        log.try_append(acked, b"x")
    with pytest.raises(OSError):
        log.close()
    assert inner.listdir("/d") == ["000001.log"], "the half-made segment is gone"
    assert len(recovery.read_wal(inner, "/d/000001.log")[0]) == acked


def test_a_failed_read_is_told_and_no_end_of_the_log() -> None:
    inner = recovery.memory()
    inner.mkdir("/d")
    with recovery.WalWriter(inner, "/d") as log:
        log.append(1, b"x")
    for op in ("open", "size_of", "pread", "close"):
        outer = recovery.fault(inner)
        outer.arm(op)
        for mode in recovery.RECOVERY_MODES:
            outer.disarm()
            outer.arm(op)
            with pytest.raises(OSError) as caught:
                recovery.read_wal(outer, "/d/000001.log", mode)
            assert caught.value.errno == errno.EIO, (op, mode)


@pytest.mark.parametrize("mode", [m for m in recovery.RECOVERY_MODES if m != "skip"])
def test_a_bit_flipped_while_reading_is_a_failed_read(mode: str) -> None:
    inner = recovery.memory()
    with recovery.WalWriter(inner, "/") as log:
        for n in range(20):
            log.append(n, b"+" * 90)
    want = recovery.read_wal(inner, "/000001.log")[0]
    outer = recovery.fault(inner)
    refused = 0
    for _ in range(100):
        outer.disarm()
        outer.arm("pread", error="flip")
        try:
            assert recovery.read_wal(outer, "/000001.log", mode)[0] == want
        except OSError as e:  # not WalCorruption: the file is whole, as the second reading shows
            assert e.errno == errno.EIO
            refused += 1
    assert refused > 90, "only a flip in the end record costs nothing"
