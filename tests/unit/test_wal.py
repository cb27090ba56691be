"""The log through its public face: order, sizes, roll-over, sync modes, threads, recovery over several segments."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import recovery


@pytest.fixture
def disk() -> recovery.MemoryFileSystem:
    fs = recovery.memory()
    fs.mkdir("/d")
    fs.sync_dir("/")
    return fs


def payloads(fs: recovery.FileSystem, mode: str = "point_in_time", directory: str = "/d") -> list[bytes]:
    return [record.payload for _, records, _ in recovery.replay(fs, directory, mode) for record in records]


@pytest.mark.parametrize("sync", recovery.SYNC_MODES)
@pytest.mark.parametrize("kind", ["memory", "posix", "unmapped"])
def test_what_is_written_is_replayed(kind: str, sync: str, tmp_path: Path) -> None:
    fs: recovery.FileSystem = recovery.posix() if kind == "posix" else recovery.memory()
    top = str(tmp_path)
    fs.makedirs(top)
    if kind == "unmapped":
        fs = recovery.fault(fs)
        fs.arm("map", error=95, sticky=True)
    want = [bytes([n % 256]) * (n * 7 % 500) for n in range(120)] + [b"", b"big" * 30000, b"last"]
    with recovery.WalWriter(fs, top, sync=sync, segment_bytes=8192) as log:
        lsns = [log.append(n, part[:3], part[3:]) for n, part in enumerate(want)]
        assert lsns == sorted(set(lsns))
        assert log.written == lsns[-1]
        if sync != "none":
            assert payloads(fs, "absolute", top) == want, "a living log can be read"
    assert payloads(fs, "absolute", top) == want
    for name in fs.listdir(top):
        _, report = recovery.read_wal(fs, f"{top}/{name}")
        assert report.ended
        assert report.end_offset == fs.stat(f"{top}/{name}")[0], "segments are cut to their length"


def test_a_record_that_does_not_fit_asks_for_a_roll_over(disk: recovery.MemoryFileSystem) -> None:
    with recovery.WalWriter(disk, "/d", segment_bytes=4096) as log:
        room = 4096 - 32 - 48 - 32
        assert log.try_append(1, bytes(room + 1)) is None
        assert log.used == 32
        assert log.try_append(1, bytes(room)) is not None
        assert log.try_append(2, b"") is None
        log.rotate(7, 100_000)
        assert log.number == 7
        assert log.try_append(2, bytes(100_000)) is not None
        with pytest.raises(OSError):
            log.rotate(7)
    assert disk.listdir("/d") == ["000001.log", "000007.log"]


def test_an_existing_segment_is_never_overwritten(disk: recovery.MemoryFileSystem) -> None:
    recovery.WalWriter(disk, "/d", 3).close()
    with pytest.raises(FileExistsError):
        recovery.WalWriter(disk, "/d", 3)
    with pytest.raises(ValueError, match="sync mode 'often'"):
        recovery.WalWriter(disk, "/d", 4, sync="often")


@pytest.mark.parametrize(("sync", "survive"), [("none", 0), ("os", 0), ("group", 0), ("every", 5), ("interval", 5)])
def test_power_loss_by_sync_mode(disk: recovery.MemoryFileSystem, sync: str, survive: int) -> None:
    log = recovery.WalWriter(disk, "/d", sync=sync, interval_ns=0)
    for n in range(5):
        log.append(n, b"x" * 100)
    assert len(payloads(disk.crash_clone("power"))) == survive
    assert len(payloads(disk.crash_clone("process"))) == (0 if sync == "none" else 5)
    log.sync_to(log.written)
    assert len(payloads(disk.crash_clone("power"))) == (0 if sync in ("none", "os") else 5)
    log.sync_to()
    assert len(payloads(disk.crash_clone("power"))) == 5
    log.close()


def test_a_forced_sync_reaches_older_segments_too(disk: recovery.MemoryFileSystem) -> None:
    log = recovery.WalWriter(disk, "/d", segment_bytes=4096)
    for n in range(100):
        log.append(n, b"y" * 100)
    assert log.number > 2
    disk.unlink("/d/000001.log")  # flushed meanwhile
    log.sync_to()
    log.append(100, b"unsynced")
    clone = disk.crash_clone("power")
    kept = [r.seq for _, records, _ in recovery.replay(clone, "/d", numbers=range(2, log.number + 1)) for r in records]
    assert kept == list(range(kept[0], 100))
    assert kept[0] < 50
    log.close()


@pytest.mark.threads
@pytest.mark.parametrize("sync", ["group", "none", "os"])
def test_threads_share_syncs_and_lose_nothing(disk: recovery.MemoryFileSystem, sync: str) -> None:
    log = recovery.WalWriter(disk, "/d", sync=sync, segment_bytes=16384)
    order = threading.Lock()
    count, workers = 60, 6
    barrier = threading.Barrier(workers)
    lost: list[bytes] = []

    def work(who: int) -> None:
        barrier.wait()
        for n in range(count):
            data = b"%d/%d" % (who, n)
            with order:
                lsn = log.append(who * count + n, data)
            log.sync_to(lsn if sync == "group" else recovery.FORCE)
            if n % 20 == 19 and data not in payloads(disk.crash_clone("power")):
                lost.append(data)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(workers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not lost, "acknowledged, but not durable"
    assert log.syncs <= count * workers + log.number
    log.close()
    assert sorted(payloads(disk, "absolute")) == sorted(b"%d/%d" % (w, n) for w in range(workers) for n in range(count))


def test_another_database_or_number_never_passes(disk: recovery.MemoryFileSystem) -> None:
    with recovery.WalWriter(disk, "/d", 1, salt=5) as log:
        log.append(1, b"mine")
    disk.link("/d/000001.log", "/d/000002.log")
    for path, salt in (("/d/000001.log", 6), ("/d/000002.log", 5)):
        for mode in recovery.RECOVERY_MODES:
            if mode == "skip":
                records, report = recovery.read_wal(disk, path, mode, salt=salt)
                assert (records, report.reason) == ([], "foreign")
            else:
                with pytest.raises(recovery.WalCorruption, match="foreign"):
                    recovery.read_wal(disk, path, mode, salt=salt)


def several(disk: recovery.MemoryFileSystem, sync: str) -> None:
    with recovery.WalWriter(disk, "/d", sync=sync, segment_bytes=4096) as log:
        for n in range(60):
            log.append(n, b"z%03d" % n + b"|" * 200)


def test_a_record_in_another_place_never_passes(disk: recovery.MemoryFileSystem) -> None:
    """Records of one length change places, and the sectors between stay whole: each has its own offset in its checksum."""
    log = recovery.WalWriter(disk, "/d", sync="os", salt=7)
    for n in range(4):
        log.append(n, b"%d" % n * 68)  # 100 bytes with its header
    log.close()
    whole = disk.read_all("/d/000001.log")
    at = [32 + 100 * n for n in range(4)]
    moved = whole[: at[1]] + whole[at[2] : at[3]] + whole[at[1] : at[2]] + whole[at[3] :]
    disk.write_all("/d/000001.log", moved)
    for mode in ("absolute", "tolerate_tail", "point_in_time"):
        with pytest.raises(recovery.WalCorruption):
            recovery.read_wal(disk, "/d/000001.log", mode, salt=7)
    records, report = recovery.read_wal(disk, "/d/000001.log", "skip", salt=7)
    assert [r.seq for r in records] == [0, 3] and report.dropped_records == 1


def test_a_missing_segment_is_corruption(disk: recovery.MemoryFileSystem) -> None:
    several(disk, "os")
    names = disk.listdir("/d")
    assert len(names) >= 4
    disk.unlink(f"/d/{names[1]}")
    with pytest.raises(recovery.WalCorruption, match="segment 2 is missing"):
        payloads(disk)
    assert payloads(disk, "skip")
    disk.unlink(f"/d/{names[0]}")
    assert payloads(disk), "the oldest may go: they were flushed"
    disk.unlink(f"/d/{names[-1]}")
    with pytest.raises(recovery.WalCorruption, match=f"segment {len(names)} is missing"):
        payloads(disk)


def test_a_cut_older_segment_ends_the_replay_or_is_corruption(disk: recovery.MemoryFileSystem) -> None:
    several(disk, "os")
    with disk.open("/d/000002.log", "r+") as f:
        f.truncate(1000)
    found = payloads(disk)
    assert found == sorted(found)
    assert found[-1][:4] == b"z%03d" % (len(found) - 1), "a prefix"
    assert len(found) < 60
    assert len(payloads(disk, "skip")) > len(found)
    for mode in ("absolute", "tolerate_tail"):
        with pytest.raises(recovery.WalCorruption):
            payloads(disk, mode)


def test_a_cut_older_segment_of_a_synced_log_is_corruption(disk: recovery.MemoryFileSystem) -> None:
    several(disk, "group")
    with disk.open("/d/000002.log", "r+") as f:
        f.truncate(1000)
    for mode in ("absolute", "tolerate_tail", "point_in_time"):
        with pytest.raises(recovery.WalCorruption):
            payloads(disk, mode)


def test_damage_below_a_promise_is_corruption(disk: recovery.MemoryFileSystem) -> None:
    log = recovery.WalWriter(disk, "/d", sync="os")
    log.append(1, bytes(100))
    log.append(2, bytes(100))
    for promise in (False, True):
        if promise:
            log.sync_to()
        log.append(3, b"behind")
        clone = disk.crash_clone("process")
        with clone.open("/d/000001.log", "r+") as f:
            f.pwrite(bytes(132), 32)
        if promise:
            with pytest.raises(recovery.WalCorruption, match="offset 32"):
                payloads(clone)
        else:
            assert payloads(clone) == []
        with pytest.raises(recovery.WalCorruption):
            payloads(clone, "tolerate_tail")
        assert payloads(clone, "skip")[:2] == [bytes(100), b"behind"]
    log.close()


@pytest.mark.parametrize("start", range(40, 48))
def test_a_record_of_which_a_sync_caught_some_words_is_a_torn_tail(disk: recovery.MemoryFileSystem, start: int) -> None:
    """Another thread's sync comes while a record is written, then its header comes to the disk, and the power goes."""
    log = recovery.WalWriter(disk, "/d", sync="os")
    log.append(1, b"x" * start)  # so that the next begins anywhere in a word
    at = 32 + 32 + start
    log.append(2, b"y" * 200)
    log.append(3, b"z" * 50)
    for words in (1, 5):
        clone = disk.crash_clone("process")
        with clone.open("/d/000001.log", "r+") as f:
            f.pwrite(bytes(8 * words), (at + 32 + 60) // 8 * 8)
        assert payloads(clone) == [b"x" * start]
        with clone.open("/d/000001.log", "r+") as f:
            f.pwrite(b"y" * 8 * words, (at + 32 + 60) // 8 * 8)
            f.pwrite(b"\0", at + 32 + 60)
        with pytest.raises(recovery.WalCorruption, match=f"offset {at}"):  # a byte is no word
            payloads(clone)
    log.close()


def test_a_segment_that_crashed_in_the_making_is_empty(disk: recovery.MemoryFileSystem) -> None:
    log = recovery.WalWriter(disk, "/d", sync="group")
    log.append(1, b"kept")
    log.sync_to(log.written)
    disk.write_all("/d/000002.log", bytes(4096))
    disk.write_all("/d/000003.log", b"")
    for mode in recovery.RECOVERY_MODES:
        assert payloads(disk, mode) == [b"kept"]
    log.close()


def test_a_name_that_is_no_log_is_refused(disk: recovery.MemoryFileSystem) -> None:
    disk.write_all("/d/x.log", b"")
    with pytest.raises(OSError):
        recovery.read_wal(disk, "/d/x.log")
    with pytest.raises(ValueError, match="recovery mode 'hope'"):
        recovery.read_wal(disk, "/d/x.log", "hope")
    with pytest.raises(FileNotFoundError):
        recovery.read_wal(disk, "/d/000009.log")


def test_the_interval_is_by_the_clock_of_the_files() -> None:
    fs = recovery.memory()
    fs.mkdir("/d")
    fs.set_clock(10**18)
    with recovery.WalWriter(fs, "/d", 1, sync="interval", interval_ns=1000) as log:
        before = log.syncs
        for step, due in [(0, 0), (999, 0), (1000, 1), (1500, 1), (2000, 2)]:
            fs.set_clock(10**18 + step)
            log.append(step + 1, b"x")
            assert log.syncs - before == due, step
    assert fs.now_ns() == fs.crash_clone("power").now_ns() == 10**18 + 2000
    fs.set_clock(0)
    assert fs.now_ns() != 10**18 + 2000
