"""S3-FIFO (Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023, algorithm 1 and section 4.1)."""

from __future__ import annotations

MOST = 3  # a count has two bits


class S3Fifo:
    """A cache of keys with weights. small and main: key -> [weight, count], ghosts: key -> weight; each ordered oldest first."""

    def __init__(self, capacity: int, small: float = 0.1, threshold: int = 2) -> None:
        """Start empty; capacity in weight units. threshold: hits that take a key from small to main."""
        self.c, self.threshold = capacity, threshold
        self.share = max(1, int(capacity * small))
        self.small: dict[int, list[int]] = {}
        self.main: dict[int, list[int]] = {}
        self.ghosts: dict[int, int] = {}
        self.warm = False  # something was evicted

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        held = self.small.get(key) or self.main.get(key)
        if held:
            held[1] = min(MOST, held[1] + 1)
            return True
        if weight > self.c:
            return False
        filling = not self.warm and _size(self.small) >= self.share  # as the authors' program; the paper is silent
        queue = self.main if self.ghosts.pop(key, None) is not None or filling else self.small
        while _size(self.small) + _size(self.main) + weight > self.c:
            self._evict()
        queue[key] = [weight, 0]
        return False

    def _evict(self) -> None:
        self.warm = True
        if (_size(self.small) > self.share or not self.main) and self._evict_small():
            return
        while True:  # lazy promotion: once more round for those with a count
            key = next(iter(self.main))
            weight, count = self.main.pop(key)
            if not count:
                return
            self.main[key] = [weight, count - 1]

    def _evict_small(self) -> bool:
        """Quick demotion: move the oldest to main or out, until one is out; False when small came down to its share without that."""
        while self.small:
            key = next(iter(self.small))
            weight, count = self.small.pop(key)
            if count < self.threshold:
                self.ghosts[key] = weight
                while sum(self.ghosts.values()) > max(0, self.c - self.share):
                    del self.ghosts[next(iter(self.ghosts))]
                return True
            self.main[key] = [weight, 0]
            if _size(self.small) <= self.share and len(self.main) > 1:
                break
        return False

    def dump(self) -> str:
        """Return the queues, newest first, counts behind a slash, as the native policy writes them."""
        rows = (("small", self.small), ("main", self.main))
        text = "".join(f"{name}:" + "".join(f" {key}/{queue[key][1]}" for key in reversed(queue)) + "\n" for name, queue in rows)
        return f"s3fifo\n{text}ghosts:" + "".join(f" {key}" for key in reversed(self.ghosts)) + "\n"


def _size(queue: dict[int, list[int]]) -> int:
    return sum(weight for weight, _ in queue.values())
