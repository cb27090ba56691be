"""LIRS2 (Zhong, Zhao and Jiang, LIRS2: an improved LIRS replacement algorithm, SYSTOR 2021): LIRS by the last two reuse distances.

S holds the last and the second-last access of blocks by time; its bottom is the oldest second-last access of a LIR block (Rmax2).
Where the paper is silent: a new block gets both places at once, but its next use, only the second access, does not promote it; while there
is room for LIR (99 % of the capacity) a new block becomes one; a repeat of the last request changes nothing (the authors' program); a
non-resident block is forgotten when its last place leaves S; all weigh at most twice the capacity, the longest evicted are forgotten
first. Without a resident HIR block the LIR block at the bottom is demoted, and leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

LIR, HIR, GHOST = "L", "h", "n"


@dataclass
class Block:
    """A block: its status, the times of its last and second-last access, whether the latter is made up."""

    weight: int
    status: str
    last: int
    second: int
    once: bool


class Lirs2:
    """A cache of keys with weights. stack: time of access -> key, bottom first; queue and ghosts: keys, oldest first."""

    def __init__(self, capacity: int) -> None:
        """Start empty; capacity in weight units."""
        self.c = capacity
        self.lir_share = int(capacity * 99 / 100)
        self.blocks: dict[int, Block] = {}
        self.stack: dict[int, int] = {}
        self.queue: dict[int, None] = {}
        self.ghosts: dict[int, None] = {}
        self.now = 0
        self.latest: int | None = None

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        block = self.blocks.get(key)
        hit = block is not None and block.status != GHOST
        if (hit and key == self.latest) or (not hit and weight > self.c):
            return hit
        self.latest = key
        if not hit:
            self.ghosts.pop(key, None)
            while self._weight(LIR, HIR) + weight > self.c:
                self._evict()
            if self._weight(LIR) + weight <= self.lir_share and block is not None:
                self._forget(key)
                block = None
        if block is None:
            self._new(key, weight)
        else:
            block.weight = block.weight if hit else weight
            self._access(key, block)
        self._prune()
        return hit

    def _new(self, key: int, weight: int) -> None:
        status = LIR if self._weight(LIR) + weight <= self.lir_share else HIR
        self.blocks[key] = Block(weight, status, self.now + 1, self.now, once=True)
        self.stack[self.now] = self.stack[self.now + 1] = key
        self.now += 2
        if status == HIR:
            self.queue[key] = None

    def _access(self, key: int, block: Block) -> None:
        short = block.second in self.stack and not block.once
        self.stack.pop(block.second, None)
        block.second, block.last, block.once = block.last, self.now, False
        self._prune()
        self.stack[self.now] = key
        self.now += 1
        self.queue.pop(key, None)
        if block.status == LIR or short:
            block.status = LIR
            while self._weight(LIR) > self.lir_share and sum(b.status == LIR for b in self.blocks.values()) > 1:
                self._demote()
        else:
            block.status = HIR
            self.queue[key] = None

    def _weight(self, *statuses: str) -> int:
        return sum(block.weight for block in self.blocks.values() if block.status in statuses)

    def _demote(self) -> None:
        """The LIR block at the bottom goes to the end of the queue."""
        key = next(iter(self.stack.values()))
        self.blocks[key].status = HIR
        self.queue[key] = None
        self._prune()

    def _evict(self) -> None:
        if not self.queue:
            self._demote()
        victim = next(iter(self.queue))
        del self.queue[victim]
        self.blocks[victim].status = GHOST
        if self.blocks[victim].last in self.stack:
            self.ghosts[victim] = None
        else:
            del self.blocks[victim]
        while sum(self.blocks[key].weight for key in self.ghosts) > 2 * self.c:
            oldest = next(iter(self.ghosts))
            del self.ghosts[oldest]
            self._forget(oldest)

    def _forget(self, key: int) -> None:
        block = self.blocks.pop(key)
        self.stack.pop(block.last, None)
        self.stack.pop(block.second, None)
        self._prune()

    def _prune(self) -> None:
        """Drop what is below the oldest second-last access of a LIR block."""
        for time, key in [*self.stack.items()]:
            block = self.blocks[key]
            if block.status == LIR and time == block.second:
                break
            del self.stack[time]
            if key in self.ghosts and block.last not in self.stack:
                del self.ghosts[key], self.blocks[key]

    def dump(self) -> str:
        """Return S from its top, Q and non-resident blocks, newest first, as the native policy writes them."""
        places = [f"{key}/{self.blocks[key].status}{1 if time == self.blocks[key].last else 2}" for time, key in self.stack.items()]
        rows = (("S", places), ("Q", [*self.queue]), ("ghosts", [*self.ghosts]))
        return "lirs2\n" + "".join(f"{name}:" + "".join(f" {item}" for item in reversed(row)) + "\n" for name, row in rows)
