"""The residents to draw from, without an order: see csrc/pool.h."""

from __future__ import annotations

from .sketch import splitmix


class Pool:
    """Keys in an order that only matters for who is drawn; seeded."""

    def __init__(self, seed: int = 0) -> None:
        """Start empty."""
        self.all: list[int] = []
        self.state = seed

    def drop(self, key: int) -> None:
        """Take a key out; the last one gets its place."""
        at, last = self.all.index(key), self.all.pop()
        if last != key:
            self.all[at] = last

    def draw(self) -> int:
        """Return 64 random bits."""
        self.state, drawn = splitmix(self.state)
        return drawn

    def any(self) -> int:
        """Return any key, all with equal chance."""
        return self.all[(self.draw() >> 32) * len(self.all) >> 32]

    def sample(self, want: int) -> list[int]:
        """Return so many different keys, one of each of as many equal parts; all where there are no more."""
        if len(self.all) <= want:
            return list(self.all)
        part, longer = divmod(len(self.all), want)
        start, bits, out = 0, 0, []
        for i in range(want):
            size = part + (i < longer)
            bits = bits >> 32 if i % 2 else self.draw()
            out.append(self.all[start + ((bits & 0xFFFFFFFF) * size >> 32)])
            start += size
        return out
