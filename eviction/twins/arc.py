"""ARC (Megiddo and Modha, ARC: a self-tuning, low overhead replacement cache, FAST 2003, figure 4), in the paper's names.

For weights, a list's size is the sum of its weights, and a step of p is scaled by the weight of the request.
"""

from __future__ import annotations

List = dict[int, int]


class Arc:
    """A cache of keys with weights. T1, T2: residents; B1, B2: ghosts; each ordered oldest first; p: the target size of T1."""

    def __init__(self, capacity: int) -> None:
        """Start empty; capacity in weight units."""
        self.c = capacity
        self.p = 0.0
        self.t1: List = {}
        self.t2: List = {}
        self.b1: List = {}
        self.b2: List = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.t1 or key in self.t2:  # case I
            self.t2[key] = self.t1.pop(key) if key in self.t1 else self.t2.pop(key)
            return True
        if weight > self.c:
            return False
        size1, size2 = _size(self.b1), _size(self.b2)
        if key in self.b1:  # case II
            self.p = min(float(self.c), self.p + max(1.0, size2 / size1) * weight)
            del self.b1[key]
            self._trim(0, weight)
            self._make_room(weight, new=False)
            self.t2[key] = weight
        elif key in self.b2:  # case III
            self.p = max(0.0, self.p - max(1.0, size1 / size2) * weight)
            del self.b2[key]
            self._trim(0, weight)
            self._make_room(weight, new=False, from_b2=True)
            self.t2[key] = weight
        else:  # case IV
            alone = _size(self.t1) + weight > self.c  # then T1's oldest will leave, and the ghosts of B2 stay (case IV A)
            self._trim(weight, 0 if alone else weight)
            self._make_room(weight, new=True)
            self.t1[key] = weight
        return False

    def _trim(self, in_l1: int, in_all: int) -> None:
        while self.b1 and _size(self.t1, self.b1) + in_l1 > self.c:
            _pop_oldest(self.b1)
        for ghosts in (self.b2, self.b1):
            while ghosts and _size(self.t1, self.t2, self.b1, self.b2) + in_all > 2 * self.c:
                _pop_oldest(ghosts)

    def _make_room(self, weight: int, *, new: bool, from_b2: bool = False) -> None:
        while _size(self.t1, self.t2) + weight > self.c:
            if new and _size(self.t1) + weight > self.c:  # case IV A: T1 alone fills L1, its oldest leaves no ghost
                _pop_oldest(self.t1)
                continue
            self._replace(from_b2)
            self._trim(0, weight if new else 0)
        self._trim(0, weight)

    def _replace(self, from_b2: bool) -> None:
        size = _size(self.t1)
        if self.t1 and (not self.t2 or size > self.p or (from_b2 and size >= self.p)):
            key, weight = _pop_oldest(self.t1)
            self.b1[key] = weight
        else:
            key, weight = _pop_oldest(self.t2)
            self.b2[key] = weight

    def dump(self) -> str:
        """Return p and the four lists, newest first, as the native policy writes them."""
        lists = (("T1", self.t1), ("T2", self.t2), ("B1", self.b1), ("B2", self.b2))
        text = "".join(f"{name}:" + "".join(f" {key}" for key in reversed(keys)) + "\n" for name, keys in lists)
        return f"arc: p={self.p:.6g}\n{text}"


def _size(*lists: List) -> int:
    return sum(sum(keys.values()) for keys in lists)


def _pop_oldest(keys: List) -> tuple[int, int]:
    key = next(iter(keys))
    return key, keys.pop(key)
