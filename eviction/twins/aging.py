"""LFU with dynamic aging (Arlitt et al., 1999) and GreedyDual-Size with frequency (Cherkasova, HPL-98-69)."""

from __future__ import annotations


class LfuDa:
    """A cache of keys with weights. held: key -> [weight, count, priority, when it changed]; age: the priority of the last victim."""

    name = "lfuda"

    def __init__(self, capacity: int) -> None:
        """Start empty; capacity in weight units."""
        self.c, self.now, self.age = capacity, 0, 0.0
        self.held: dict[int, list[float]] = {}

    def worth(self, count: float, weight: float) -> float:
        """Return what is added to the age."""
        return count

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        hit = key in self.held
        if not hit and weight > self.c:
            return False
        while not hit and sum(h[0] for h in self.held.values()) + weight > self.c:
            victim = min(self.held, key=lambda k: self.held[k][2:])
            self.age = self.held.pop(victim)[2]
        self.now += 1
        old = self.held.get(key, [float(weight), 0.0])
        self.held[key] = [old[0], old[1] + 1, self.age + self.worth(old[1] + 1, old[0]), self.now]
        return hit

    def dump(self) -> str:
        """Return the age and the priorities, newest key first, as the native policy writes them."""
        text = "".join(f" {key}/{self.held[key][2]:.6g}" for key in reversed(self.held))
        return f"{self.name}: L={self.age:.6g}\nin order of arrival, newest first:{text}\n"


class Gdsf(LfuDa):
    """The same, counts divided by weights: small keys are worth more a unit of room."""

    name = "gdsf"

    def worth(self, count: float, weight: float) -> float:
        """Return what is added to the age; every miss costs 1."""
        return count / weight
