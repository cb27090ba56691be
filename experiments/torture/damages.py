"""Damages to a set of files: flipped bits, cuts, blocks that hold something else, whole files that are gone, swapped, older or foreign."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

_BLOCKS = (512, 4096)


@dataclass(frozen=True)
class Damage:
    """Some files of a sample with other bytes; None: gone. After one flip that very file is to be named, else any that does not fit."""

    what: str
    files: Mapping[str, bytes | None]
    group: int = 0
    one_bit: bool = False


class Flips(Sequence[Damage]):
    """One flip for each bit from begin on, in steps, made when it is asked for; bits count through all files in order of their names."""

    def __init__(self, files: Mapping[str, bytes], begin: int, end: int, step: int) -> None:
        self.files, self.names = files, sorted(files)
        self.starts = list(itertools.accumulate((8 * len(files[n]) for n in self.names), initial=0))
        self.bits = range(begin, min(end, self.starts[-1]), step)

    def __len__(self) -> int:
        return len(self.bits)

    @overload
    def __getitem__(self, place: int) -> Damage: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Damage]: ...
    def __getitem__(self, place: int | slice) -> Damage | Sequence[Damage]:
        if isinstance(place, slice):
            return [self[i] for i in range(len(self))[place]]
        at = self.bits[place]
        which = bisect.bisect_right(self.starts, at) - 1
        name, bit = self.names[which], at - self.starts[which]
        damaged = bytearray(self.files[name])
        damaged[bit // 8] ^= 1 << bit % 8
        return Damage(f"{name}: bit {bit % 8} of byte {bit // 8} flipped", {name: bytes(damaged)}, at // 8, True)


def cuts(files: Mapping[str, bytes], step: int) -> Iterator[Damage]:
    """Yield every length that is shorter, in steps; and some that are longer."""
    for name, data in sorted(files.items()):
        for n in range(0, len(data), step):
            yield Damage(f"{name}: cut to {n} bytes", {name: data[:n]}, n)
        for more in (1, 512, 5000):
            yield Damage(f"{name}: {more} bytes of noise behind it", {name: data + random.Random(more).randbytes(more)}, more)


def blocks(files: Mapping[str, bytes], step: int) -> Iterator[Damage]:
    """Yield aligned blocks that hold something else: zeros, noise, the block before, and what stands there in another file."""
    noise = random.Random(7)
    for size in _BLOCKS:
        for name, data in sorted(files.items()):
            for at in range(0, len(data), size * step):
                n = min(size, len(data) - at)
                new = {"zeros": bytes(n), "noise": noise.randbytes(n)}
                if at >= size:
                    new["the block before"] = data[at - size : at - size + n]
                for other in sorted(files):
                    if other != name and len(files[other]) >= at + n:
                        new[f"the block of {other}"] = files[other][at : at + n]
                for what, bytes_there in new.items():
                    if bytes_there != data[at : at + n]:
                        yield Damage(
                            f"{name}: {n} bytes from {at} on are {what}", {name: data[:at] + bytes_there + data[at + n :]}, at // size
                        )


def whole_files(files: Mapping[str, bytes], older: Mapping[str, Mapping[str, bytes]], foreign: Mapping[str, bytes]) -> Iterator[Damage]:
    """Yield files that are gone, empty, swapped, as they were before (by when that was), or of another one of the same making."""
    names = sorted(files)
    for name in names:
        yield Damage(f"{name}: deleted", {name: None})
        yield Damage(f"{name}: emptied", {name: b""})
        for when, old in older.items():
            if old.get(name, files[name]) != files[name]:
                yield Damage(f"{name}: as it was {when}", {name: old[name]})
        same = [n for n in foreign if n.rpartition(".")[2] == name.rpartition(".")[2] or n == name]
        for other in same:
            if foreign[other] != files[name]:
                yield Damage(f"{name}: {other} of another database", {name: foreign[other]})
    for i, one in enumerate(names):
        for two in names[i + 1 :]:
            yield Damage(f"{one} and {two}: swapped", {one: files[two], two: files[one]})
