"""The simulated device: what each call costs, by hand; the same calls cost the same; it changes nothing but the clock."""

from __future__ import annotations

import errno
import threading
from dataclasses import astuple, replace

import pytest
from recovery._native import ffi, lib

import lsm
import recovery
from recovery import DEVICES, DeviceProfile, device

PLAIN = DeviceProfile(
    seek_ns=1000, read_ns=100, write_ns=200, sync_ns=5000, meta_ns=7,
    read_bytes_per_s=10**9, write_bytes_per_s=5 * 10**8, depth=2, unit=1000,
)  # fmt: skip


def test_every_call_costs_what_the_profile_says() -> None:
    fs = device(recovery.memory(), PLAIN)
    at = fs.now_ns()
    assert at == 0

    def cost() -> int:
        nonlocal at
        before, at = at, fs.now_ns()
        return at - before

    f = fs.open("/a", "w")
    assert cost() == 7
    f.append(b"x" * 500)
    assert cost() == 1000 + 200 + 1000  # seek, latency, 500 bytes at 2 ns each
    f.append(b"y" * 500)
    assert cost() == 200 + 1000  # goes on where the last one ended
    f.pwrite(b"z" * 5000, 0)
    assert cost() == 1000 + 3 * 200 + 10_000  # five parts, two at a time
    assert f.pread(2000, 0) == b"z" * 2000
    assert cost() == 1000 + 100 + 2000
    assert f.pread(9000, 2000) == b"z" * 3000
    assert cost() == 2 * 100 + 3000  # only what there is is charged
    assert f.pread(10, 99_999) == b""
    f.append(b"")
    assert f.size() == 5000
    assert cost() == 0
    f.sync()
    assert cost() == 5000
    f.truncate(10)
    assert cost() == 7
    f.close()
    fs.rename("/a", "/b")
    fs.sync_dir("/")
    assert cost() == 7 + 7 + 5000
    with pytest.raises(FileNotFoundError):
        fs.unlink("/a")
    assert cost() == 7
    told = fs.figures()
    assert (told["reads"], told["read_bytes"], told["writes"], told["write_bytes"]) == (2, 5000, 3, 6000)
    assert told["syncs"] == 2 and told["seeks"] == 3
    assert sum(told[k] for k in ("read_ns", "write_ns", "sync_ns", "meta_ns")) == fs.now_ns()


def test_the_clock_only_goes_forward() -> None:
    fs = device(recovery.memory(), PLAIN)
    fs.advance_to(10_000)
    fs.advance_to(500)
    assert fs.now_ns() == 10_000
    slowest = replace(PLAIN, read_ns=2**63 - 1, write_bytes_per_s=1, depth=1, unit=1)
    full = device(recovery.memory(), slowest)
    with full.open("/a", "w") as f:
        f.append(bytes(100))
        for _ in range(4):
            f.pread(100, 0)
    assert full.now_ns() == 2**64 - 1  # full, not around


def test_a_mapping_for_reading_is_charged_and_one_for_writing_refused() -> None:
    fs = device(recovery.memory(), PLAIN)
    fs.write_all("/a", bytes(8192))
    with fs.open("/a") as f:
        before = fs.figures()["read_bytes"]
        f.map(0, 8192).close()
        assert fs.figures()["read_bytes"] - before == 8192
    with fs.open("/a", "a") as f, pytest.raises(OSError) as refused:
        f.map(0, 4096, writable=True)
    assert refused.value.errno == errno.ENOTSUP


def test_profiles_that_cannot_be_are_refused() -> None:
    for name in ("depth", "unit", "read_bytes_per_s", "write_bytes_per_s"):
        with pytest.raises(ValueError, match=f"{name} = 0; it must be a whole number from 1"):
            replace(PLAIN, **{name: 0})
    with pytest.raises(ValueError, match="seek_ns = -1"):
        replace(PLAIN, seek_ns=-1)
    with pytest.raises(ValueError, match="there are nvme, sata, disk, object"):
        device(recovery.memory(), "tape")


@pytest.mark.parametrize("field", ["depth", "unit", "read_bytes_per_s", "write_bytes_per_s"])
def test_c_refuses_profiles_that_cannot_be(field: str) -> None:
    profile = ffi.new("rec_device_profile *", astuple(PLAIN))
    setattr(profile, field, 0)
    assert lib.rec_fs_device(recovery.memory().pointer, profile) == ffi.NULL


def test_other_file_systems_have_no_clock_of_a_device() -> None:
    fs = recovery.memory()
    assert lib.rec_fs_device_advance(fs.pointer, 5) == -errno.EINVAL
    assert lib.rec_fs_device_stats(fs.pointer, ffi.new("rec_device_stats *")) == -errno.EINVAL


def test_calls_that_fail_below_fail_above() -> None:
    below = recovery.fault(recovery.memory())
    fs = device(below, PLAIN)
    with fs.open("/a", "x") as f:
        for op in ("size_of", "append"):
            below.arm(op, "*", error=errno.EIO)
            with pytest.raises(OSError) as failed:
                f.append(b"1")
            assert failed.value.errno == errno.EIO
        f.append(b"2")
    assert fs.read_all("/a") == b"2"


@pytest.mark.parametrize("kind", DEVICES)
def test_a_database_on_a_device_is_the_same_database(kind: str) -> None:
    """The same files to the byte as without it, and the same time twice."""
    times, found = [], []
    for _ in range(2):
        inner = recovery.memory()
        fs = device(inner, kind)
        with lsm.open("/d", {"threads": 0, "seed": 1, "write_buffer": 16384}, fs=fs) as db:
            for i in range(3000):
                db.put(b"%06d" % (i * 7919 % 3000), b"v" * 40)
            assert len(list(db.scan())) == 3000
        times.append((fs.now_ns(), fs.figures()))
        found.append({n: inner.read_all(f"/d/{n}") for n in inner.listdir("/d")})
    assert times[0] == times[1] and found[0] == found[1]
    plain = recovery.fault(recovery.memory())  # writes by calls too
    with lsm.open("/d", {"threads": 0, "seed": 1, "write_buffer": 16384}, fs=plain) as db:
        for i in range(3000):
            db.put(b"%06d" % (i * 7919 % 3000), b"v" * 40)
    tables = {n: plain.read_all(f"/d/{n}") for n in plain.listdir("/d") if n.endswith(".sst")}
    assert tables and tables == {n: data for n, data in found[0].items() if n.endswith(".sst")}


def test_threads_may_share_a_device() -> None:
    fs = device(recovery.memory(), PLAIN)

    def write(name: str) -> None:
        with fs.open(name, "w") as f:
            for _ in range(500):
                f.append(b"x" * 10)

    threads = [threading.Thread(target=write, args=(f"/{i}",)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    told = fs.figures()
    assert told["writes"] == 2000 and told["write_bytes"] == 20_000 and told["metas"] == 8
    assert told["write_ns"] == 2000 * (200 + 20) + told["seeks"] * 1000
