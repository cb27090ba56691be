"""2Q, full version (Johnson and Shasha, 2Q: a low overhead high performance buffer management algorithm, VLDB 1994, section 3)."""

from __future__ import annotations


class TwoQueue:
    """A cache of keys with weights. a1in: residents seen once, am: residents seen again, a1out: ghosts; each ordered oldest first."""

    def __init__(self, capacity: int, kin: float = 0.25, kout: float = 0.5) -> None:
        """Start empty; capacity in weight units, kin and kout as shares of it."""
        self.c = capacity
        self.kin, self.kout = int(capacity * kin), int(capacity * kout)
        self.a1in: dict[int, int] = {}
        self.am: dict[int, int] = {}
        self.a1out: dict[int, int] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.am:
            self.am[key] = self.am.pop(key)
            return True
        if key in self.a1in:  # correlated references: nothing happens
            return True
        if weight > self.c:
            return False
        queue = self.a1in if self.a1out.pop(key, None) is None else self.am
        while sum(self.a1in.values()) + sum(self.am.values()) + weight > self.c:
            self._reclaim()
        queue[key] = weight
        return False

    def _reclaim(self) -> None:
        if sum(self.a1in.values()) > self.kin or not self.am:
            key = next(iter(self.a1in))
            self.a1out[key] = self.a1in.pop(key)
            while sum(self.a1out.values()) > self.kout:
                del self.a1out[next(iter(self.a1out))]
        else:
            del self.am[next(iter(self.am))]  # it has not been seen for long: no ghost

    def dump(self) -> str:
        """Return the three queues, newest first, as the native policy writes them."""
        lists = (("A1in", self.a1in), ("Am", self.am), ("A1out", self.a1out))
        return "2q\n" + "".join(f"{name}:" + "".join(f" {key}" for key in reversed(keys)) + "\n" for name, keys in lists)
