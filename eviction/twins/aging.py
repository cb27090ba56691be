"""LFU with dynamic aging (Arlitt et al., 2000) and GreedyDual-Size with frequency (Cherkasova, HPL-98-69): see csrc/aging.c.

Beside other programs, in points of hit ratio on the mean of the shared traces: gdsf is libCacheSim's to the hit and 0.6 below Caffeine's
simulator, which breaks ties by key. libCacheSim's lfuda is 2.0 below this one: it adds the age to the count anew on every hit.
"""

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
        self.now += 1
        if key in self.held:
            held = self.held[key]
            held[1:] = [held[1] + 1, self.age + self.worth(held[1] + 1, held[0]), self.now]
            return True
        if weight <= self.c:
            self.miss(key, weight)
        return False

    def miss(self, key: int, weight: int) -> None:
        """Evict as many as needed, then admit with the age that they left."""
        for victim in self.victims(weight):
            self.age = self.held.pop(victim)[2]
        self.held[key] = [weight, 1, self.age + self.worth(1, weight), self.now]

    def victims(self, weight: int) -> list[int]:
        """Return the keys of least priority that make room for a weight; of equal ones first those that have had it longest."""
        need = sum(held[0] for held in self.held.values()) + weight - self.c
        out = []
        for key in sorted(self.held, key=lambda k: self.held[k][2:]):
            if need <= 0:
                break
            out.append(key)
            need -= int(self.held[key][0])
        return out

    def dump(self) -> str:
        """Return the age and the priorities, the next victim last, as the native policy writes them."""
        order = sorted(self.held, key=lambda k: self.held[k][2:], reverse=True)
        return f"{self.name}: L={self.age:.6g}\nranked:" + "".join(f" {key}/{self.held[key][2]:.6g}" for key in order) + "\n"


class Gdsf(LfuDa):
    """Counts divided by weights: small keys are worth more a unit of room. What is worth less than a victim is not admitted."""

    name = "gdsf"

    def worth(self, count: float, weight: float) -> float:
        """Return what is added to the age; every miss costs 1."""
        return count / weight

    def miss(self, key: int, weight: int) -> None:
        """Admit with the age from before, unless that is less than a victim's priority: then it is itself the victim that counts."""
        mine = self.age + self.worth(1, weight)
        victims = self.victims(weight)
        if victims and self.held[victims[-1]][2] > mine:
            self.age = min(mine, self.held[victims[0]][2])
            return
        for victim in victims:
            self.age = self.held.pop(victim)[2]
        self.held[key] = [weight, 1, mine, self.now]
