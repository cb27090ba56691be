"""Time series: devices that report in turn, some of them late, and readers of a device's last stretch; what is old is deleted at times.

The key is (device, tick), so a device's readings are neighbours. Records are numbered in the order of arrival. A late reading comes up to
`delay` ticks after its time, which is what makes tables of a time window overlap. The mix of writer and readers stands for db_bench's
`timeseries`, whose readers ask for a key and a stretch of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .stream import INSERT, KEY_BYTES, RANGE_DELETE, READ, SCAN, Ids, Stream

MOST_DEVICES = 1_000_000  # (device, tick of 32 bits) has 16 digits


@dataclass(frozen=True)
class TimeSeries:
    """`out_of_order`: share of the readings that come late, evenly up to `delay` ticks. Shares of operations: what is left over inserts.

    `expire`: share of operations that delete a device's oldest `expire_span` ticks that are still there.
    """

    devices: int = 100
    out_of_order: float = 0.05
    delay: int = 100
    read: float = 0.05
    scan: float = 0.1
    scan_length: int = 60
    expire: float = 0.0
    expire_span: int = 100
    key_bytes: int = KEY_BYTES

    def __post_init__(self) -> None:
        if not 0 <= self.out_of_order <= 1 or self.delay < 1 or not 1 <= self.devices <= MOST_DEVICES:
            raise ValueError(
                f"devices = {self.devices}, out_of_order = {self.out_of_order}, delay = {self.delay}; "
                f"allowed: 1 to {MOST_DEVICES:,}, 0 to 1, 1 and more"
            )
        if min(self.read, self.scan, self.expire) < 0 or self.read + self.scan + self.expire > 1:
            raise ValueError(f"read + scan + expire = {self.read + self.scan + self.expire:g}; allowed: shares that leave some for inserts")
        if self.scan_length < 1 or self.expire_span < 1:
            raise ValueError(f"scan_length = {self.scan_length}, expire_span = {self.expire_span}; allowed: 1 and more")

    def draw(self, records: int, operations: int, seed: int) -> Stream:
        """A stream behind `records` readings that came before."""
        rng = np.random.default_rng(seed)
        kinds = np.array([READ, SCAN, RANGE_DELETE, INSERT], np.uint8)
        shares = (self.read, self.scan, self.expire, 1 - self.read - self.scan - self.expire)
        codes = kinds[rng.choice(4, operations, p=shares)]
        inserts = codes == INSERT
        total = records + int(inserts.sum())
        numbers, arrived = self._numbers(rng, total)
        ids = np.zeros(operations, np.int64)
        ids[inserts] = records + np.arange(inserts.sum())
        newest = records - 1 + np.cumsum(inserts)  # of the records that came before each operation
        back = np.minimum(newest, (rng.random(operations) * self.scan_length * self.devices).astype(np.int64))
        looks = np.isin(codes, (READ, SCAN))
        ids[looks] = np.maximum(newest - back, 0)[looks]
        lengths = np.zeros(operations, np.uint32)
        lengths[codes == SCAN] = self.scan_length
        expiring = np.flatnonzero(codes == RANGE_DELETE)
        rounds = np.arange(len(expiring)) // self.devices  # each device in turn, from its first tick on
        at = (rounds * self.expire_span * self.devices + np.arange(len(expiring)) % self.devices) % max(1, records)
        ids[expiring] = arrived[at]
        lengths[expiring] = self.expire_span
        return Stream(codes, ids, lengths, records, "dense", self.key_bytes, numbers)

    def _numbers(self, rng: np.random.Generator, total: int) -> tuple[Ids, Ids]:
        """The key number of each reading in order of arrival, and where the nth in order of time came."""
        n = np.arange(total)
        late = np.where(rng.random(total) < self.out_of_order, rng.integers(1, self.delay + 1, total), 0) * self.devices
        order = np.argsort(n + late, kind="stable")  # nth in time arrives at place order[n]
        device, tick = order % self.devices, order // self.devices
        numbers = ((device.astype(np.int64) << 32) | tick.astype(np.int64)) * 2
        arrived = np.empty(total, np.int64)
        arrived[order] = n
        return numbers, arrived
