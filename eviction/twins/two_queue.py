"""2Q, full version (Johnson and Shasha, 2Q: a low overhead high performance buffer management algorithm, VLDB 1994, section 3).

Where the paper is silent: Kin and Kout are rounded down, but are at least 1; a key seen again leaves A1out before room is made for it;
while Am is empty, room is made in A1in. For weights, a queue's size is the sum of its weights, and ghosts keep theirs.
"""

from __future__ import annotations

from .lists import Queue, add_ghost, line, move, pop_oldest, share, size


class TwoQueue:
    """A cache of keys with weights. a1in: residents seen once, am: residents seen again, a1out: ghosts; each ordered oldest first."""

    def __init__(self, capacity: int, kin: float = 0.25, kout: float = 0.5) -> None:
        """Start empty; capacity in weight units, kin and kout as shares of it."""
        self.capacity = capacity
        self.kin, self.kout = share(capacity, kin), share(capacity, kout)
        self.a1in: Queue = {}
        self.am: Queue = {}
        self.a1out: Queue = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.am:
            move(key, self.am, self.am)
            return True
        if key in self.a1in:  # correlated references: nothing happens
            return True
        if weight > self.capacity:
            return False
        queue = self.am if self.a1out.pop(key, 0) else self.a1in
        while size(self.a1in, self.am) + weight > self.capacity:
            self._reclaim()
        queue[key] = weight
        return False

    def _reclaim(self) -> None:
        if size(self.a1in) > self.kin or not self.am:
            add_ghost(self.a1out, *pop_oldest(self.a1in), self.kout)
        else:
            pop_oldest(self.am)  # it has not been seen for long: no ghost

    def dump(self) -> str:
        """Return the three queues, newest first, as the native policy writes them."""
        return "2q\n" + line("A1in", self.a1in) + line("Am", self.am) + line("A1out", self.a1out)
