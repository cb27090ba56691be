"""FRD (Park and Park, FRD: a filtering based buffer cache algorithm that considers both frequency and reuse distance, MSST 2017).

An LRU filter of 10 % takes what is new. The reuse distance stack, 90 %, holds what came back soon after the filter let it go, and the
history of all others in one order of recency. Choices: while all that is held fits the stack's share new blocks go there; history is at
most two blocks a unit of capacity and 2048, the oldest goes first. With weights the oldest of the part that is over its share leaves.
"""

from __future__ import annotations

RESIDENT, HISTORY = "resident", "history"


class Frd:
    """A cache of keys with weights. stack: key -> RESIDENT or HISTORY, bottom first; filter: keys, oldest first; weight: of all held."""

    def __init__(self, capacity: int, filter_share: float = 10, ghosts: float = 2, least: int = 2048) -> None:
        """Start empty; capacity in weight units, the filter in percent of it, ghosts a unit of capacity and at least."""
        self.c = capacity
        self.share = int(capacity * (100 - filter_share) / 100)  # of the stack
        self.ghosts = int(capacity * ghosts + least)
        self.stack: dict[int, str] = {}
        self.filter: dict[int, None] = {}
        self.weight: dict[int, int] = {}

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        if key in self.weight:
            status = self.stack.pop(key, HISTORY)
            self.stack[key] = status
            if status == HISTORY:
                del self.filter[key]
                self.filter[key] = None
            self._prune()
            return True
        if weight > self.c:
            return False
        known = self.stack.pop(key, None) is not None
        while sum(self.weight.values()) + weight > self.c:
            self._evict(weight, known)
        self.weight[key] = weight
        if known or sum(self.weight.values()) <= self.share:
            self.stack[key] = RESIDENT
        else:
            self.stack[key] = HISTORY
            self.filter[key] = None
        self._prune()
        return False

    def _residents(self) -> list[int]:
        return [key for key, status in self.stack.items() if status == RESIDENT]

    def _history(self) -> list[int]:
        """Keys without data."""
        return [key for key in self.stack if key not in self.weight]

    def _evict(self, weight: int, known: bool) -> None:
        residents = self._residents()
        if known:
            from_stack = sum(self.weight[key] for key in residents) + weight > self.share
        else:
            from_stack = sum(self.weight[key] for key in self.filter) + weight <= self.c - self.share
        if (from_stack and residents) or not self.filter:
            victim = residents[0]
            del self.stack[victim]
        else:
            victim = next(iter(self.filter))
            del self.filter[victim]
        del self.weight[victim]
        history = self._history()
        if len(history) > self.ghosts:
            del self.stack[history[0]]
        self._prune()

    def _prune(self) -> None:
        while self.stack and next(iter(self.stack.values())) == HISTORY:
            del self.stack[next(iter(self.stack))]

    def dump(self) -> str:
        """Return stack, filter (a star: with history) and keys without data, newest first, as the native policy writes them."""
        stack = " ".join(["stack:", *(str(key) for key in reversed(self._residents()))])
        filtered = " ".join(["filter:", *(f"{key}*" if key in self.stack else str(key) for key in reversed(self.filter))])
        return f"frd\n{stack}\n{filtered}\n" + " ".join(["ghosts:", *(str(key) for key in reversed(self._history()))]) + "\n"
