"""LIRS (Jiang and Zhang, LIRS: an efficient low inter-reference recency set replacement policy, SIGMETRICS 2002, section 3).

As its authors' program: a share of 1 % for HIR, at least 2 units; while there is room for LIR a new key becomes one; an immediate repeat
of the last key is a hit that changes nothing. The paper bounds S by pruning only; here the non-resident keys are at most `ghosts`
times the capacity and 4096, and those that were evicted longest ago are forgotten first.
"""

from __future__ import annotations

LIR, HIR, GHOST = "L", "h", "n"


class Lirs:
    """A cache of keys with weights. s: key -> state, bottom first; q: resident HIR, oldest first; ghosts: by the time of their eviction."""

    def __init__(self, capacity: int, hir: float = 0.01, ghosts: float = 64) -> None:
        """Start empty; capacity in weight units."""
        self.c = capacity
        self.lir_most = max(0, capacity - max(2, int(capacity * hir)))
        self.ghosts_most = int(capacity * ghosts) + 4096
        self.s: dict[int, str] = {}
        self.q: dict[int, None] = {}
        self.ghosts: dict[int, None] = {}
        self.weight: dict[int, int] = {}  # of residents
        self.last: int | None = None

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.weight:
            if key != self.last:
                self._hit(key)
            self.last = key
            return True
        if weight > self.c:
            return False
        again = key in self.ghosts
        if again:
            del self.ghosts[key], self.s[key]
        while sum(self.weight.values()) + weight > self.c:
            self._evict()
        room = self._lir_weight() + weight <= self.lir_most
        self.weight[key] = weight
        self.s[key] = LIR if room or again else HIR
        if self.s[key] == HIR:
            self.q[key] = None
        self._settle()
        self.last = key
        return False

    def _hit(self, key: int) -> None:
        state = self.s.pop(key, None)
        if state is None:  # its recency is long: to the top of S and the end of Q
            self.s[key] = HIR
            del self.q[key]
            self.q[key] = None
            self._prune()  # without a single LIR nothing is kept in S
            return
        if state == HIR:
            del self.q[key]
        self.s[key] = LIR
        self._settle()

    def _lir_weight(self) -> int:
        return sum(self.weight[key] for key, state in self.s.items() if state == LIR)

    def _settle(self) -> None:
        """Demote from the bottom until the LIR fit, and keep nothing below the lowest LIR."""
        while self._lir_weight() > self.lir_most:
            self._demote()
        self._prune()

    def _demote(self) -> None:
        self._prune()
        key = next(iter(self.s))
        del self.s[key]
        self.q[key] = None
        self._prune()

    def _prune(self) -> None:
        while self.s and self.s[key := next(iter(self.s))] != LIR:
            if self.s.pop(key) == GHOST:
                del self.ghosts[key]

    def _evict(self) -> None:
        if not self.q:
            self._demote()
        key = next(iter(self.q))
        del self.q[key], self.weight[key]
        if key in self.s:
            if len(self.ghosts) == self.ghosts_most:
                oldest = next(iter(self.ghosts))
                del self.ghosts[oldest], self.s[oldest]
            self.s[key] = GHOST
            self.ghosts[key] = None
        if key == self.last:
            self.last = None

    def dump(self) -> str:
        """Return S from its top and Q from its newest, as the native policy writes them."""
        stack = "".join(f" {key}/{self.s[key]}" for key in reversed(self.s))
        return f"lirs\nS:{stack}\nQ:" + "".join(f" {key}" for key in reversed(self.q)) + "\n"
