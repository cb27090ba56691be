"""The simulated device as typed Python. Touches the extension, as native.py does."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

from ._native import ffi, lib
from .native import FileSystem, check


@dataclass(frozen=True)
class DeviceProfile:
    """Latencies in nanoseconds, bandwidths in bytes a second, parts of a request that go side by side, bytes of a part.

    `seek_ns` is paid by a request that does not go on where the last one ended, `meta_ns` by a call on a name. ValueError when impossible.
    """

    seek_ns: int
    read_ns: int
    write_ns: int
    sync_ns: int
    meta_ns: int
    read_bytes_per_s: int
    write_bytes_per_s: int
    depth: int
    unit: int

    def __post_init__(self) -> None:
        for f in fields(self):
            low, value = int(not f.name.endswith("_ns")), getattr(self, f.name)
            if not isinstance(value, int) or not low <= value < 1 << 63:
                raise ValueError(f"{f.name} = {value!r}; it must be a whole number from {low} and below 2**63")


US, MS, KIB, MB = 1_000, 1_000_000, 1 << 10, 1_000_000
# Round figures of each class of device, of no product.
PROFILES: dict[str, DeviceProfile] = {
    "nvme": DeviceProfile(0, 80 * US, 20 * US, 30 * US, 5 * US, 3000 * MB, 2000 * MB, 32, 128 * KIB),
    "sata": DeviceProfile(0, 120 * US, 60 * US, 500 * US, 20 * US, 540 * MB, 500 * MB, 32, 128 * KIB),
    "disk": DeviceProfile(8 * MS, 50 * US, 50 * US, 8 * MS, 100 * US, 180 * MB, 180 * MB, 1, 1024 * KIB),
    "object": DeviceProfile(0, 20 * MS, 40 * MS, 40 * MS, 20 * MS, 400 * MB, 200 * MB, 16, 8192 * KIB),
}


class DeviceFileSystem(FileSystem):
    """Passes every call on to ``inner`` and charges it to a virtual clock, `now_ns`, which begins at 0.

    With one thread the clock is a function of the calls: the same calls, the same times. Writable mappings are refused (ENOTSUP).
    """

    def advance_to(self, ns: int) -> None:
        """Move the clock forward, if it is not later already."""
        check(lib.rec_fs_device_advance(self.pointer, ns))

    def figures(self) -> dict[str, int]:
        """Requests, bytes and nanoseconds of reads, writes, syncs and calls on names; seeks."""
        out = ffi.new("rec_device_stats *")
        check(lib.rec_fs_device_stats(self.pointer, out))
        names = ("reads", "read_bytes", "writes", "write_bytes", "syncs", "seeks", "metas", "read_ns", "write_ns", "sync_ns", "meta_ns")
        return {name: int(getattr(out[0], name)) for name in names}


def device(inner: FileSystem, profile: str | DeviceProfile = "nvme") -> DeviceFileSystem:
    """Return a wrapper around ``inner`` that is as slow as the profile, by a virtual clock. ValueError for an unknown name."""
    if isinstance(profile, str):
        if profile not in PROFILES:
            raise ValueError(f"no device {profile!r}; there are {', '.join(PROFILES)}")
        profile = PROFILES[profile]
    return DeviceFileSystem(lib.rec_fs_device(inner.pointer, ffi.new("rec_device_profile *", astuple(profile))), inner=inner)
