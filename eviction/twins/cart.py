"""CART (Bansal and Modha, CAR: Clock with adaptive replacement, FAST 2004, section IV and figure 3), in the paper's names.

The ratios of the learning rule are real numbers, taken while the page asked for is still in its list. For weights, a list's size is the
sum of its weights, nS and nL are weights, and a step of p or q is scaled by the weight of the page that makes it. Against Caffeine: it
rounds the ratios down, and with that rule all of its 155 cells are met; without it 64 of 141, 0.05 points less in the mean (2.0 at the
most).
"""

from __future__ import annotations

from .lists import Queue, line, move, oldest, pop_oldest, size


class Cart:
    """A cache of keys with weights. T1, T2: clocks, T2 of long-term pages only; B1, B2: ghosts that were short-term, long-term."""

    def __init__(self, capacity: int) -> None:
        """Start empty; capacity in weight units. p: the target size of T1, q: of B1; both begin at 0."""
        self.c = capacity
        self.p = self.q = 0.0
        self.t1: Queue = {}
        self.t2: Queue = {}
        self.b1: Queue = {}
        self.b2: Queue = {}
        self.in_b1 = self.in_b2 = 0  # the weight of the ghost asked for, which counts in its list until the page is resident
        self.referenced: set[int] = set()
        self.long_term: set[int] = set()  # the filter bit of residents

    @property
    def n_s(self) -> int:
        """The weight of the short-term pages of the cache."""
        return sum(weight for page, weight in self.t1.items() if page not in self.long_term)

    @property
    def n_l(self) -> int:
        """The weight of the long-term pages of the cache."""
        return size(self.t1, self.t2) - self.n_s

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.t1 or key in self.t2:
            self.referenced.add(key)
            return True
        if weight > self.c:
            return False
        self.in_b1, self.in_b2 = self.b1.pop(key, 0), self.b2.pop(key, 0)
        while size(self.t1, self.t2) + weight > self.c:
            self._replace()
            self._trim()
        if self.in_b1:
            self.p = min(self.p + max(1.0, self.n_s / (size(self.b1) + self.in_b1)) * weight, float(self.c))
        elif self.in_b2:
            self.p = max(self.p - max(1.0, self.n_l / (size(self.b2) + self.in_b2)) * weight, 0.0)
        self.t1[key] = weight
        if self.in_b1 or self.in_b2:
            self.long_term.add(key)
        if self.in_b2:
            self.in_b2 = 0
            self._raise_q(weight)
        return False

    def _trim(self) -> None:
        """History replacement: as many ghosts as the cache has room."""
        while size(self.b1, self.b2) > self.c:
            pop_oldest(self.b1 if self.b1 and (size(self.b1) > self.q or not self.b2) else self.b2)

    def _replace(self) -> None:
        while self.t2 and oldest(self.t2) in self.referenced:
            page = oldest(self.t2)
            self.referenced.remove(page)
            move(page, self.t2, self.t1)
            self._raise_q(self.t1[page])
        while self.t1 and oldest(self.t1) in self.referenced | self.long_term:
            self._turn(oldest(self.t1))
        if self.t1 and (size(self.t1) >= max(1.0, self.p) or not self.t2):
            move(oldest(self.t1), self.t1, self.b1)
        else:
            self.long_term.remove(oldest(self.t2))
            move(oldest(self.t2), self.t2, self.b2)

    def _turn(self, page: int) -> None:
        if page in self.referenced:
            self.referenced.remove(page)
            move(page, self.t1, self.t1)
            if size(self.t1) >= min(self.p + self.t1[page], size(self.b1) + self.in_b1):
                self.long_term.add(page)
        else:
            move(page, self.t1, self.t2)
            self.q = max(self.q - self.t2[page], float(self.c - size(self.t1)))

    def _raise_q(self, weight: int) -> None:
        if size(self.t2, self.b2, self.t1) + self.in_b2 - self.n_s >= self.c:
            self.q = min(self.q + weight, float(2 * self.c - size(self.t1)))

    def dump(self) -> str:
        """Return the numbers and the four lists, newest first, a star at the referenced, as the native policy writes them."""
        t1 = "".join(f" {page}{'SL'[page in self.long_term]}{'*' * (page in self.referenced)}" for page in reversed(self.t1))
        numbers = f"cart: p={self.p:.6g} q={self.q:.6g} nS={self.n_s} nL={self.n_l}\nT1:{t1}\n"
        return numbers + line("T2", self.t2, dict.fromkeys(self.referenced, 1)) + line("B1", self.b1) + line("B2", self.b2)
